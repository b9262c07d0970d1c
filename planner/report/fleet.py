"""The progress of a fleet on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.report.layout import table
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


def fleet_table(progress: FleetProgress) -> list[str]:
    """The same, with a line for each input that is at work."""
    rows = [["input", "node", "done", "of"]]
    for one in progress.at_work:
        done, total = ("" if count is None else f"{count:,}" for count in (one.done, one.total))
        rows.append([one.name, one.host, done, total])
    return [fleet_line(progress), *table(rows, right=(2, 3))]
