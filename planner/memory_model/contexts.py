"""The CUDA context and the kernels in it: what a process takes on a GPU outside the caching allocator.

Most of it is local memory for every thread that can be resident, so that it grows with the card: a line over
multiprocessors times threads, fitted to public figures (profiles/contexts.tsv) by scripts/fit_contexts.py, with a band
from cards held out. Read by planning, so with nothing but json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from math import ceil, isfinite
from pathlib import Path
from typing import Any, NamedTuple

from planner.errors import FileError
from planner.nouns.request import Gpu
from planner.nouns.words import ProvenanceKind
from planner.text.locations import profiles_folder

FILE = profiles_folder() / "contexts.json"
SCHEMA_VERSION = 1
OLDEST = (7, 5)
"""The oldest capability that current wheels of torch run on: a budget of no GPU in particular may be of these."""
USUAL_CAPABILITY = (8, 6)
"""Where neither a GPU nor a budget is named: of the card with which the laws were simulated."""
UNMEASURED = 1.5
"""Assumed: how many times its figure a context may be of a kind that was never measured."""
WHOLE_SLICES = 7
"""Compute slices of a card that is cut by MIG (NVIDIA's MIG user guide)."""
MOST_BYTES = 2**30
"""No context is as large."""
SPARE_SHARE = 0.5
"""The share of memory beyond a size that counts against the context of the next size's cards. So a larger budget
never plans for less, whatever its cards, with a headroom of up to as much."""


class Context(NamedTuple):
    """Bytes of a context, and the band that it lies in."""

    bytes: int
    low_bytes: int
    high_bytes: int
    provenance: ProvenanceKind
    note: str | None = None
    """Why the band is wider than what was measured gives, if it is."""


class Cards(NamedTuple):
    """The current cards of one nominal size."""

    bytes: int
    """The size: no card of it reports more."""
    contexts: tuple[int, ...]
    """Theirs in bytes, as published or by the line, rising."""


class KnownContexts(NamedTuple):
    """What profiles/contexts.json says."""

    base_bytes: float
    thread_bytes: float
    """For each thread that can be resident."""
    below: float
    """The band, relative: how far at most a card that was held out lay below the line, and above."""
    above: float
    measured: Mapping[str, float]
    """Bytes by GPU, after a run of torch."""
    generations: tuple[int, ...]
    """Major numbers of the capabilities of these."""
    usual: Mapping[tuple[int, int], float]
    """Bytes on the card most often met with a capability."""
    cards: Mapping[tuple[int, tuple[int, int]], tuple[int, ...]]
    """Bytes by nominal gigabytes and capability, of current cards with memory of their own."""

    def line(self, multiprocessors: float, capability: tuple[int, int]) -> float:
        """Bytes on a GPU with so many multiprocessors."""
        return self.base_bytes + self.thread_bytes * multiprocessors * threads_of(capability)

    def around(
        self, size: float, provenance: ProvenanceKind = "assumed", note: str | None = None, wider: float = 1.0
    ) -> Context:
        """A context and its band."""
        high = size * (1 + self.above) * wider
        return Context(round(size), int(size * (1 - self.below)), ceil(high), provenance, note)


def context_on(
    gpu: Gpu | str | None = None, capability: tuple[int, int] | None = None, budget_bytes: int | None = None
) -> Context:
    """The context on a GPU, or one of that name; of None on those of a capability, or that a budget may be of.

    Of a budget those are the current cards of the smallest nominal size that has so much; the figure is their median.
    Raises FileError where profiles/contexts.json cannot be used.
    """
    if gpu is None:
        return _on_some(capability, budget_bytes)
    if isinstance(gpu, str):
        from planner.catalog.gpus import card_of

        card = card_of(Gpu(name=gpu, total_bytes=0))
        return _on(gpu, card.gpu.capability if card else capability, budget_bytes)
    return _on(gpu.name, gpu.capability or capability, gpu.total_bytes)


def threads_of(capability: tuple[int, int]) -> int:
    """Threads that can be resident on a multiprocessor.

    From the CUDA C++ programming guide, "Technical Specifications per Compute Capability".
    """
    if capability == (7, 5):
        return 1024
    return 1536 if capability in ((8, 6), (8, 7), (8, 9)) or capability[0] == 12 else 2048


@lru_cache(maxsize=1024)
def _on(name: str, capability: tuple[int, int] | None, total_bytes: int | None) -> Context:
    """On a GPU that is named."""
    from planner.catalog.gpu_cards import multiprocessors_of
    from planner.catalog.gpu_names import parse_name, shares_host_memory

    known, wanted, count = load_contexts(), parse_name(name), multiprocessors_of(name)
    if capability is None or count is None:
        reason = f"how many multiprocessors {name} has is not known: its context may be that of any card like it"
        return _on_some(capability, total_bytes or None)._replace(note=reason)
    size = known.line(count, capability)
    if wanted.part.endswith("gb"):
        reason = "the context of a MIG slice was never measured: it may be as large as that of the whole card"
        part = known.around(known.line(count * int(wanted.part[0]) / WHOLE_SLICES, capability), "assumed", reason)
        return part._replace(high_bytes=known.around(size, "assumed").high_bytes)
    if wanted.part:
        reason = "the context of a virtual GPU was never measured: the whole card's is taken"
        return known.around(size, "assumed", reason, UNMEASURED)
    if shares_host_memory(name):
        reason = "the context of a GPU that shares the host's memory was never measured"
        return known.around(size, "assumed", reason, UNMEASURED)
    if capability[0] not in known.generations:
        reason = f"no context was measured on compute capability {capability[0]}.{capability[1]}"
        return known.around(size, "assumed", reason, UNMEASURED)
    elsewhere = next((found for named, found in known.measured.items() if parse_name(named).agrees(wanted)), None)
    return known.around(size, "derived") if elsewhere is None else known.around(elsewhere, "published")


@lru_cache(maxsize=1024)
def _on_some(capability: tuple[int, int] | None, budget_bytes: int | None) -> Context:
    """On a GPU that is not named, of a capability or of any, and of a size or of any."""
    known, sizes = load_contexts(), nominal_sizes(capability)
    if budget_bytes is None:
        least, most = min(size.contexts[0] for size in sizes), max(size.contexts[-1] for size in sizes)
        usual = known.usual.get(capability or USUAL_CAPABILITY, known.usual[USUAL_CAPABILITY])
        # Where no card stands for the capability, whatever there is of it is bound to hold the figure.
        figure = round(min(max(usual, least), most))
        return Context(figure, known.around(least).low_bytes, known.around(most).high_bytes, "assumed")
    place = next((at for at, size in enumerate(sizes) if size.bytes >= budget_bytes), len(sizes) - 1)
    own = sizes[place].contexts
    middle: float = own[len(own) // 2]
    largest: float = own[-1] * (1 + known.above)
    for smaller, larger in pairwise(sizes[place:]):
        spare = SPARE_SHARE * max(0, smaller.bytes + 1 - budget_bytes)
        if spare > MOST_BYTES:
            break
        middle = max(middle, larger.contexts[len(larger.contexts) // 2] - spare)
        largest = max(largest, larger.contexts[-1] * (1 + known.above) - spare)
    return Context(round(middle), known.around(own[0]).low_bytes, ceil(largest), "assumed")


@lru_cache(maxsize=64)
def nominal_sizes(capability: tuple[int, int] | None) -> Sequence[Cards]:
    """The current cards by size, the smallest first; all of them where none has the capability."""
    known = load_contexts()
    found: dict[int, set[int]] = {}
    for (gigabytes, of), contexts in known.cards.items():
        if capability in (None, of):
            found.setdefault(gigabytes, set()).update(contexts)
    if not found:
        return nominal_sizes(None)
    return [Cards(gigabytes * 2**30, tuple(sorted(contexts))) for gigabytes, contexts in sorted(found.items())]


@lru_cache(maxsize=4)
def load_contexts(path: Path = FILE) -> KnownContexts:
    """The committed coefficients. Raises FileError for a file that is missing, broken or of another release."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {data['schema_version']!r}, not {SCHEMA_VERSION}")
        found = KnownContexts(
            base_bytes=_number(data["line"]["base_bytes"]),
            thread_bytes=_number(data["line"]["thread_bytes"]),
            below=_number(data["band"]["below"]),
            above=_number(data["band"]["above"]),
            measured={str(name): _number(size) for name, size in data["measured_bytes"].items()},
            generations=tuple(map(int, data["generations"])),
            usual={_capability(text): _number(size) for text, size in data["usual_bytes"].items()},
            cards={
                (_count(int(gigabytes)), _capability(text)): tuple(map(_count, contexts))
                for gigabytes, by_capability in data["cards"].items()
                for text, contexts in by_capability.items()
            },
        )
        if USUAL_CAPABILITY not in found.usual or not found.cards or not all(found.cards.values()):
            raise ValueError("it names no cards")
        if found.below >= 1:
            raise ValueError("the band reaches below nothing")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"{error!r}" if isinstance(error, KeyError | TypeError | AttributeError) else str(error)
        raise FileError(
            f"{path}: the contexts of GPUs cannot be read: {what}.",
            "Take the file of this release, or make it again with scripts/fit_contexts.py.",
        ) from error
    return found


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is not a number of 0 or more")
    return float(value)


def _count(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{value!r} is not a number of 1 or more")
    return value


def _capability(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
