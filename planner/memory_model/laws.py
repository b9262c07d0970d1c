"""The laws of the memory model and what else a fit gives: values without a file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf
from typing import NamedTuple, cast

from planner.memory_model.arrays import weight_bytes
from planner.nouns.words import OTHER_MODELS, VARIANTS, ProvenanceKind, Runtime, Task, Variant, Width

GENERATIONS = {"7.5": (7, 5), "8.0": (8, 0), "8.6": (8, 6), "8.9": (8, 9), "12.0": (12, 0)}
"""Capabilities that have laws of their own; the others take those of the nearest, which generation_of names."""
LAWS_OF: tuple[ProvenanceKind, ...] = ("rehearsed", "published")
"""What laws are fitted to."""
OTHER_PROGRAM = "any"
"""In a generation's place: of the published re-implementation, whose GPU nobody named."""
Key = tuple[str, Task, Width, str]
"""Whose laws (see `whose`), task, width and generation."""


def whose(runtime: Runtime, variant: Variant) -> str:
    """Whose laws hold: those of the runtime, or of a model that only one has its own, by its name."""
    return variant if variant in OTHER_MODELS else runtime


def runtime_of_laws(name: str) -> Runtime:
    """The runtime whose code the laws of that name are of."""
    return "transformers" if name in OTHER_MODELS else cast(Runtime, name)


def variants_of_laws(name: str) -> tuple[Variant, ...]:
    """The variants whose curves they hold."""
    return tuple(one for one in OTHER_MODELS if one == name) or VARIANTS


def generation_of(capability: tuple[int, int] | None) -> str:
    """The generation whose laws hold for a capability; of None that of most cards."""
    if capability is None or capability[0] == 8:
        return {(8, 0): "8.0", (8, 9): "8.9"}.get(capability or (8, 6), "8.6")
    return "7.5" if capability[0] < 8 else "12.0"


LAID_OUT = ("7.5", "8.6", "12.0")
"""Generations for which rows of every runtime were laid out; of the others only those of our own were."""


def generation_of_row(runtime: Runtime, capability: tuple[int, int] | None) -> str:
    """The generation whose laws are fitted to a row: few rows drawn at random make no laws."""
    generation = generation_of(capability)
    return generation if runtime == "own" or generation in LAID_OUT else generation_of(None)


@dataclass(frozen=True, slots=True)
class Curve:
    """Bytes over pixels: straight lines between `pixels`, level before the first, going on after the last."""

    pixels: tuple[int, ...]
    """Rising."""
    bytes: tuple[float, ...]
    """Never falling; as many."""
    slope: float
    """Bytes per pixel beyond the last."""

    def at(self, pixels: float) -> float:
        """Bytes at so many pixels."""
        known = self.pixels
        place = bisect_right(known, pixels)
        if place == 0:
            return self.bytes[0]
        low = known[place - 1]
        if place == len(known):
            return self.bytes[-1] + (pixels - low) * self.slope
        share = (pixels - low) / (known[place] - low)
        return self.bytes[place - 1] + share * (self.bytes[place] - self.bytes[place - 1])


@dataclass(frozen=True, slots=True)
class Spill:
    """What is reserved once the masks of large pictures or of many objects no longer fit into the cache.

    Up to there they take blocks that the encoder left, and cost nothing.
    """

    constant: float
    share: float
    """The share of the law's table or curve that is still in use then, or of no use."""
    growth: Mapping[str, float]
    """As a law's."""


@dataclass(frozen=True, slots=True)
class Law:
    """How one quantity of a runtime, task and width follows from pixels, the variant and the features."""

    curves: Mapping[Variant, Curve]
    """By variant: bytes beside the weights and the features."""
    growth: Mapping[str, float]
    """By feature (planner.memory_model.features): bytes for each of its units."""
    spill: Spill | None = None
    """For reserved bytes; None where everything that grows is added."""
    tables: Mapping[Variant, Sequence[float]] = field(default_factory=dict)
    """By variant: the same as a curve, at each resolution of the group that was run; it may fall from one to the next,
    as what the allocator reserves does."""

    def at(self, variant: Variant, place: int | None, pixels: float) -> float:
        """Bytes at the resolution in that place of the group's list, or of None at so many pixels."""
        return self.curves[variant].at(pixels) if place is None else self.tables[variant][place]


SMALL_PAGE, LARGE_PAGE = 2 << 20, 20 << 20
"""Bytes: what segments that grow are made of, in the pool of blocks up to 1 MiB and in that of larger ones.

kSmallBuffer and kLargeBuffer, the same in torch 2.5 to 2.14: planner/simulator/rules.py has the lines."""


