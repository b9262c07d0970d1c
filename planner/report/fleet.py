"""The progress of a fleet on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.report.run import format_seconds
from planner.text.units import counted

if TYPE_CHECKING:
    from planner.fleet.progress import FleetProgress


def fleet_line(progress: FleetProgress) -> str:
    """Where a fleet stands, in one line."""
    parts = [f"{progress.done:,} of {counted(progress.total, 'input')}"]
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    parts.append(f"{counted(progress.workers, 'worker')} on {counted(progress.nodes, 'node')}")
    if progress.frames_per_second is not None:
        parts.append(f"{progress.frames_per_second:.1f} frames/s")
    if progress.clips_per_second is not None:
        parts.append(f"{progress.clips_per_second * 60:.1f} inputs/min")
    if progress.seconds_left is not None:
        parts.append(f"{format_seconds(progress.seconds_left)} left")
    return ", ".join(parts)
