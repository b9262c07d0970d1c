"""Several streams on several GPUs, as text and as a document."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from planner.nouns.answers import PackedGpu, Packing
from planner.nouns.machine import CAP_VARIABLE
from planner.nouns.plan import Choice, Plan
from planner.nouns.request import Budget, Gpu
from planner.report.text import (
    VERDICT_COLOURS,
    VERDICT_WORDS,
    Style,
    accuracy_words,
    best_of,
    describe_way,
    describe_workload,
    host_head,
    host_line,
    memory_lines,
    no_generation,
    suggestion_lines,
    why_not,
)
from planner.text.command_lines import SAVED, describe, download_command, run_command
from planner.text.units import exact_size, format_exact_size, format_size
from planner.wire.packing import PACKED_GPU, PACKING

SHOWN_LINES = 8
SHOWN_GPUS = 16
BAR_WIDTH = 24
ROOM_FOR_BARS = 100
"""Columns of a terminal from which on the table of GPUs has bars."""


def packing_document(packing: Packing) -> dict[str, Any]:
    """What planning for several streams prints as plain data."""
    gpus = [
        PACKED_GPU.write(gpu, command=_command(packing, place, SAVED), reason=_why_idle(gpu, packing))
        for place, gpu in enumerate(packing.gpus)
    ]
    return PACKING.write(packing, gpus=gpus)


def packing_report(packing: Packing, saved: str | None, style: Style) -> str:
    """The same for people; `saved` is the file that the plan was kept in."""
    plan = packing.plan
    assumed = " (assumed; see --frame-size)" if plan.request.frame_size_assumed else ""
    lines = [
        *_budgets(packing.gpus),
        *host_head(packing.gpus[0].budget),
        f"request  {_streams(packing)}{_each(packing)}: {describe_workload(plan.request.workload)}{assumed}",
        "",
        *_choice(packing, style),
    ]
    warnings = (*packing.warnings, *plan.warnings)
    lines += ["", *(style(f"! {warning}", "yellow") for warning in warnings)] if warnings else []
    lines += _gpus(packing, style)
    if plan.explained is not None:
        from planner.report.explanation import explanation

        lines += explanation(plan, style)
    else:
        lines += why_not(plan, style)
    lines += suggestion_lines(plan.suggestions, style)
    lines += _next(packing, saved, style)
    return style.page(lines)


def _choice(packing: Packing, style: Style) -> list[str]:
    plan, chosen = packing.plan, packing.plan.chosen
    verdict = style(VERDICT_WORDS[packing.verdict], VERDICT_COLOURS[packing.verdict], bold=True)
    room = format_size(plan.budget.total_bytes)
    if chosen is None:
        if (reason := no_generation(plan)) is not None:
            return [f"{verdict}  nothing runs on one of the GPUs: {reason}"]
        most = packing.max_streams_smallest
        lines = [f"{verdict}  {_streams(packing)} would have {_share(plan)} each, too little for any candidate"]
        if not most:
            return [*lines, "  not even one fits"]
        return [*lines, f"  of the smallest configuration {_streams(packing, most)} fit{'s' * (most == 1)}"]
    how = describe_way(chosen.configuration, plan.request.workload)
    return [
        f"{verdict}  {style(describe(chosen.configuration), bold=True)}{how}",
        f"  {accuracy_words(chosen)}; {best_of(plan)} for {room} each",
        "",
        *memory_lines(chosen.estimate, plan.budget.usable_bytes, style, "Memory of one process"),
        host_line(chosen.estimate.host_components, chosen.estimate.host_bytes_reason, plan.budget.host_bytes),
    ]


def _share(plan: Plan) -> str:
    """What each would have where nothing fits: of the host, where that holds none of the candidates."""
    room, host = format_size(plan.budget.total_bytes), plan.budget.host_bytes
    if host is None:
        return room
    lacks = all(entry.component in ("host", "capability") for entry in plan.rejected)
    of_host = f"{format_size(host)} of the host's memory"
    return f"{of_host} (and {room} of a GPU)" if lacks else f"{room} of a GPU and {of_host}"


def _gpus(packing: Packing, style: Style) -> list[str]:
    chosen = packing.plan.chosen
    if chosen is None:
        return []
    work = "processes" if packing.plan.request.workload.streams > 1 else "streams"
    head = ["GPU", "usable", work, "each", "in all", "left", "room for"]
    speed = packing.frames_per_second is not None
    rows = [head + (["frames/s each", ""] if speed else [""])]
    rows += [_row(gpu, place, speed, style) for place, gpu in enumerate(packing.gpus[:SHOWN_GPUS])]
    if style.width is not None and style.width < ROOM_FOR_BARS:
        rows = [row[:-1] for row in rows]
    lines = ["", style("On the GPUs", bold=True), *style.table(rows, range(1, 8 if speed else 7))]
    if len(packing.gpus) > SHOWN_GPUS:
        lines.append(f"  and {len(packing.gpus) - SHOWN_GPUS} more: --format json")
    most = packing.max_streams
    whole, each = packing.gpus[0].budget.host_bytes, chosen.estimate.host_bytes or 0
    no_more = " (the host holds no more)" if whole is not None and whole < (most + 1) * each else ""
    lines.append(
        f"  {_streams(packing, most)} of this configuration fit{'s' * (most == 1)} in all{no_more}, "
        f"{packing.max_streams_smallest:,} of the smallest"
    )
    return [*lines, *_throughput(packing, chosen)]


def _row(gpu: PackedGpu, place: int, speed: bool, style: Style) -> list[str]:
    usable = gpu.budget.usable_bytes
    bar = style.block * (round(BAR_WIDTH * gpu.used_bytes / usable) if usable else 0)
    cells = [
        _name(gpu.budget.gpu, place),
        format_size(usable),
        str(gpu.streams) if gpu.streams else "idle",
        format_size(gpu.process_bytes or 0),
        format_size(gpu.used_bytes),
        format_size(gpu.left_bytes),
        f"{gpu.more_streams} more",
    ]
    if speed:
        cells.append("" if gpu.frames_per_second is None else f"{gpu.frames_per_second:.1f}")
    return [*cells, bar + style.shade * (BAR_WIDTH - len(bar))]


def _throughput(packing: Packing, chosen: Choice) -> list[str]:
    if packing.frames_per_second is None or chosen.frames_per_second is None:
        return [f"  no throughput: {packing.frames_per_second_reason}"]
    used = sum(gpu.streams > 0 for gpu in packing.gpus)
    return [
        f"  at most {packing.frames_per_second:.0f} frames/s in all, an estimate from that of one stream alone: "
        f"{chosen.frames_per_second:g}, {chosen.frames_per_second_of};",
        f"  streams share the time of their GPU, so none gives more than that ({used} in use)",
    ]


def _next(packing: Packing, saved: str | None, style: Style) -> list[str]:
    """What keeps the plan, unless that was done, fetches its weights and starts every process."""
    plan = packing.plan
    if plan.chosen is None:
        return []
    steps = [download_command(saved or SAVED)]
    if saved is None and plan.command is not None:
        steps.insert(0, plan.command.partition(" && ")[0])
    kept = "fetch the weights" if saved else "keep the plan of one process, fetch its weights"
    point = "" if plan.request.workload.task == "automask" else ", the point lies on its object"
    lines = ["", style("Next", bold=True), f"  {kept} and start each; INPUT_n is a file of yours{point}:"]
    lines += [f"    {step}" for step in steps]
    number = 0
    for place, gpu in enumerate(packing.gpus):
        for _ in range(gpu.streams):
            number += 1
            if number <= SHOWN_LINES:
                lines.append(f"    {_command(packing, place, saved or SAVED, f'_{number}')} &")
    if number > SHOWN_LINES:
        lines.append(f"    and so on, {number} in all")
    return lines


def _command(packing: Packing, place: int, saved: str, number: str = "") -> str | None:
    """What starts one process on a GPU, held to what it has; None where none runs.

    CUDA may number GPUs by speed, so a UUID is surer.
    """
    gpu, chosen = packing.gpus[place], packing.plan.chosen
    if chosen is None or gpu.cap_bytes is None:
        return None
    card = gpu.budget.gpu
    visible = str(place)
    if gpu.budget.source == "device" and card is not None:
        visible = card.uuid or (visible if card.index is None else str(card.index))
    program, run, path, *words = shlex.split(run_command(packing.plan.request, chosen.configuration, saved))
    words = [f"{word}{number}" if word in ("INPUT", "masks") else word for word in words]
    held = f"{CAP_VARIABLE}={exact_size(max(gpu.cap_bytes, 1))}"
    return f"CUDA_VISIBLE_DEVICES={visible} {held} {shlex.join([program, run, path, *words])}"


def _why_idle(gpu: PackedGpu, packing: Packing) -> str | None:
    """Why there is no command."""
    if gpu.streams:
        return None
    if packing.plan.chosen is None:
        return "nothing fits"
    fits = (gpu.process_bytes or 0) <= gpu.budget.usable_bytes
    return "the others hold all streams" if fits else "one process does not fit"


def _budgets(gpus: Sequence[PackedGpu]) -> list[str]:
    """How each budget was read, a line for those that are the same."""
    words = [_budget(gpu.budget) for gpu in gpus]
    counts = {word: words.count(word) for word in dict.fromkeys(words)}
    lines = [f"{'budget  ':<9}{f'{count} x ' if count > 1 else ''}{word}" for word, count in counts.items()]
    more = len(lines) - SHOWN_LINES
    return lines if more <= 0 else [*lines[:SHOWN_LINES], f"{'':9}and {more} more"]


def _budget(budget: Budget) -> str:
    name = f"{budget.gpu.name}: " if budget.gpu else ""
    held = f"headroom {format_size(budget.headroom_bytes)}" if budget.headroom_bytes else "no headroom"
    size = f"{format_size(budget.total_bytes)} = {format_exact_size(budget.total_bytes)}"
    return f"{name}{size}; {held}; usable {format_size(budget.usable_bytes)}"


def _name(gpu: Gpu | None, place: int) -> str:
    return f"{place if gpu is None or gpu.index is None else gpu.index}  {gpu.name if gpu else ''}".rstrip()


def _streams(packing: Packing, count: int | None = None) -> str:
    """So many of what is packed, by default all of it: streams, or processes that track several each."""
    count = packing.streams if count is None else count
    one, many = ("process", "processes") if packing.plan.request.workload.streams > 1 else ("stream", "streams")
    return f"{count:,} {one if count == 1 else many}"


def _each(packing: Packing) -> str:
    return "" if packing.plan.request.workload.streams > 1 else ", each a process"
