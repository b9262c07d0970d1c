"""The nouns: what is asked, what may be run, what it costs, what was decided.

Frozen values without logic beyond their own; every other module includes this one and little else.
Bytes are integers; resolutions and frame sizes are (height, width) in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from planner.errors import EXIT_DOES_NOT_FIT, EXIT_FITS, EXIT_WARNING
from planner.nouns.brief import brief
from planner.nouns.estimate import Asked, Estimate
from planner.nouns.request import Budget, Request
from planner.nouns.run import Configuration
from planner.nouns.shown import shown
from planner.nouns.words import (
    Attention,
    Precision,
    Variant,
    Verdict,
    Version,
)

if TYPE_CHECKING:
    from planner.nouns.answers import Explained
    from planner.nouns.elsewhere import Elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A configuration with what it is worth and what it costs."""

    __repr__ = brief

    configuration: Configuration
    quality: float | None
    """Accuracy in percent, by `quality_metric`; None where nothing is published that would say it."""
    quality_is_estimate: bool
    """True between the resolutions of the paper's ablation; False for a published figure, and without one."""
    frames_per_second: float | None
    """The speed that is published for this card and case; None elsewhere."""
    estimate: Estimate
    quality_metric: str | None = None
    """What `quality` measures, such as J&F on SA-V test."""
    quality_reason: str | None = None
    """Why `quality` is None."""
    frames_per_second_of: str | None = None
    """Whose code, card, mode and source the speed is from."""
    frames_per_second_reason: str | None = None
    """Why `frames_per_second` is None."""

    @property
    def variant(self) -> Variant:
        """The variant of the configuration."""
        return self.configuration.variant

    @property
    def version(self) -> Version:
        """The version of the checkpoints."""
        return self.configuration.version

    @property
    def resolution(self) -> tuple[int, int]:
        """Height and width of what SAM 2 computes at."""
        return self.configuration.resolution

    @property
    def precision(self) -> Precision:
        """The precision of the configuration."""
        return self.configuration.precision

    @property
    def attention(self) -> Attention:
        """The attention kernel of the configuration."""
        return self.configuration.attention


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A configuration that was turned down, as the smallest of its class."""

    configuration: Configuration
    need_bytes: int | None
    """The least that it completes in, or what the host would hold where that is too much; None where the GPU cannot
    run it."""
    total_bytes: int | None
    """What it takes with room to spare; None where it is the host or the GPU itself that does not suffice."""
    limit_bytes: int
    """What is usable of the GPU's budget, or of the host's memory."""
    short_by_bytes: int | None
    """What is missing of the least; None where the GPU cannot run it."""
    component: str
    """The largest component of the peak, "host", or the capability that is missing."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far the chosen variant and version reach, in every precision and way of running that the pins leave open.

    Objects are counted up to 1,000,000. The figures max_* are the largest for which planning finds a way, the figures
    sure_* the largest whose plan fits with its upper bound; all else is as in the request. A figure is None where
    `reasons` says why.
    """

    max_objects: int | None
    """At the chosen resolution."""
    sure_objects: int | None
    gpu_objects: int | None
    """How many of max_objects fit with the memory bank on the GPU."""
    max_frames: int | None
    """None with `unlimited_frames` means a clip without end."""
    unlimited_frames: bool
    max_resolution: tuple[int, int] | None
    """At the chosen aspect ratio."""
    sure_resolution: tuple[int, int] | None
    smallest_total_bytes: int | None
    """The smallest budget under which this request has a plan, headroom included."""
    smallest_card: str | None = None
    """The size of card that this budget calls for, such as "2 GB"."""
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """The same request on the stock predictor of the sam2 package, at the official recipe."""

    configuration: Configuration
    total_bytes: int | None
    """None where it grows without end or cannot be run; `reason` says which."""
    fits: bool
    """Whether it completes; `tight` says whether only because the allocator gives cache back."""
    first_frame_out_of_memory: int | None
    """The frame, counted from 1, at which it fails although all cache was given back; None where it completes."""
    reason: str
    """Why it does not fit, or that it fits only tightly."""
    least_bytes: int | None = None
    """The least that it completes in; None where total_bytes is None."""
    tight: bool = False
    """Whether it completes only because the allocator gives cache back."""
    host_bytes: int | None = None
    """What it holds in the host's memory; None for a clip without end, and for what cannot be run."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A change that was verified to give a plan, and the command for it."""

    change: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where the figures come from."""

    profiles: tuple[str, ...]
    """Names of the profiles that the memory model was fitted to."""
    memory_model: str
    """The form of the memory model."""
    versions: Mapping[str, str]
    """The release of sam2-plan, and those of the packages that the figures come from."""
    exact: Asked | None = None
    """What an exact plan took to make; None for a predicted one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The decision and everything that supports it."""

    __repr__ = brief
    _repr_html_ = shown

    request: Request
    budget: Budget
    verdict: Verdict
    strict: bool
    """Whether a choice that fits only tightly counts as a failure (exit code 4)."""
    chosen: Choice | None
    """The best configuration that fits; None where nothing does."""
    alternatives: tuple[Choice, ...]
    """Other choices that fit, the likeliest kind first."""
    rejected: tuple[Rejection, ...]
    """What would have been preferred but does not fit, in order of preference; where nothing fits, nearest miss
    first."""
    limits: Limits
    stock: Stock
    others: tuple[Elsewhere, ...] = ()
    """The same on the other runtimes that were asked for."""
    suggestions: tuple[Suggestion, ...]
    """What would help, each planned again before it was said."""
    warnings: tuple[str, ...]
    command: str | None
    """The command that plans this again, keeps the plan and runs it."""
    command_reason: str | None
    """Why `command` is None."""
    candidates: int
    """How many configurations were weighed."""
    provenance: Provenance
    explained: tuple[Explained, ...] | None = None
    """Every candidate class in order of preference; None unless it was asked for."""

    @property
    def fits(self) -> bool:
        """True where something was chosen, tight or not."""
        return self.chosen is not None

    @property
    def estimate(self) -> Estimate | None:
        """What the choice takes; None where nothing was chosen."""
        return self.chosen.estimate if self.chosen else None

    @property
    def exit_code(self) -> int:
        """0: it fits; 3: nothing does; 4: it fits only tightly, and the plan is strict."""
        if self.chosen is None:
            return EXIT_DOES_NOT_FIT
        return EXIT_WARNING if self.strict and self.verdict == "tight" else EXIT_FITS
