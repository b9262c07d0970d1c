"""The nouns: what is asked, what may be run, what it costs, what was decided.

Frozen values without logic beyond their own; every other module includes this one and little else.
Bytes are integers; resolutions and frame sizes are (height, width) in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from planner.brief import brief
from planner.words import (
    Attention,
    BudgetSource,
    DrivenRuntime,
    ExactMethod,
    HostSource,
    Precision,
    Preference,
    ProvenanceKind,
    Task,
    Variant,
    Verdict,
    Version,
)

if TYPE_CHECKING:
    from planner.answers import Explained

FULL_BANK_FRAMES = 18
"""Frames after which a bounded memory bank is full and no array grows (its pointers are all there after 16)."""

EXIT_FITS, EXIT_FAILED, EXIT_USAGE, EXIT_DOES_NOT_FIT, EXIT_WARNING, EXIT_NOT_CONFIRMED = range(6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What the user wants done."""

    task: Task
    objects: int = 1
    """Objects tracked in a video, or prompted in one image. Automatic masks have none."""
    frames: int | None = 1
    """Length of the clip; None means a clip without end."""
    frame_size: tuple[int, int] = (1080, 1920)
    """Height and width of the source picture in pixels, at which masks are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """How it is done."""

    variant: Variant
    version: Version
    """The version of the checkpoints."""
    resolution: tuple[int, int]
    """What SAM 2 computes at, height and width in pixels: multiples of 32."""
    precision: Precision
    """The autocast ones keep float32 weights."""
    attention: Attention = "auto"
    """The scaled-dot-product kernel; auto is what torch picks."""
    object_batch: int = 1
    """Objects (automask: points) of one pass through the mask decoder."""
    bounded_memory_bank: bool = True
    """Keep only what SAM 2 will read again: the own runtime does. False is the stock predictor, which keeps all."""
    offload_video: bool = False
    """Decoded frames stay on the host. Makes no difference to a bounded memory bank, which streams them."""
    offload_state: bool = False
    """The memory bank stays on the host."""


def name_of(configuration: Configuration, workload: Workload, capability: tuple[int, int]) -> str:
    """What two runs of one group have in common that take the same bytes."""
    c, w = configuration, workload
    frames = w.frames
    if w.task != "video":
        frames = 1
    elif c.bounded_memory_bank and (frames is None or frames > FULL_BANK_FRAMES):
        frames = FULL_BANK_FRAMES  # no clip is longer for the memory bank
    words = (
        c.variant, c.version, *c.resolution, c.attention, w.objects, c.object_batch, frames, *w.frame_size,
        int(c.offload_video), int(c.offload_state), *capability,
    )  # fmt: skip
    return " ".join(map(str, words))


def runtime_of(configuration: Configuration) -> DrivenRuntime:
    """Whose code a configuration is for."""
    return "own" if configuration.bounded_memory_bank else "stock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU by name, or the one that is present."""

    name: str
    total_bytes: int
    free_bytes: int | None = None
    """None where it is not a GPU of this machine."""
    capability: tuple[int, int] | None = None
    """CUDA compute capability (major, minor); None if not known."""
    uuid: str | None = None
    index: int | None = None
    driver: str | None = None
    """Version of the GPU's driver; None where it is not a GPU of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """What is held back of a budget: bytes, or a percentage of it."""

    bytes: int = 0
    percent: float = 0.0
    """Percentage of the budget."""

    def of(self, total_bytes: int) -> int:
        """Bytes held back of `total_bytes`."""
        return min(total_bytes, self.bytes + math.ceil(total_bytes * self.percent / 100))

    def budget_for(self, need_bytes: int) -> int:
        """The smallest budget that leaves `need_bytes` usable."""
        total = math.ceil((need_bytes + self.bytes) / (1 - self.percent / 100))
        # Floats may be a few bytes off either way.
        while total - 1 - self.of(total - 1) >= need_bytes:
            total -= 1
        while total - self.of(total) < need_bytes:
            total += 1
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be used, and what is held back of it."""

    total_bytes: int
    headroom: Headroom
    source: BudgetSource
    gpu: Gpu | None = None
    host_bytes: int | None = None
    """Memory of the host that may be used; None where nobody said, and another machine may be meant."""
    host_source: HostSource | None = None
    """None where host_bytes is None."""
    shared: bool = field(default=False, compare=False)
    """Whether it is part of a GPU on which further processes run. These give no cache back for the sake of this one,
    so a configuration counts with its total, not with its least. Set while several are packed; not kept with a
    plan."""
    report: str | None = field(default=None, compare=False)
    """Path of the doctor report that the GPU comes from, in place of this machine; for commands, not kept with a
    plan."""

    @property
    def headroom_bytes(self) -> int:
        """What is held back of it."""
        return self.headroom.of(self.total_bytes)

    @property
    def usable_bytes(self) -> int:
        """The budget less its headroom."""
        return self.total_bytes - self.headroom_bytes

    @property
    def capability(self) -> tuple[int, int] | None:
        """Compute capability of the GPU, where one is named and its capability is known."""
        return self.gpu.capability if self.gpu else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What the user fixed; None is free. A pin is never overridden."""

    variant: Variant | None = None
    version: Version | None = None
    resolution: tuple[int, int] | None = None
    """Height and width in pixels."""
    precision: Precision | None = None
    attention: Attention | None = None

    def given(self) -> dict[str, object]:
        """The pins that are set, by name."""
        pairs = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: value for name, value in pairs if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A workload with what is fixed and what is preferred about doing it."""

    workload: Workload
    pins: Pins = field(default_factory=Pins)
    prefer: Preference = "quality"
    frame_size_assumed: bool = False
    """True where the user named no frame size and the workload holds the default."""


