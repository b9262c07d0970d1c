"""What another release of torch, or an older sam2, changes of what the laws say, in bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from typing import NamedTuple

from planner.catalog.torch_rules import NEWEST, Release, TorchRules, rules_of, said
from planner.errors import UsageError
from planner.memory_model import arrays
from planner.memory_model.laws import GENERATIONS
from planner.nouns.words import POSITION_TABLES, PositionTables, Runtime, Task, Variant, Width
from planner.text.spelling import check_word

BUILT, USED, NONE = POSITION_TABLES
CASTS: Mapping[str, tuple[int, int]] = {
    "tiny": (66_861_056, 66_861_056),
    "small": (83_360_256, 83_360_256),
    "base_plus": (159_426_560, 159_426_560),
    "large": (443_225_600, 591_396_864),
}
"""By variant: allocated and reserved bytes that stock takes more for an image under autocast where it keeps its copies
of weights. Simulated at 1024x1024 by the rules of torch 2.8 and of 2.14, reserved at least the allocated ones; they
depend neither on the resolution nor on objects."""
VIDEO_CASTS_BYTES = 2 * arrays.VIDEO_PARAMETERS
"""Beside them, copies of what only video runs."""
WARM_SIDES = (256, 128, 64, 32)
"""Sides of the tables that sam2 makes with the model, whatever the resolution: 1024 by strides of 4 to 32
(sam2/modeling/position_encoding.py, PositionEmbeddingSine.__init__)."""
NECK_BYTES, MEMORY_BYTES = 256 * 4, 64 * 4
"""Bytes of one position: float32 in the channels of the image encoder's neck and of the memory encoder."""
WARM_BYTES = sum((NECK_BYTES + MEMORY_BYTES) * side * side for side in WARM_SIDES)
ROTARY_BYTES = 8 * 64 * 64 * 128 * 8
"""Bytes of the rotary tables of memory attention's four layers, two each: complex64, 128 numbers for each of 64x64
tokens (RoPEAttention.__init__, sam2/modeling/sam/transformer.py)."""
MAKING_BYTES = 32 << 20
"""What making the neck's tables anew takes at 1024x1024 while its features are there: half of the largest one, 128
channels in float32 at 256x256 (PositionEmbeddingSine._pe)."""
PEAK_IN_NECK = ("tiny", "small")
"""Variants whose peak in encode is there, in 16 bits (simulated); that of the others, in the trunk, is no higher."""
_NUMBERS = re.compile(r"(\d+)\.(\d+)")


class Difference(NamedTuple):
    """Bytes beside what the laws say, by phase."""

    workspace: int = 0
    """In every phase but load."""
    casts: int = 0
    """Copies of weights: from encode on."""
    before: float = 0.0
    """Tables of positions, in load and init."""
    encode: float = 0.0
    """The same in encode, and beside its activations what making them takes."""
    after: float = 0.0
    """The same in later phases."""
    reserved: float = 0.0
    """Bytes of copies and tables, in what the allocator holds in the end."""

    def of(self, phase: str) -> float:
        """Bytes of a phase."""
        if phase == "load":
            return self.before
        if phase == "init":
            return self.workspace + self.before
        return self.workspace + self.casts + (self.encode if phase == "encode" else self.after)


