"""The nouns of questions: why not another, how far a budget carries, what it takes, what differs, how many at once.

Frozen values like those of the domain, which they are made of. Bytes are integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.errors import EXIT_DOES_NOT_FIT, EXIT_FITS, EXIT_WARNING
from planner.nouns.brief import brief
from planner.nouns.plan import Plan, Stock
from planner.nouns.request import Budget, Headroom, Request
from planner.nouns.run import Configuration
from planner.nouns.shown import shown
from planner.nouns.words import LostBy, Origin, Purpose, Runtime, Standing, Verdict

if TYPE_CHECKING:
    from planner.nouns.elsewhere import Elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One candidate class in the order of preference, and why it is or is not the choice."""

    rank: int
    """1 for the class that would be preferred to all others, if everything surely fitted."""
    outcome: Standing
    configuration: Configuration
    """The way it would run where it fits, else the smallest of the class."""
    quality: float | None
    quality_is_estimate: bool
    frames_per_second: float | None
    """As in a Choice; None for other tasks than video."""
    need_bytes: int | None
    """The least that it completes in; None where the GPU cannot run it."""
    total_bytes: int | None
    """What it takes with room to spare."""
    upper_bytes: int | None
    limit_bytes: int
    """What may be used."""
    component: str | None
    """Where it does not fit, the component that takes most more than in the choice. Where nothing fits, the
    comparison is with the nearest miss, whose own entry names its largest component. "capability" where the GPU
    cannot run it."""
    component_bytes: int | None
    """The size of that component."""
    excess_bytes: int | None
    """By how much it is larger than what it is compared with; None for the nearest miss, which is compared with
    nothing."""
    lost_by: LostBy | None
    """In what it loses to the choice; None unless it fits and was not chosen."""
    reason: str
    """All of this in a sentence."""
    quality_reason: str | None = None
    """Why `quality` is None."""
    frames_per_second_reason: str | None = None
    """Why `frames_per_second` is None."""

    @property
    def short_by_bytes(self) -> int | None:
        """What is missing; None where nothing is, or the GPU cannot run it."""
        missing = None if self.need_bytes is None else self.need_bytes - self.limit_bytes
        return missing if missing is not None and missing > 0 else None

    @property
    def left_bytes(self) -> int | None:
        """What it leaves with room to spare, 0 where nothing is left; None where it does not fit."""
        if self.need_bytes is None or self.total_bytes is None or self.need_bytes > self.limit_bytes:
            return None
        return max(0, self.limit_bytes - self.total_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What one configuration takes on one runtime, predicted or published. A figure is None where `note` says why."""

    runtime: Runtime
    allocated_bytes: int | None
    reserved_bytes: int | None
    total_bytes: int | None
    least_bytes: int | None
    """What it completes in; publications do not say."""
    upper_bytes: int | None
    """The bound of a prediction; publications have none."""
    host_bytes: int | None
    origin: Origin
    note: str | None = None
    """Why there are no figures; for a publication what exactly it measured, and where it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far one variant reaches in one precision. A figure is None where `reasons` says why.

    The figures max_* are the largest that fit, the figures sure_* the largest that fit with their upper bound, each in
    whichever way of running it planning would take: memory bank on the GPU or the host, objects or points per pass.
    """

    configuration: Configuration
    """At the pinned resolution or the native one, in the preferred way."""
    need_bytes: int | None
    """The least that the request completes in there, in any way; None where the GPU cannot run it."""
    total_bytes: int | None
    """What that way takes with room to spare."""
    upper_bytes: int | None
    """The lowest upper bound of any way."""
    limit_bytes: int
    """What may be used."""
    max_objects: int | None
    """Tracked at the resolution of `configuration`."""
    sure_objects: int | None
    gpu_objects: int | None
    """How many of max_objects fit with the memory bank on the GPU; 0 where not even one does."""
    host_bytes: int | None
    """What the host holds of the request in the preferred way."""
    unlimited_frames: bool
    """Whether a video without end fits at that resolution: a bounded memory bank holds the same for any length."""
    max_square: tuple[int, int] | None
    """The largest square resolution for the objects of the request."""
    sure_square: tuple[int, int] | None
    max_shaped: tuple[int, int] | None
    """The largest resolution with the picture's aspect ratio."""
    sure_shaped: tuple[int, int] | None
    extrapolated: tuple[str, ...]
    """Names of the largest figures that lie beyond what was rehearsed or measured."""
    reasons: Mapping[str, str]

    @property
    def short_by_bytes(self) -> int | None:
        """What the request lacks at that resolution; None where it fits, or the GPU cannot run it."""
        if self.need_bytes is None or self.need_bytes <= self.limit_bytes:
            return None
        return self.need_bytes - self.limit_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """How far a budget reaches, variant by variant: the answer of `limits`."""

    __repr__ = brief
    _repr_html_ = shown

    request: Request
    budget: Budget
    reach: tuple[Reach, ...]
    """For each variant two precisions: the official recipe, or what the GPU runs in its place, and the precision
    that takes least."""
    stock: tuple[Stock, ...]
    """The stock predictor with each variant, for a clip without end: where it runs out says how long a clip may be."""
    others: tuple[Elsewhere, ...] = ()
    """The same of the other runtimes that were asked for."""
    warnings: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0; 3 where no variant runs at any resolution."""
        return EXIT_FITS if any(one.max_square for one in self.reach) else EXIT_DOES_NOT_FIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """The smallest budgets for one candidate class, headroom included. A figure is None where `reasons` says why."""

    purpose: Purpose
    configuration: Configuration
    """The way of running the class that takes least."""
    need_bytes: int
    """The least that it completes in."""
    total_bytes: int
    """What it takes with room to spare."""
    budget_bytes: int | None
    """The smallest budget under which there is a plan."""
    card: str | None
    """The size of card that this calls for, such as "2 GB"."""
    sure_configuration: Configuration
    """The way that is planned where the upper bound first fits too."""
    upper_bytes: int
    """The upper bound of sure_configuration."""
    sure_budget_bytes: int | None
    """The smallest budget under which a plan surely fits."""
    sure_card: str | None
    preferred_budget_bytes: int | None
    """The budget from which on it surely fits, and is planned, in the preferred way (memory bank on the GPU, one
    object per pass, 64 points per batch of automatic masks), however much more there is."""
    command: str | None
    """Plans with exactly the smallest budget and what is pinned here."""
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """Cards known by name that have one memory size and one verdict."""

    total_bytes: int
    """Memory of the card that has least of them: sizes that read the same are one."""
    verdict: Verdict
    """fits or tight, as a plan for each of them would say."""
    names: tuple[str, ...]
    """The newest compute capability first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What a request needs: the answer of `need`."""

    __repr__ = brief
    _repr_html_ = shown

    request: Request
    headroom: Headroom
    runtime: Runtime
    """own or stock."""
    needs: tuple[Need, ...]
    """The smallest first, then each variant that is open in every precision."""
    cards_for: Need
    """What the cards were looked up for: the official recipe of a pinned variant, else the smallest."""
    cards: tuple[Cards, ...]
    """Those that have it, the smallest memory first."""
    further_cards: int
    """How many more have it, with more memory than those."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that differs between two plans. A value is None in a plan that does not have it."""

    section: str
    """request, budget, decision, chosen, limits or provenance."""
    name: str
    first: object
    second: object


@dataclass(frozen=True, slots=True)
class BytesBeside:
    """The same figure of two plans; None in a plan that chose nothing."""

    name: str
    first_bytes: int | None
    second_bytes: int | None

    @property
    def difference_bytes(self) -> int | None:
        """The second less the first; None where one of them is None."""
        if self.first_bytes is None or self.second_bytes is None:
            return None
        return self.second_bytes - self.first_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two plans side by side."""

    __repr__ = brief
    _repr_html_ = shown

    first: Plan
    second: Plan
    differences: tuple[Difference, ...]
    """What differs, bytes aside."""
    figures: tuple[BytesBeside, ...]
    """allocated, reserved, context, total, least, upper bound, and what is left of the usable budget; differing or
    not."""
    components: tuple[BytesBeside, ...]
    """The parts of the totals; differing or not."""
    elsewhere: tuple[str, ...]
    """Other keys of the documents that differ, such as alternatives."""

    @property
    def equal(self) -> bool:
        """Whether nothing differs at all."""
        beside = (*self.figures, *self.components)
        same = all(one.first_bytes == one.second_bytes for one in beside)
        return same and not self.differences and not self.elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedGpu:
    """What one GPU holds of several streams, each a process with a CUDA context of its own."""

    budget: Budget
    """The budget of this GPU, with what is held back of it."""
    streams: int
    process_bytes: int | None
    """Predicted total of one process here; None where nothing was chosen. The context follows the GPU."""
    upper_bytes: int | None
    """Upper bound of one process here."""
    more_streams: int
    """How many further ones would fit."""
    frames_per_second: float | None
    """At most, for each stream here: the streams of one GPU share its time."""

    @property
    def used_bytes(self) -> int:
        """What its processes take together; a single one may take less than its total, giving cache back."""
        return min(self.streams * (self.process_bytes or 0), self.budget.usable_bytes)

    @property
    def left_bytes(self) -> int:
        """What they leave of the usable budget."""
        return self.budget.usable_bytes - self.used_bytes

    @property
    def cap_bytes(self) -> int | None:
        """What each may take without taking from its neighbours; None where none runs."""
        return self.budget.usable_bytes // self.streams if self.streams else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """Several independent streams of one request on the GPUs there are."""

    __repr__ = brief
    _repr_html_ = shown

    streams: int
    plan: Plan
    """The plan of one process. Its budget is what each may take; its suggestions and its command are for the
    packing."""
    gpus: tuple[PackedGpu, ...]
    verdict: Verdict
    """fits where the upper bounds of all processes fit together on each GPU, else tight, or does_not_fit."""
    max_streams: int
    """How many fit with this configuration; 0 where nothing was chosen."""
    max_streams_smallest: int
    """How many fit with the smallest configuration that the pins leave open."""
    frames_per_second: float | None
    """At most, for all streams together; None where none is published."""
    frames_per_second_reason: str | None
    """Why `frames_per_second` is None."""
    warnings: tuple[str, ...]
    """Warnings about the budgets; those of the plan are in the plan."""

    @property
    def exit_code(self) -> int:
        """0: it fits; 3: it does not; 4: it fits only tightly, and the plan is strict."""
        if self.verdict == "does_not_fit":
            return EXIT_DOES_NOT_FIT
        return EXIT_WARNING if self.plan.strict and self.verdict == "tight" else EXIT_FITS
