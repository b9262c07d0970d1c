"""GPUs by name: one matching for whatever names a GPU, and what is to be said of some.

Names are taken apart in gpu_names, cards stand in gpu_cards, MIG slices and virtual GPUs in gpu_parts. The database
is read only when a name is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from planner.catalog.gpu_cards import (
    MINIMUM_CAPABILITY,
    RARE,
    KnownCard,
    database,
    is_too_old,
    known_cards,
    known_gpus,
)
from planner.catalog.gpu_names import GpuName, parse_name, same_card
from planner.catalog.gpu_parts import find_parts, known_slices
from planner.errors import UsageError
from planner.nouns.request import Gpu

__all__ = ["FoundGpu", "GpuName", "card_of", "find_gpu", "known_gpus", "parse_name", "same_card", "search_gpus"]

_OTHER_MAKERS = (
    (
        "AMD",
        re.compile(r"\b(amd|ryzen|radeon|instinct|firepro|rocm|gfx\d+|rx ?\d{3,4}|mi ?\d{2,3}[a-z]?|vega)\b"),
        "ROCm",
    ),
    ("Intel", re.compile(r"\b(intel|arc|iris|uhd|xpu|gaudi\w*|ponte vecchio|data center gpu max)\b"), "XPU"),
    ("Apple", re.compile(r"\b(apple|metal|mps)\b|^m[1-9]\b(?! ?-?\d)"), "Metal"),
)
"""Makers whose GPUs torch runs on in another way than CUDA. A bare M4 is Apple's; NVIDIA's is said as Tesla M4."""
NOMINAL_TOLERANCE = 0.08
"""By how much a driver's figure may miss the size that a card is sold with: T4 6 %, GB10 7 %; 11 and 12 GB are 8.3."""
NOTICEABLE = 1.01
"""From how much more memory on another card of a name is another answer."""
_OF_OTHERS = {"AMD": ("AMD", "ROCm"), "ATI": ("AMD", "ROCm"), "Intel": ("Intel", "XPU")}
SHORTEST_ALONE = 5
"""Letters of a single word that is looked for among other makers' cards: shorter ones may be anything."""
_REMEDY = "Or give the memory: --vram 8GB."


@dataclass(frozen=True, slots=True)
class FoundGpu:
    """A GPU found by name, with what else the name may have meant."""

    gpu: Gpu
    also: tuple[Gpu, ...]
    """Cards of the same name and more memory."""


@lru_cache(maxsize=256)
def find_gpu(name: str) -> FoundGpu:
    """The GPU of that name; brand, series, memory size and form factor may be left out, as may what a driver adds.

    Where cards of one name differ in memory the smallest is taken and the others are reported.
    Raises UsageError for a name that is not known, with near matches, and for another maker's GPU.
    """
    wanted = parse_name(name)
    if not wanted.base and not wanted.part:
        raise UsageError(f"{name!r} is not the name of a GPU.", 'Write it as "RTX 3060"; see: sam2-plan gpus')
    _refuse_other_makers(name)
    found = _meant(name)
    if not found:
        _refuse_listed_elsewhere(name, wanted)
        raise UsageError(f"No GPU is known as {name!r}.", _near(name, wanted))
    others = {gpu.total_bytes: gpu for gpu in found[1:] if gpu.total_bytes > found[0].total_bytes * NOTICEABLE}
    return FoundGpu(found[0], tuple(others.values()))


def search_gpus(text: str) -> list[Gpu]:
    """The known GPUs whose name, or what their driver prints, has all words of `text`; smallest memory first.

    What find_gpu takes the text for is always among them.
    """
    words = text.lower().replace("laptop gpu", "mobile").replace("laptop", "mobile").split()
    parts = known_slices() if re.search(r"\bmig\b|\dg\b|\dg\.", text.lower()) else ()
    listed = [*((card.gpu, _said(card)) for card in known_cards()), *((gpu, gpu.name.lower()) for gpu in parts)]
    found = {gpu.name: gpu for gpu, said in listed if all(word in said for word in words)}
    if parse_name(text).base or parse_name(text).part:
        found |= {gpu.name: gpu for gpu in _meant(text)}
    return sorted(found.values(), key=lambda gpu: (gpu.total_bytes, gpu.name.lower()))


def card_of(gpu: Gpu) -> KnownCard | None:
    """The card of the catalogue that a GPU is, or is a part of; None for one that is not known."""
    wanted = parse_name(gpu.name)
    whole = GpuName(wanted.base, wanted.form, wanted.gigabytes)
    alike = [card for card in known_cards() if card.gpu.name == gpu.name or parse_name(card.gpu.name).agrees(whole)]
    return min(alike, key=lambda card: card.gpu.name != gpu.name, default=None)


def _said(card: KnownCard) -> str:
    return f"{card.gpu.name} {card.printed or ''}".lower().replace("laptop gpu", "mobile")


