"""Names of GPUs: what a driver, a catalogue and people call one card, and whether two names mean the same.

The only place that takes names apart: whatever compares two of them asks here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_FILLERS = {
    "nvidia", "geforce", "quadro", "tesla", "grid", "graphics", "generation", "edition", "workstation", "blackwell",
    "with", "design", "refresh", "jetson", "agx", "nvgpu", "mig", "dc",
}  # fmt: skip
"""Words that people and drivers leave out or put in; no two cards on sale at a time differ in them alone."""
_SYNONYMS = (
    ("laptop gpu", "mobile"),
    ("laptop", "mobile"),
    ("notebook", "mobile"),
    ("max-q", "maxq"),
    ("sxm6 ac", "sxm6"),
)
_LAST = ("embedded", "mobile", "maxq")
"""What a catalogue may have in the middle of a name and a driver at its end."""
_SAME = {"thor": "t5000", "dgxspark": "gb10", "spark": "gb10"}
"""Products that are called otherwise than the module in them."""
_FAMILIES = ("orin", "xavier")
"""What the driver of every Jetson of a generation prints, whichever module it is."""
_SIZE = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)[\s-]?(?:gib|gb)\b|\b(\d{2,})g\b")
_FORM = re.compile(r"sxm\d?|pcie|nvl")
_MEMORY_TYPE = re.compile(r"(hbm|gddr)\d?[ex]?")
_MIG = re.compile(r"(?:\bmig[\s_-]*)?(?<![\w.])(\d)g\.(\d+)gb\b(?:[+.-](?:me|gfx)\w*)*")
_VGPU = re.compile(r"-(?:(\d)-)?(\d+)([abcq])\s*$")
_SERIES = re.compile(r"^(?:rtxpro|rtx|gtx|gt)(?=a?\d)")
_SOLD_AS_SXM = ("h100", "h800")
"""Their SXM boards have HBM3 and say only that ("H100 80GB HBM3"); the PCIe boards say PCIe."""
_UNIFIED = re.compile(r"jetson|\b(orin|xavier|thor|tegra|gb10)\b|\bdgx spark\b")
_WITHOUT_TENSOR_CORES = re.compile(
    r"gtx16\d\d.*|t(400|500|550|600|1000|1200|2000)(mobile|maxq|gddr6)*|mx(450|550).*|cmp30hx"
)
"""Turing's TU116 and TU117, as bases; a test holds them against the chips of the catalogue."""


@dataclass(frozen=True, slots=True)
class GpuName:
    """A name taken apart: "NVIDIA A100-SXM4-80GB" is a100, sxm4, 80."""

    base: str
    """What is left without brand, form, memory, part and spaces."""
    form: str
    """PCIe, SXM or NVL; empty where it is not said, as is the next."""
    gigabytes: str
    part: str = ""
    """The part of a card that is cut up: "1g.5gb" of MIG, "8q" of a vGPU, "1-5c" of both; empty for a whole card."""

    def agrees(self, other: GpuName) -> bool:
        """Whether both may mean one card: nothing that both say differs."""
        sizes = "" in (self.gigabytes, other.gigabytes) or self.gigabytes == other.gigabytes
        forms = self.form.startswith(other.form) or other.form.startswith(self.form)
        return self.part == other.part and sizes and forms and self._same_base(other)

    def _same_base(self, other: GpuName) -> bool:
        one, another = sorted((self, other), key=lambda name: len(name.base))
        if one.base in (another.base, another.short):
            return True
        # Of a slice its profile may be all that is said.
        return (one.base in _FAMILIES and another.base.startswith(one.base)) or (not one.base and bool(one.part))

    @property
    def short(self) -> str:
        """The base without its series: "4090" of rtx4090, "a6000" of rtxa6000."""
        return _SERIES.sub("", self.base)


@lru_cache(maxsize=4096)
def parse_name(name: str) -> GpuName:
    """A name taken apart, the catalogue's or a driver's; two that mean the same card have the same `base`."""
    lowered = name.lower()
    for word, same in _SYNONYMS:
        lowered = lowered.replace(word, same)
    part = ""
    if mig := _MIG.search(lowered):
        part, lowered = f"{mig[1]}g.{mig[2]}gb", _MIG.sub(" ", lowered)
    elif vgpu := _VGPU.search(lowered):
        part = f"{vgpu[1] + '-' if vgpu[1] else ''}{vgpu[2]}{vgpu[3]}"
        lowered = lowered[: vgpu.start()]
    size = _SIZE.search(lowered)
    words = re.split(r"[^a-z0-9]+", _SIZE.sub(" ", lowered))
    form = next((word for word in words if _FORM.fullmatch(word)), "")
    dropped = {word for word in words if word in _FILLERS or _FORM.fullmatch(word) or _MEMORY_TYPE.fullmatch(word)}
    kept = [word for word in words if word not in dropped and word != "gpu"]
    base = "".join(sorted(kept, key=lambda word: _LAST.index(word) if word in _LAST else -1))
    if not form and base in _SOLD_AS_SXM and any(word.startswith("hbm3") for word in words):
        form = "sxm5"
    return GpuName(_SAME.get(base, base), form, (size[1] or size[2]) if size else "", part)


def same_card(first: str, second: str) -> bool:
    """Whether two names mean one card, such as a driver's and a catalogue's; what only one says is no contradiction."""
    return parse_name(first).agrees(parse_name(second))


def shares_host_memory(name: str) -> bool:
    """Whether a GPU of that name has no memory of its own (Jetson, GB10)."""
    return _UNIFIED.search(name.lower()) is not None


def notes_on(name: str) -> tuple[str, ...]:
    """What whoever plans for the GPU of that name should know beside its bytes."""
    notes = []
    if shares_host_memory(name):
        notes.append(f"{name} shares the host's memory: what the system and other programs hold of it is missing")
    if _WITHOUT_TENSOR_CORES.fullmatch(parse_name(name).base):
        notes.append(
            f"{name} has no tensor cores, and half precision is known to end in NaN on such chips (pytorch issues "
            "58123 and 77955); where masks come out empty, take --precision float32"
        )
    return tuple(notes)
