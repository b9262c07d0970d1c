"""The nouns of profiles: one configuration and workload, its bytes, and where the figures come from."""

from __future__ import annotations

from dataclasses import dataclass, field

from planner.nouns.run import Transformers
from planner.nouns.words import (
    Attention,
    FigureKind,
    Metric,
    Precision,
    ProfileKind,
    Relation,
    RunOutcome,
    Runtime,
    Task,
    UnitName,
    Use,
    Variant,
    Version,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of a measurement, as its source gives it and in bytes."""

    metric: Metric | None
    """None where the source names none."""
    read_as: Metric | None
    """The metric this project takes it for."""
    of: FigureKind
    """A peak, growth per object or per frame, or a peak above the load."""
    relation: Relation
    value: float
    unit: UnitName
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
    kind: ProfileKind
    use: Use
    """Whether the memory model may be fitted to it."""
    task: Task
    objects: int | None
    frames: int | None
    frame_size: tuple[int, int] | None
    variant: Variant | None
    version: Version | None
    resolution: tuple[int, int] | None
    precision: Precision | None
    attention: Attention | None
    object_batch: int | None
    bounded_memory_bank: bool | None
    offload_video: bool | None
    offload_state: bool | None
    figures: tuple[Figure, ...]
    environment: Environment
    date: str | None
    url: str | None
    runtime: Runtime | None = None
    """Whose code ran."""
    transformers: Transformers = field(default_factory=Transformers)
    """How it was called, where that is transformers."""
    note: str | None = None
    outcome: RunOutcome = "ran"
    """Only what ran has figures that may be fitted to."""
    error: str | None = None
    """The error of a run that failed."""
    alone: bool | None = None
    """Whether no other process had memory on the GPU."""
    seconds_per_frame: float | None = None