def _meant(name: str) -> list[Gpu]:
    """The GPUs that a name may mean, the one to take first: the same name, then the smallest that agrees."""
    wanted = parse_name(name)
    if wanted.part and (parts := find_parts(name)):
        return parts
    cards = [(card, parse_name(card.gpu.name)) for card in known_cards()]
    found = [card for card, parsed in cards if parsed.agrees(wanted) and _has(card, wanted.gigabytes)]
    exact = [card for card in found if _is_called(card, name)]
    usual = [card for card in found if card.gpu.name not in RARE or wanted.gigabytes or card in exact]
    ordered = sorted(usual, key=lambda card: (card.gpu.total_bytes, card not in exact, card.gpu.name.lower()))
    catalogue = [card for card in exact if card.gpu.name.lower() == name.strip().lower()]
    return [card.gpu for card in dict.fromkeys([*catalogue, *ordered])]


def _has(card: KnownCard, gigabytes: str) -> bool:
    """Whether a card is of the size that a name says; most names of the catalogue leave their own out."""
    if not gigabytes or parse_name(card.gpu.name).gigabytes:
        return True
    return abs(card.gpu.total_bytes / 2**30 - float(gigabytes)) <= NOMINAL_TOLERANCE * float(gigabytes)


def _is_called(card: KnownCard, name: str) -> bool:
    """Whether the name is the catalogue's or the driver's to the letter, brand aside."""
    said = name.strip().lower().removeprefix("nvidia ")
    return said in (card.gpu.name.lower(), (card.printed or "").lower().removeprefix("nvidia "))


def _refuse_other_makers(name: str) -> None:
    lowered = name.strip().lower()
    if re.search(r"nvidia|geforce|quadro|tesla|\bg?rtx\b", lowered):
        return
    for maker, pattern, platform in _OTHER_MAKERS:
        if pattern.search(lowered):
            raise _not_cuda(name, maker, platform)


def _refuse_listed_elsewhere(name: str, wanted: GpuName) -> None:
    """Raises UsageError for a name that the database has under another maker, or of a generation that is too old."""
    words = set(name.lower().split())
    if not any(char.isdigit() for char in name) or (len(words) == 1 and len(name.strip()) < SHORTEST_ALONE):
        return
    for spec in database():
        if spec.manufacturer in _OF_OTHERS and words <= set(spec.name.lower().split()):
            raise _not_cuda(name, *_OF_OTHERS[spec.manufacturer])
        if spec.manufacturer == "NVIDIA" and parse_name(spec.name).base == wanted.base and is_too_old(spec):
            raise UsageError(
                f"{name!r} is of a generation that no release of torch from 2.5 on has code for.",
                f"Take a card from {MINIMUM_CAPABILITY[0]}.{MINIMUM_CAPABILITY[1]} on: sam2-plan gpus",
            )


def _not_cuda(name: str, maker: str, platform: str) -> UsageError:
    whose = f"{maker}'" if maker.endswith("s") else f"{maker}'s"
    own = [gpu.name for gpu in known_gpus() if parse_name(gpu.name).base == parse_name(name).base]
    instead = f"NVIDIA's of that name is {own[0]}" if own else "Name an NVIDIA GPU (sam2-plan gpus)"
    return UsageError(
        f"{name!r} is {whose}: memory is predicted for NVIDIA's GPUs under CUDA, nothing was measured on {platform}.",
        f"{instead}; --vram 16GB plans as for one with that memory.",
    )


def _near(name: str, wanted: GpuName) -> str:
    """Known names like one that is not."""
    words = [word for word in re.split(r"[^a-z0-9.]+", name.lower()) if word]
    if not any(char.isdigit() for char in name):
        some = words and any(all(word in _said(card) for word in words) for card in known_cards())
        return f"See the known names with: sam2-plan gpus{' ' + words[0] if some else ''}. {_REMEDY}"
    with_words = [card.gpu.name for card in known_cards() if all(word in _said(card) for word in words)]
    near = list(dict.fromkeys([*with_words[:4], *_alike(wanted)]))[:5]
    return f"Near: {', '.join(near)}. {_REMEDY}" if near else f"See the known names with: sam2-plan gpus. {_REMEDY}"


def _alike(wanted: GpuName) -> list[str]:
    """Names that are written nearly so. A number alone is compared with numbers: 4095 is no T400."""
    import difflib

    alone = wanted.base[:1].isdigit()
    pool: dict[str, str] = {}
    for gpu in known_gpus():
        parsed = parse_name(gpu.name)
        pool.setdefault(parsed.short if alone else parsed.base, gpu.name)
    digits = min(4, sum(char.isdigit() for char in wanted.base))
    alike = difflib.get_close_matches(wanted.base, pool, n=12, cutoff=0.6)
    return [pool[base] for base in alike if sum(char.isdigit() for char in base) >= digits][:4]
