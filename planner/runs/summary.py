"""What became of several inputs, each in a folder of its own: values, and the file that says so beside the folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.errors import EXIT_FAILED, EXIT_FITS, PlannerError
from planner.nouns.words import CLIP_STATUSES, ClipStatus, Task
from planner.runs.inputs import SUMMARY, Input
from planner.runs.job import RunSummary

_BROKEN: tuple[ClipStatus, ...] = ("failed", "interrupted", "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOutcome:
    """What became of one input."""

    name: str
    """That of its folder."""
    source: str
    """As it was given, or as it was found in a folder."""
    out: str
    """The folder of its own: a path, or an address where files are written elsewhere."""
    status: ClipStatus
    frames: int | None = None
    """Frames with masks, those of earlier calls included; None where nobody knows."""
    frames_before: int = 0
    """How many of these earlier calls did."""
    objects: int | None = None
    """Objects tracked or prompted; automatic masks found."""
    seconds: float = 0.0
    """Spent on it by all calls."""
    warnings: tuple[str, ...] = ()
    """What the user should know of it."""
    error: PlannerError | None = None
    """Why it failed or was interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsSummary:
    """What became of all inputs of one call."""

    task: Task
    out: str
    """The folder of their folders."""
    clips: tuple[ClipOutcome, ...]
    """In the order of the inputs."""
    seconds: float
    """Of this call, loading left out."""

    @property
    def counts(self) -> Mapping[ClipStatus, int]:
        """How many there are of each status."""
        return {status: sum(clip.status == status for clip in self.clips) for status in CLIP_STATUSES}

    @property
    def frames(self) -> int:
        """Frames that this call did."""
        return sum((clip.frames or 0) - clip.frames_before for clip in self.clips if clip.status != "skipped")

    @property
    def frames_per_second(self) -> float | None:
        """Of all together; None where no time was taken."""
        return self.frames / self.seconds if self.seconds > 0 else None

    @property
    def exit_code(self) -> int:
        """0 if every input is done, now or before; else 1."""
        return EXIT_FAILED if any(clip.status in _BROKEN for clip in self.clips) else EXIT_FITS

    def write(self, folder: Path) -> None:
        """Write the summary into the folder of all, whole or not at all. Raises WriteFailure."""
        from planner.text.files import write
        from planner.wire.runs import RUNS
        from planner.wire.text import json_text

        write(folder / SUMMARY, json_text(RUNS.write(self)))


def outcome_of(entry: Input, run: RunSummary) -> ClipOutcome:
    """What a run that was finished, now or earlier, did for an input."""
    status: ClipStatus = "skipped" if run.already_finished else "resumed" if run.frames_before else "done"
    return ClipOutcome(
        name=entry.name,
        source=entry.source,
        out=str(entry.out),
        status=status,
        frames=run.frames,
        frames_before=run.frames_before,
        objects=run.objects,
        seconds=run.seconds,
        warnings=tuple(run.warnings),
    )


def failed(entry: Input, error: PlannerError, status: ClipStatus = "failed", frames: int | None = None) -> ClipOutcome:
    """What an error left of an input."""
    return ClipOutcome(
        name=entry.name, source=entry.source, out=str(entry.out), status=status, frames=frames, error=error
    )


def waiting(entries: Sequence[Input]) -> list[ClipOutcome]:
    """Inputs whose turn has not come."""
    return [ClipOutcome(name=one.name, source=one.source, out=str(one.out), status="waiting") for one in entries]