@dataclass(frozen=True, slots=True)
class Component:
    """Some of the bytes of a run, with a name and an origin."""

    name: str
    """Such as weights, memory bank, activations or allocator cache."""
    bytes: int
    provenance: ProvenanceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of the run and what is allocated at its peak."""

    name: str
    """Such as load, encode, prompt or track."""
    components: tuple[Component, ...]

    @property
    def allocated_bytes(self) -> int:
        """The sum of the components."""
        return sum(component.bytes for component in self.components)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """How the bytes of an exact answer were found: by a run of this very configuration without a GPU."""

    method: ExactMethod
    gpu: str | None
    """The imaginary GPU that it was rehearsed on; None for a simulation."""
    capability: tuple[int, int]
    """CUDA compute capability that the answer is for."""
    torch: str
    """Version of the torch that ran."""
    cudnn: str | None
    sam2: str | None
    frames: int | None
    """How many frames it ran; None for other tasks than video."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an exact plan took to make."""

    runs: int
    """How many runs were rehearsed or simulated for it."""
    remembered: int
    """How many answers came from the cache."""
    left: int
    """Candidates that may fit and would be preferred to the choice, but were left out because the runs did not
    suffice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Predicted bytes on the GPU at the peak of a run."""

    __repr__ = brief

    allocated_bytes: int
    """Bytes of tensors (torch.cuda.max_memory_allocated)."""
    reserved_bytes: int
    """What the caching allocator holds (torch.cuda.max_memory_reserved)."""
    context_bytes: int
    """The CUDA context and loaded kernels, outside the allocator."""
    total_bytes: int
    """What the process takes: reserved + context."""
    upper_bytes: int
    """One-sided bound of total_bytes: 95 % of held-out runs stayed below theirs."""
    least_bytes: int
    """The smallest memory in which it completes: less than total_bytes where the allocator can give cache back."""
    context_low_bytes: int
    """Lower end of the band in which the context lies: on the GPU, or on any that the budget may stand for."""
    context_high_bytes: int
    """Upper end of the band."""
    components: tuple[Component, ...]
    """The parts of total_bytes at the peak phase; they add up to it."""
    phases: tuple[Phase, ...]
    peak_phase: str
    extrapolated: bool
    """True outside what was rehearsed, measured or published."""
    extrapolated_because: tuple[str, ...] = ()
    """What lies outside, and notes on the figures."""
    host_components: tuple[Component, ...] = ()
    """The parts of host_bytes at the host's own peak; they add up to it."""
    host_bytes_reason: str | None = None
    """Why host_bytes is None."""
    exact: Exact | None = None
    """How the bytes were found; None for a prediction."""

    @property
    def host_bytes(self) -> int | None:
        """What the process holds in the host's memory; None where that is not known."""
        return sum(part.bytes for part in self.host_components) if self.host_components else None


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
