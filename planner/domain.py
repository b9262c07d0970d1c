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
"""Of a bounded memory bank: no array grows beyond (its pointers are all there after 16)."""

EXIT_FITS, EXIT_FAILED, EXIT_USAGE, EXIT_DOES_NOT_FIT, EXIT_WARNING, EXIT_NOT_CONFIRMED = range(6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What the user wants done."""

    task: Task
    objects: int = 1
    """Objects tracked in a video, or prompted in one image. Automatic masks have none."""
    frames: int | None = 1
    """Length of the clip; None is a clip without end."""
    frame_size: tuple[int, int] = (1080, 1920)
    """Height and width of the source picture, at which masks are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """How it is done."""

    variant: Variant
    version: Version
    """Of the checkpoints."""
    resolution: tuple[int, int]
    """What SAM 2 computes at: multiples of 32."""
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
    """Version of its driver; None where it is not a GPU of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """What is held back of a budget: bytes, or a percentage of it."""

    bytes: int = 0
    percent: float = 0.0

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
    """None beside a host_bytes of None."""
    shared: bool = field(default=False, compare=False)
    """Whether it is part of a GPU on which further processes run, which give no cache back for the sake of this one: a
    configuration counts with its total then, not with its least. Set while several are packed, not kept with a plan."""
    report: str | None = field(default=None, compare=False)
    """Path of the doctor report that the GPU is from, in place of this machine; for commands, not kept with a plan."""

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
        """Of the GPU, where one is named and its capability is known."""
        return self.gpu.capability if self.gpu else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What the user fixed; None is free. A pin is never overridden."""

    variant: Variant | None = None
    version: Version | None = None
    resolution: tuple[int, int] | None = None
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
    """Some of the bytes, with a name and an origin."""

    name: str
    bytes: int
    provenance: ProvenanceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of the run and what is allocated at its peak."""

    name: str
    components: tuple[Component, ...]

    @property
    def allocated_bytes(self) -> int:
        """The sum of the components."""
        return sum(component.bytes for component in self.components)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """How bytes were found that no law predicts: by a run of the very configuration without a GPU."""

    method: ExactMethod
    gpu: str | None
    """The imaginary GPU that it was rehearsed on; None of a simulation."""
    capability: tuple[int, int]
    """CUDA compute capability that was asked about."""
    torch: str
    """Version of the torch that ran."""
    cudnn: str | None
    sam2: str | None
    frames: int | None
    """How many it ran; None of other tasks than video."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an exact plan took to make."""

    runs: int
    """Rehearsed or simulated for it."""
    remembered: int
    """Answered from the cache."""
    left: int
    """Candidates that may fit, would be preferred to the choice, and were not asked about: the runs did not suffice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Predicted bytes on the GPU at the peak of a run."""

    __repr__ = brief

    allocated_bytes: int
    """Tensors."""
    reserved_bytes: int
    """What the caching allocator holds."""
    context_bytes: int
    """The CUDA context and loaded kernels, outside the allocator."""
    total_bytes: int
    """What the process takes: reserved + context."""
    upper_bytes: int
    """One-sided bound of total_bytes, from held-out groups."""
    least_bytes: int
    """The smallest memory in which it completes: less than total_bytes where the allocator can give cache back."""
    context_low_bytes: int
    """The band of context_bytes: of the GPU, or of those that the budget may be of."""
    context_high_bytes: int
    components: tuple[Component, ...]
    """Of total_bytes, at the peak phase; they add up to it."""
    phases: tuple[Phase, ...]
    peak_phase: str
    extrapolated: bool
    """True outside what was measured or published."""
    extrapolated_because: tuple[str, ...] = ()
    host_components: tuple[Component, ...] = ()
    """Of host_bytes, at the host's own peak; they add up to it."""
    host_bytes_reason: str | None = None
    """Why host_bytes is None."""
    exact: Exact | None = None
    """How the bytes were found; None of a prediction."""

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
    """In percent, by `quality_metric`; None where nothing is published that would say it."""
    quality_is_estimate: bool
    """True between resolutions of the paper's ablation; False of a published figure, and of none."""
    frames_per_second: float | None
    """Published for this card and case; None elsewhere."""
    estimate: Estimate
    quality_metric: str | None = None
    quality_reason: str | None = None
    """Why `quality` is None."""
    frames_per_second_of: str | None = None
    """Whose code, card, mode and source of the speed."""
    frames_per_second_reason: str | None = None
    """Why it is None."""

    @property
    def variant(self) -> Variant:
        """Of the configuration, as are the following."""
        return self.configuration.variant

    @property
    def version(self) -> Version:
        """Of the checkpoints."""
        return self.configuration.version

    @property
    def resolution(self) -> tuple[int, int]:
        """Height and width of what SAM 2 computes at."""
        return self.configuration.resolution

    @property
    def precision(self) -> Precision:
        """Of weights and activations."""
        return self.configuration.precision

    @property
    def attention(self) -> Attention:
        """The scaled-dot-product kernel."""
        return self.configuration.attention


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A configuration that was turned down, as the smallest of its class."""

    configuration: Configuration
    need_bytes: int | None
    """The least that it completes in, or what the host would hold where that is too much; None where the GPU cannot
    run it."""
    total_bytes: int | None
    """What it takes with room to spare; None where the host or the GPU itself is what lacks."""
    limit_bytes: int
    """What is usable of the GPU's budget, or of the host's memory."""
    short_by_bytes: int | None
    component: str
    """The largest component of the peak, "host", or the capability that is missing."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far the chosen variant and version carry, in every precision and way of running them that is open.

    Objects are counted up to 1,000,000. The largest figures are the last that planning finds a way for, the sure ones
    the last with a plan that surely fits; all else is as it was asked for. A figure is None where `reasons` says why.
    """

    max_objects: int | None
    """At the chosen resolution."""
    sure_objects: int | None
    gpu_objects: int | None
    """Of max_objects, those that fit with the memory bank on the GPU."""
    max_frames: int | None
    """None with `unlimited_frames` is a clip without end."""
    unlimited_frames: bool
    max_resolution: tuple[int, int] | None
    """At the chosen aspect ratio."""
    sure_resolution: tuple[int, int] | None
    smallest_total_bytes: int | None
    """Smallest budget under which this request has a plan, headroom included."""
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
    """Whether it completes; `tight` says if that takes giving cache back."""
    first_frame_out_of_memory: int | None
    """The frame, counted from 1, at which it fails although all cache was given back; None where it does not."""
    reason: str
    """Why it does not fit, or that it does only tightly."""
    least_bytes: int | None = None
    """The least that it completes in; None as total_bytes."""
    tight: bool = False
    """Whether it completes only because the allocator gives cache back."""
    host_bytes: int | None = None
    """What it holds in the host's memory; None of a clip without end, and of what it cannot run."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A change that was verified to give a plan, and the command for it."""

    change: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where the figures come from."""

    profiles: tuple[str, ...]
    memory_model: str
    versions: Mapping[str, str]
    exact: Asked | None = None
    """Of a plan that was asked to be exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The decision and everything that supports it."""

    __repr__ = brief

    request: Request
    budget: Budget
    verdict: Verdict
    strict: bool
    chosen: Choice | None
    alternatives: tuple[Choice, ...]
    """What also fits, in order."""
    rejected: tuple[Rejection, ...]
    """What would have been preferred but does not fit, in order of preference."""
    limits: Limits
    stock: Stock
    suggestions: tuple[Suggestion, ...]
    warnings: tuple[str, ...]
    command: str | None
    """What runs the plan."""
    command_reason: str | None
    """Why `command` is None."""
    candidates: int
    """How many configurations were weighed."""
    provenance: Provenance
    explained: tuple[Explained, ...] | None = None
    """Every candidate class in order of preference, where that was asked for."""

    @property
    def fits(self) -> bool:
        """True where something was chosen, tight or not."""
        return self.chosen is not None

    @property
    def estimate(self) -> Estimate | None:
        """The estimate of the choice."""
        return self.chosen.estimate if self.chosen else None

    @property
    def exit_code(self) -> int:
        """The exit code of the contract."""
        if self.chosen is None:
            return EXIT_DOES_NOT_FIT
        return EXIT_WARNING if self.strict and self.verdict == "tight" else EXIT_FITS