class Releases(NamedTuple):
    """Whose rules count, beside those that the laws were fitted by."""

    torch: TorchRules
    fitted: TorchRules
    tables: PositionTables = BUILT
    """When stock makes its tables of positions: one of POSITION_TABLES."""
    newer: str | None = None
    """The release that counts, where it is newer than the figures or not known; None where it is neither."""

    @property
    def as_fitted(self) -> bool:
        """Whether runs that were rehearsed take what they took there: the same rules, the same tables."""
        return self.torch == self.fitted and self.tables == BUILT

    def workspace_bytes(self, capability: tuple[int, int] | None, generation: str) -> int:
        """What workspaces take more (or less) than in the rows that a generation's laws were fitted to."""
        fitted = GENERATIONS.get(generation)
        return self.torch.workspace_bytes(capability or fitted) - self.fitted.workspace_bytes(fitted)

    def casts(self, runtime: Runtime, task: Task, width: Width, variant: Variant) -> tuple[int, int]:
        """Allocated and reserved bytes of the copies of weights that autocast keeps."""
        # The own runtime's weights want no gradients, which autocast takes for a sign not to keep copies.
        if runtime != "stock" or width != "autocast" or self.torch.keeps_casts == self.fitted.keeps_casts:
            return 0, 0
        allocated, reserved = CASTS[variant]
        further = VIDEO_CASTS_BYTES if task == "video" else 0
        sign = 1 if self.torch.keeps_casts else -1
        return sign * (allocated + further), sign * (reserved + further)

    def difference(
        self,
        runtime: Runtime,
        task: Task,
        width: Width,
        variant: Variant,
        pixels: int,
        capability: tuple[int, int] | None,
        generation: str,
    ) -> Difference:
        """For one configuration, beside the laws of a generation."""
        casts, casts_reserved = self.casts(runtime, task, width, variant)
        workspace = self.workspace_bytes(capability, generation)
        if runtime != "stock" or self.tables == BUILT:
            return Difference(workspace, casts, reserved=casts_reserved)
        before, after, made, making = _tables(self.tables, task, pixels)
        if self.tables == USED or width == "float32" or variant not in PEAK_IN_NECK:
            making = 0.0
        # Tables that are made between activations keep blocks apart, which costs about as much again (simulated).
        reserved = after + made + 2 * making
        return Difference(workspace, casts, before, after + making, after, casts_reserved + reserved)

    def notes(self, figures: str) -> tuple[str, ...]:
        """What to say of an estimate; `figures` is the version of torch that they are of."""
        notes = []
        if self.newer is not None:
            notes.append(
                f"the figures are of torch {figures}; what torch {self.newer} changed is not known: "
                f"counted by the rules of {said(self.torch.release)}"
            )
        if self.tables != BUILT:
            notes.append(f"without tables of positions that sam2 {WORDS[self.tables]}: derived, in no row")
        return tuple(notes)


WORDS: dict[PositionTables, str] = {
    USED: "makes with the model only since December 2024",
    NONE: "keeps, as forks have it",
}


def releases_of(figures: str, version: str | None = None, tables: PositionTables = BUILT) -> Releases:
    """The rules of a version of torch, beside those of the figures ("2.14.1", or several joined by "and").

    Of None the torch that plans are for counts. Raises UsageError for an unknown version or kind of tables.
    """
    check_word(tables, "kind of position tables", POSITION_TABLES)
    newest = release_in(figures)
    rules, asked = rules_of(version), _release_that_counts(version)
    unknown = asked > newest or asked > NEWEST or asked < rules.release
    return Releases(rules, TorchRules(newest), tables, said(asked) if unknown else None)


def release_in(figures: str) -> Release:
    """The newest release that versions name ("2.14.1 and 2.15.0")."""
    return max(((int(major), int(minor)) for major, minor in _NUMBERS.findall(figures)), default=NEWEST)


def releases_as_fitted(figures: str) -> Releases:
    """Nothing but the rules that the figures were made by."""
    return Releases(TorchRules(release_in(figures)), TorchRules(release_in(figures)))


def check_tables(tables: PositionTables, runtime: Runtime | None) -> None:
    """Raises UsageError for tables of positions of a runtime that has none of stock's."""
    check_word(tables, "kind of position tables", POSITION_TABLES)
    if tables != BUILT and runtime != "stock":
        raise UsageError(
            f"position_tables {tables} is a matter of the stock predictors, not of {runtime or 'own'}.",
            "Leave it out, or ask for the runtime stock.",
        )


def _release_that_counts(version: str | None) -> Release:
    from planner.catalog.torch_builds import planned_build
    from planner.catalog.torch_rules import release_of

    return planned_build().release if version is None else release_of(version)


def _tables(when: str, task: Task, pixels: int) -> tuple[float, float, float, float]:
    """What tables of positions take more than where they are made with the model, in four figures.

    Before the first frame; after it; what is made at the first use; what making them anew takes in the neck.
    """
    sides = [isqrt(pixels) // stride for stride in (4, 8, 16, 32)]
    video = task == "video"
    made = sum(NECK_BYTES * side * side for side in sides) + (MEMORY_BYTES * sides[2] ** 2 if video else 0)
    beyond = sum(NECK_BYTES * side * side for side in sides if side not in WARM_SIDES)
    # Video brings the rotary tables to the GPU sooner or later; images have no use for them.
    kept = -WARM_BYTES - (0 if video else ROTARY_BYTES) - beyond
    before = -WARM_BYTES - ROTARY_BYTES
    if when == USED:
        return before, kept + made, made, 0.0
    return before, kept, 0.0, MAKING_BYTES * pixels / 1024**2
