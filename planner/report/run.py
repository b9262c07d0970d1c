"""A run for people and for programs, and its progress on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.nouns.run import Configuration
from planner.nouns.words import Save
from planner.report.layout import Style, table
from planner.text.command_lines import describe
from planner.text.units import counted, format_resolution, format_size

if TYPE_CHECKING:
    from planner.runs.job import Progress, RunSummary, WrittenFiles

_WHAT: dict[Save, str] = {"png": "indexed PNG", "coco": "COCO RLE", "npz": "NPZ", "overlay": "overlay"}


def run_report(summary: RunSummary, style: Style) -> str:
    """The run for people: what lies where, how fast it went, what it took beside the plan."""
    done = "ALREADY DONE" if summary.already_finished else "DONE"
    lines = [f"{style(done, 'green', bold=True)}  {_work(summary)}"]
    lines.append(f"  with {describe(summary.configuration)} on {summary.device}, weights: {summary.weights}")
    lines += ["", style("Written", bold=True)]
    lines += [line for row in style.rows([_files(entry) for entry in summary.written], (3,)) for line in row]
    lines += ["", style("Memory at the peak", bold=True), *(f"  {line}" for line in _memory(summary))]
    if summary.steps:
        lines += ["", style("Fallback", bold=True), *(f"  {_step(step)}" for step in summary.steps)]
    if summary.warnings:
        lines += ["", *(style(f"! {warning}", "yellow") for warning in summary.warnings)]
    return style.page(lines)


def progress_line(progress: Progress) -> str:
    """Where a run stands, in one line."""
    # How many are done, not the number of the last: frames are numbered from 0.
    some = counted(progress.done, progress.unit)
    parts = [some if progress.total is None else f"{progress.done:,} of {counted(progress.total, progress.unit)}"]
    if progress.per_second is not None:
        parts.append(f"{progress.per_second:.1f} {progress.unit}s/s")
    if progress.seconds_left is not None:
        parts.append(f"{format_seconds(progress.seconds_left)} left")
    if words := memory_words(progress):
        parts.append(words)
    return ", ".join(parts)


def memory_words(progress: Progress) -> str:
    """What is taken of the GPU beside the plan; empty where nobody counts."""
    if progress.reserved_bytes is None:
        return ""
    planned = format_size(progress.planned_reserved_bytes)
    words = f"GPU {format_size(progress.reserved_bytes)} reserved, {planned} planned"
    if progress.allocated_bytes is not None:
        words += f", {format_size(progress.allocated_bytes)} in tensors now"
    if progress.process_bytes is not None:
        words += f", {format_size(progress.process_bytes)} in all"
    return words


def format_seconds(seconds: float) -> str:
    """A time for people: "1:05:09", "0:42"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _work(summary: RunSummary) -> str:
    objects = counted(summary.objects, "mask" if summary.task == "automask" else "object")
    size = format_resolution(summary.frame_size)
    seconds = f"in {summary.seconds:.1f} s"
    if summary.task != "video":
        return f"{summary.source}: {objects}, a picture of {size}, {seconds}"
    speed = summary.frames_per_second
    rate = "" if speed is None else f" ({speed:.1f} frames/s)"
    before = (
        f", {summary.frames_before:,} of them by earlier calls" if 0 < summary.frames_before < summary.frames else ""
    )
    return f"{summary.source}: {objects}, {counted(summary.frames, 'frame')} of {size}{before}, {seconds}{rate}"


def _files(entry: WrittenFiles) -> list[str]:
    count = counted(entry.files, "file") if entry.files != 1 or entry.save in ("png", "npz") else ""
    return [_WHAT[entry.save], str(entry.path), count, format_size(entry.bytes)]


def _memory(summary: RunSummary) -> list[str]:
    memory = summary.memory
    if memory.allocated_bytes is None or memory.reserved_bytes is None:
        return [f"not known: {memory.reason}; planned total {format_size(memory.planned_total_bytes)}"]
    rows = [
        ["allocated", format_size(memory.allocated_bytes), f"planned {format_size(memory.planned_allocated_bytes)}"],
        ["reserved", format_size(memory.reserved_bytes), f"planned {format_size(memory.planned_reserved_bytes)}"],
        ["total", "not counted", f"planned {format_size(memory.planned_total_bytes)} (with the CUDA context)"],
    ]
    return table(rows, right=(1,))


def _step(step: Any) -> str:
    plain = step["configuration"]
    name = describe(Configuration(**{**plain, "resolution": tuple(plain["resolution"])}))
    if step["frame"] is None:
        return f"before the first frame: {name}. {step['reason']}"
    bank = "the memory bank went along" if step["carried_over"] else "prompted again by the last masks"
    return f"frame {step['frame']}: {name}; {bank}. {step['reason']}"
