"""A rehearsal for people."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from planner.report.confirmation import compared_lines
from planner.report.layout import Style
from planner.report.prediction import RUNTIMES_IN_WORDS
from planner.text.command_lines import describe
from planner.text.units import counted, format_size

if TYPE_CHECKING:
    from planner.api.rehearse import Rehearsal
    from planner.rehearsal.machine import ImaginaryGpu
    from planner.rehearsal.programs import Moment

SHOWN_PLACES = 5


def rehearsal_report(found: Rehearsal, style: Style) -> str:
    """The rehearsal for people."""
    lines = [style(_summary(found), "green" if found.exit_code == 0 else "red", bold=True)]
    lines += _of_plan(found, style) if found.predicted is not None else _of_command(found)
    if found.least_bytes is not None:
        lines.append(f"  least       {format_size(found.least_bytes)}: the smallest memory in which it completes")
    lines += [f"  ! {note}" for note in found.notes]
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items() if version)
    lines += [
        "",
        style.prose(
            f"Rehearsed{f' with {versions}' if versions else ''}. Nothing ran on a GPU: allocations are torch's own, "
            "the context is taken from the prediction, values are garbage (docs/rehearsing.md)."
        ),
    ]
    return style.page(lines)


def _summary(found: Rehearsal) -> str:
    where = f"on {_gpus_in_words(found.gpus)}"
    what = shlex.join(found.command)
    if len(what) > 60:
        what = what[:57] + "..."
    if found.workload is not None:
        objects = found.workload.objects
        what = f"{objects} object{'s' * (objects != 1)}, random weights"
        if found.workload.task == "video":
            what = f"{counted(found.frames or 0, 'frame')}, {what}"
    if found.ran_out:
        return f"out of memory {where}: {what}"
    if not found.completed:
        status = "" if found.exit_status in (None, 0) else f" with exit status {found.exit_status}"
        return f"failed{status} {where}: {what}"
    if found.within_upper_bound is False:
        return f"took more than the plan's upper bound {where}: {what}"
    return f"completed {where}: {what}"


def _of_plan(found: Rehearsal, style: Style) -> list[str]:
    assert found.configuration is not None
    assert found.predicted is not None
    lines = [
        f"  {describe(found.configuration)}, on {RUNTIMES_IN_WORDS[found.runtime or 'own']}",
        "",
        *compared_lines(["component", "predicted", "rehearsed", "difference", ""], found.components, style),
        "",
        *compared_lines(["phase (allocated)", "predicted", "rehearsed", "difference", ""], found.phases, style),
        "",
    ]
    if found.within_upper_bound is not None:
        where = "below" if found.within_upper_bound else "ABOVE"
        lines.append(f"  total       {where} the upper bound of {format_size(found.predicted.upper_bytes)}")
    if found.message:
        lines.append(f"  ended       {found.message.splitlines()[0]}")
    lines += [f"  fallback    went on with {step}" for step in found.steps]
    lines += [_retries(found.retries)] if found.retries else []
    if found.kernels_per_frame is not None and found.milliseconds_per_frame is not None:
        lines.append(
            f"  a frame     {found.kernels_per_frame:,.0f} kernels launched in {found.milliseconds_per_frame:.1f} ms "
            "of this machine's host"
        )
    return lines


def _of_command(found: Rehearsal) -> list[str]:
    lines = [""]
    for name, size in (
        ("allocated", found.allocated_bytes),
        ("reserved", found.reserved_bytes),
        ("context", found.context_bytes),
        ("total", found.total_bytes),
    ):
        known = "not known" if size is None else format_size(size)
        lines.append(f"  {name:<11} {known}{f' of {format_size(found.memory_bytes)}' if name == 'total' else ''}")
    if found.retries:
        lines.append(_retries(found.retries))
    if found.out_of_memory and not found.ran_out:
        lines.append(f"  coped with  memory that ran out {_times(found.out_of_memory)}")
    if found.kernels:
        lines.append(f"  kernels     {found.kernels:,} launched")
    lines += _moment_lines("ran out", found.ran_out_at if found.ran_out else None)
    lines += _moment_lines("peak", found.peak)
    return lines


def _retries(count: int) -> str:
    return f"  retries     {_times(count)} the allocator gave cache back to get what it asked for"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _moment_lines(word: str, moment: Moment | None) -> list[str]:
    if moment is None:
        return []
    lines = [f"  {word:<11} where {format_size(moment.requested_bytes)} was asked for"]
    return lines + [f"    {one.file}:{one.line} {one.function}" for one in moment.places[:SHOWN_PLACES]]


def _gpus_in_words(gpus: Sequence[ImaginaryGpu]) -> str:
    """The imaginary GPUs in words, equal ones together."""
    counts: dict[tuple[str, int], int] = {}
    for one in gpus:
        counts[one.name, one.total_bytes] = counts.get((one.name, one.total_bytes), 0) + 1
    return ", ".join(
        f"{'an imaginary' if count == 1 else f'{count} imaginary'} {name} of {format_size(size)}"
        for (name, size), count in counts.items()
    )
