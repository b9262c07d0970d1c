"""Several inputs of one call for people: what became of each, how far they are, and what they take meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.nouns.words import ClipStatus
from planner.report.layout import Style, table
from planner.report.run import format_seconds, memory_words
from planner.text.units import counted

if TYPE_CHECKING:
    from planner.runs.job import Progress
    from planner.runs.several import RunsProgress
    from planner.runs.summary import ClipOutcome, RunsSummary

SHOWN = 40
"""Inputs that are listed; of more only those that need attention."""
_COLOURS: dict[ClipStatus, str] = {"failed": "red", "interrupted": "yellow", "waiting": "yellow"}


def runs_report(summary: RunsSummary, style: Style) -> str:
    """What became of all inputs, and what is to be done about some."""
    counts = ", ".join(f"{count:,} {status}" for status, count in summary.counts.items() if count)
    colour = "red" if summary.counts["failed"] else "yellow" if summary.exit_code else "green"
    word = "DONE" if summary.exit_code == 0 else "NOT ALL DONE"
    lines = [f"{style(word, colour, bold=True)}  {counted(len(summary.clips), 'input')}: {counts}"]
    speed = summary.frames_per_second
    unit = "frame" if summary.task == "video" else "picture"
    if summary.frames:
        rate = "" if speed is None else f" ({speed:.1f} {unit}s/s)"
        lines.append(f"  {counted(summary.frames, unit)} by this call in {summary.seconds:.1f} s{rate}")
    shown = [clip for clip in summary.clips if len(summary.clips) <= SHOWN or clip.status in _COLOURS]
    video = summary.task == "video"
    head = ["input", "", *(["frames"] if video else []), "objects" if video else "masks", "folder"]
    rows = [head, *(_row(clip, video) for clip in shown[:SHOWN])]
    lines += ["", *style.table(rows, (2, 3) if video else (2,))] if shown else []
    if len(shown) < len(summary.clips) or len(shown) > SHOWN:
        lines.append(f"  all of them: {summary.out}/runs.json")
    lines += _trouble(summary, style)
    return style.page(lines)


def _row(clip: ClipOutcome, video: bool) -> list[str]:
    cells = [clip.name, clip.status]
    if video:
        before = f" ({clip.frames_before:,} before)" if clip.status == "resumed" else ""
        cells.append("" if clip.frames is None else f"{clip.frames:,}{before}")
    cells.append("" if clip.objects is None else f"{clip.objects:,}")
    return [*cells, clip.out]


def _trouble(summary: RunsSummary, style: Style) -> list[str]:
    """Errors, warnings, and the command that does the rest."""
    failed = [clip for clip in summary.clips if clip.error is not None and clip.status == "failed"]
    lines = [style(f"! {clip.name}: {clip.error}", "red") for clip in failed[:SHOWN]]
    lines += [style(f"! {clip.name}: {text}", "yellow") for clip in summary.clips for text in clip.warnings][:SHOWN]
    if any(clip.status in ("interrupted", "waiting") for clip in summary.clips):
        lines.append("The same command resumes what was interrupted or waits, and leaves alone what is done.")
    return ["", *lines] if lines else []


def runs_line(progress: RunsProgress) -> str:
    """Where all of them stand, in one line."""
    parts = [f"{progress.ended:,} of {counted(progress.inputs, 'input')}"]
    if progress.failed:
        parts[0] += f" ({progress.failed:,} failed)"
    parts.append(counted(progress.done, progress.unit))
    if progress.per_second is not None:
        parts.append(f"{progress.per_second:.1f} {progress.unit}s/s")
    if progress.seconds_left is not None:
        parts.append(f"{format_seconds(progress.seconds_left)} left")
    if progress.last is not None and (words := memory_words(progress.last)):
        parts.append(words)
    return ", ".join(parts)


def streams_table(progress: RunsProgress) -> list[str]:
    """The same with a line for each that is at work."""
    rows = [["input", "done", "of", "", "left"]]
    rows += [_stream(name, one) for name, one in progress.streams]
    return [runs_line(progress), *table(rows, right=(1, 2, 3, 4))]


def _stream(name: str, one: Progress) -> list[str]:
    speed = "" if one.per_second is None else f"{one.per_second:.1f}/s"
    left = "" if one.seconds_left is None else format_seconds(one.seconds_left)
    return [name, f"{one.done:,}", "" if one.total is None else f"{one.total:,}", speed, left]
