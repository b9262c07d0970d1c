"""The nouns of profiles: one configuration and workload, its bytes, and where the figures come from."""

from __future__ import annotations

from dataclasses import dataclass

METRICS = ("tensors", "allocated", "reserved", "context", "total", "process", "out_of_memory_request")
"""total is reserved and context; process is what the driver says that the process takes."""
FIGURE_KINDS = ("peak", "per_object", "per_frame", "above_load")
"""above_load: a peak above what was allocated when the model had been loaded."""
RELATIONS = ("equal", "at_least", "at_most")
PROFILE_KINDS = ("published", "measured", "rehearsed", "simulated")
OUTCOMES = ("ran", "out_of_memory", "failed", "lost")
USES = ("fit", "hold_out", "reference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of a measurement, as its source gives it and in bytes."""

    metric: str | None
    """One of METRICS; None where the source names none."""
    read_as: str | None
    """The metric this project takes it for."""
    of: str
    """One of FIGURE_KINDS: a peak, growth per object or per frame, or a peak above the load."""
    relation: str
    """One of RELATIONS."""
    value: float
    unit: str
    bytes: int
    rounding_bytes: int
    """Half a step of what the source rounds to."""
    phase: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a measurement ran on; None for what its source does not say."""

    gpu: str | None = None
    driver: str | None = None
    torch: str | None = None
    cuda: str | None = None
    sam2: str | None = None
    command: str | None = None
    implementation: str | None = None
    uuid: str | None = None
    capability: str | None = None
    """CUDA compute capability, such as 8.6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One configuration and workload, its bytes, and where the figures come from. None: not said."""

    profile: str
    id: str
    kind: str
    """One of PROFILE_KINDS."""
    use: str
    """One of USES: whether the memory model may be fitted to it."""
    task: str
    objects: int | None
    frames: int | None
    frame_size: tuple[int, int] | None
    variant: str | None
    version: str | None
    resolution: tuple[int, int] | None
    precision: str | None
    attention: str | None
    object_batch: int | None
    bounded_memory_bank: bool | None
    offload_video: bool | None
    offload_state: bool | None
    figures: tuple[Figure, ...]
    environment: Environment
    date: str | None
    url: str | None
    runtime: str | None = None
    """One of planner.domain.RUNTIMES: whose code ran."""
    note: str | None = None
    outcome: str = "ran"
    """One of OUTCOMES; only what ran has figures that may be fitted to."""
    error: str | None = None
    """Of what did not run."""
    alone: bool | None = None
    """Whether no other process had memory on the GPU."""
    seconds_per_frame: float | None = None
