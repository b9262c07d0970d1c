"""What a run is told, how far it is, and what it leaves. Values only; bytes are integers, sizes (height, width)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.nouns.plan import Plan
from planner.nouns.run import Configuration
from planner.nouns.watched import MemorySample
from planner.nouns.words import ProgressUnit, Save, Task
from planner.outputs.annotation import RANDOM_WEIGHTS, Annotations, Mark
from planner.outputs.layout import PART_FRAMES
from planner.runs.watching import MemoryWatch, Seen

if TYPE_CHECKING:
    import numpy as np

    from planner.runtime.session import Session
    from planner.sources.frames import Frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Where the weights come from and where they run."""

    checkpoint: str | None = None
    """A path or an official id; None: random weights."""
    seed: int = 0
    """The seed of random weights."""
    device: str = "auto"
    """As given; auto takes CUDA, else MPS, else the CPU."""
    fallback: bool = False
    """Step down the plan's alternatives where memory runs out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is."""

    done: int
    """Frames tracked (automatic masks: points)."""
    total: int | None
    """Out of how many; None where that is not known."""
    unit: ProgressUnit
    per_second: float | None
    """Units a second since this call began; None before there are any."""
    seconds_left: float | None
    """At that speed; None where it cannot be said."""
    reserved_bytes: int | None
    """The allocator's peak so far; None where the device does not count."""
    planned_reserved_bytes: int
    """What the plan predicts of that."""
    allocated_bytes: int | None = None
    """Tensors, as of the last look; None where the device does not count."""
    process_bytes: int | None = None
    """What the driver counts for the process; None where it does not say."""
    warning: str | None = None
    """What the run has just become aware of: memory that is about to run out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run, checked: what to do, and the outside world that it needs."""

    plan: Plan
    """With a choice."""
    source: Any
    """As the user gave it."""
    frames: Frames | None
    """The opened clip; None for pictures."""
    picture: np.ndarray | None
    """H×W×3 uint8 RGB; None for clips."""
    out: Path
    """The folder that the files go to."""
    prompts: tuple[Any, ...]
    """planner.prompts.prompts.Prompt."""
    saves: tuple[Save, ...]
    """In the order of SAVES."""
    weights: Weights
    load: Callable[[Plan], Session]
    """Loads what a plan chose, from those weights."""
    reverse: bool = False
    """Track backward."""
    limit: int | None = None
    """Frames to track at most."""
    start: int | None = None
    """The frame to begin at; None: the first prompted."""
    points_per_side: int | None = None
    """The grid of automatic masks; None: 32."""
    crop_layers: int | None = None
    """Layers of crops for automatic masks; None: no crops."""
    multimask: bool = False
    """Keep the best of three masks per object (task image)."""
    progress: Callable[[Progress], None] | None = None
    """Told after every frame."""
    committed: Callable[[], None] | None = None
    """Called when the run has begun, and after every part, as soon as the record speaks of it."""
    part_frames: int = PART_FRAMES
    """Frames of one part."""
    watch: MemoryWatch = field(default_factory=MemoryWatch)
    """Looks at memory; of several clips in one process one for all."""

    def tell(
        self, session: Session, unit: ProgressUnit, done: int, here: int, total: int | None, seconds: float
    ) -> Seen | None:
        """Say how far the run is: `done` of `total` units, `here` of them in the `seconds` since this call began.

        Gives what it takes of the GPU.
        """
        seen, warning = self.watch.look(session, self.plan)
        if self.progress is None:
            return seen
        speed = here / seconds if seconds > 0 else None
        estimate = self.plan.estimate
        assert estimate is not None
        self.progress(
            Progress(
                done=done,
                total=total,
                unit=unit,
                per_second=speed,
                seconds_left=(total - done) / speed if speed and total is not None else None,
                reserved_bytes=seen.peak_reserved_bytes if seen else None,
                planned_reserved_bytes=estimate.reserved_bytes,
                allocated_bytes=seen.allocated_bytes if seen else None,
                process_bytes=seen.process_bytes if seen else None,
                warning=warning,
            )
        )
        return seen

    def annotations(self) -> Annotations:
        """What overlays show beside the masks."""
        marks: dict[int, list[Mark]] = {}
        for prompt in self.prompts:
            if prompt.points or prompt.box is not None:
                points, labels = prompt.points or (), prompt.labels or ()
                mark = Mark(object=prompt.object, points=points, labels=labels, box=prompt.box)
                marks.setdefault(prompt.frame, []).append(mark)
        return Annotations(marks=marks, note="" if self.weights.checkpoint else RANDOM_WEIGHTS)

    @property
    def task(self) -> Task:
        """The plan's task."""
        return self.plan.request.workload.task

    @property
    def name(self) -> str:
        """What files and messages call the source: the last part of a path."""
        if isinstance(self.source, (str, os.PathLike)):
            return Path(self.source).name or str(self.source)
        return self.frames.name if self.frames is not None else "a picture"

    @property
    def size(self) -> tuple[int, int]:
        """The size of the source's pictures."""
        if self.frames is not None:
            return self.frames.size
        assert self.picture is not None
        return self.picture.shape[0], self.picture.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFiles:
    """What a run left for one of its saves."""

    save: Save
    """What was saved."""
    path: Path
    """A file, or the folder of files per frame."""
    files: int
    """How many."""
    bytes: int
    """Bytes of all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMemory:
    """Bytes on the GPU beside the plan's."""

    allocated_bytes: int | None
    """Peak of tensors; None where the device does not count."""
    reserved_bytes: int | None
    """Peak of what the allocator held."""
    reason: str | None
    """Why they are None."""
    planned_allocated_bytes: int
    planned_reserved_bytes: int
    planned_total_bytes: int
    samples: tuple[MemorySample, ...] = ()
    """How it went, over the time of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a finished run did."""

    already_finished: bool
    """An earlier call had done it all; this one did nothing."""
    task: Task
    source: str
    out: Path
    configuration: Configuration
    """What was loaded at the end."""
    weights: str
    """The checkpoint, or that they were random."""
    device: str
    frame_size: tuple[int, int]
    frames: int
    """Frames with masks, those of earlier calls included."""
    frames_before: int
    """How many of these earlier calls did."""
    objects: int
    """Objects tracked or prompted; automatic masks found."""
    written: tuple[WrittenFiles, ...]
    seconds: float
    """Time of tracking and writing, without loading."""
    memory: RunMemory
    steps: tuple[Mapping[str, Any], ...]
    """Steps of fallback: frame, reason, configuration, carried_over."""
    warnings: tuple[str, ...]

    @property
    def frames_per_second(self) -> float | None:
        """None where no time was taken."""
        return self.frames / self.seconds if self.seconds > 0 else None