class Rehearsed(NamedTuple):
    """A run that was rehearsed. Bytes of the allocator."""

    allocated: int
    reserved: int
    least: int | None
    """Reserved bytes with which it still completes, where they were sought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The laws of one runtime or model, task, width and generation of GPUs."""

    whose: str
    """See the function of that name."""
    task: Task
    width: Width
    generation: str
    """One of GENERATIONS, or OTHER_PROGRAM."""
    phases: Mapping[str, Law]
    """Allocated bytes at the peak of each phase, in order, weights not counted."""
    reserved: Law | None = None
    """Reserved bytes at the end, weights not counted; None where segments grow, of which the following say it."""
    extents: Mapping[str, Law] = field(default_factory=dict)
    """How far the range of the large pool is used in each phase, weights not counted, where segments grow."""
    small: Law | None = None
    """How far that of the small pool is; reserved is either in whole pages."""
    provenance: ProvenanceKind
    """Where the fitted rows come from: rehearsed or published."""
    places: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """Where a resolution, shorter side first, stands in the laws' tables."""
    run: Mapping[Variant, frozenset[int]] = field(default_factory=dict)
    """By variant: the places of resolutions that were run on this generation; the others are taken from another."""
    known: Mapping[tuple[Variant, tuple[int, int]], Mapping[str, Rehearsed]] = field(default_factory=dict)
    """Runs by variant and resolution, then by name_of."""
    most_reserved: float = inf
    """The most that any run reserved of what it allocated, where one law says it; math attention keeps scores of every
    length, and more."""
    largest_pixels: int
    """The largest resolution that was fitted to; the following likewise."""
    largest_objects: int
    largest_frame_pixels: int
    """The largest pictures of the source."""

    @property
    def runtime(self) -> Runtime:
        """Whose code runs."""
        return runtime_of_laws(self.whose)

    @property
    def item_bytes(self) -> int:
        """Bytes of a weight on the GPU."""
        return weight_bytes(self.runtime, self.width)

    @property
    def laws(self) -> tuple[Law, ...]:
        """All of them."""
        others = (law for law in (self.reserved, self.small) if law is not None)
        return (*self.phases.values(), *self.extents.values(), *others)

    def was_run(self, variant: Variant, resolution: tuple[int, int]) -> bool:
        """Whether the variant was run at that resolution on this generation."""
        place = self.places.get((min(resolution), max(resolution)))
        return place is not None and place in self.run.get(variant, ())


KINDS = USUAL, OTHER = "usual", "other"
"""Kinds of runs: at a resolution that was rehearsed, as planning proposes it first; and all else (beyond.is_usual)."""
COVERAGE = 0.95
"""The share of runs that margins cover."""


def conformal_rank(rows: int) -> int:
    """The rank among n held-out rows below which a further one stays with a probability of COVERAGE."""
    return min(rows, ceil(COVERAGE * (rows + 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """How far the truth of reserved bytes lay above the prediction, in rows that were not fitted (split conformal)."""

    ratio: float
    """The k-th smallest of truth / prediction - 1 over n rows, k = ceil(0.95 (n + 1)), or the largest; at least 0.
    Where segments grow, by how much their extents have to be widened for the pages to cover the truth."""
    rows: int
    """n: a further row of the same kind stays below with a probability of at least `coverage`."""

    @property
    def coverage(self) -> float:
        """K / (n + 1), which fewer than 19 rows cannot bring to 95 %."""
        return conformal_rank(self.rows) / (self.rows + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What rows measured on one GPU say of the laws."""

    gpu: str
    runtime: Runtime
    allocated_ratio: float
    reserved_ratio: float
    context_bytes: int | None
    """Measured, of processes that were alone; None where none was."""
    margin: Margin
    """Margin of the total after correction, from rows held out."""
    notes: tuple[str, ...]
    """Why the margin is wider than its rows say, such as another version of torch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """What the regression and its held-out rows gave."""

    groups: Mapping[Key, Group]
    """By whose laws they are, task, width and generation."""
    margins: Mapping[tuple[str, Task, str], Margin]
    """By whose laws, task and kind (USUAL or OTHER): of reserved bytes."""
    least: Mapping[tuple[str, Task], float]
    """By whose laws and task: the share of the cache, what is reserved beyond what is allocated, that a run cannot give
    back when memory runs short."""
    beyond: float
    """Relative, of reserved bytes: how far more pixels than were fitted to lay above the prediction, when held out."""
    corrections: tuple[Correction, ...]
    profiles: tuple[str, ...]
    memory_model: str
    """Name of this fit."""
    versions: Mapping[str, str]
    """Versions of the packages that were rehearsed."""

    def group(self, name: str, task: Task, width: Width, generation: str) -> Group | None:
        """The laws of a generation; where it has none those of most cards, and of the published program its own."""
        for of in (generation, generation_of(None), OTHER_PROGRAM):
            found = self.groups.get((name, task, width, of))
            if found is not None:
                return found
        return None
