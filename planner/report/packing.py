"""Several streams on several GPUs, as text and as a document."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from planner.answers import PackedGpu, Packing
from planner.commands import describe
from planner.domain import Budget, Choice, Gpu
from planner.report.document import SCHEMA_VERSION, budget_document, plan_document
from planner.report.text import (
    VERDICT_COLOURS,
    VERDICT_WORDS,
    Style,
    best_of,
    describe_way,
    describe_workload,
    memory_lines,
    no_generation,
    suggestion_lines,
    why_not,
)
from planner.runtime.cap import VARIABLE as CAP_VARIABLE
from planner.units import exact_size, format_exact_size, format_size

SHOWN_LINES = 8
SHOWN_GPUS = 16
BAR_WIDTH = 24
ROOM_FOR_BARS = 100
"""Columns of a terminal from which on the table of GPUs has bars."""
ONE_PLAN = "plan.yaml"


def packing_document(packing: Packing) -> dict[str, Any]:
    """What planning for several streams prints as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "packing",
        "streams": packing.streams,
        "verdict": packing.verdict,
        "exit_code": packing.exit_code,
        "gpus": [_packed_gpu(gpu, place, packing) for place, gpu in enumerate(packing.gpus)],
        "max_streams": packing.max_streams,
        "max_streams_smallest": packing.max_streams_smallest,
        "frames_per_second": packing.frames_per_second,
        "frames_per_second_reason": packing.frames_per_second_reason,
        "warnings": list(packing.warnings),
        "plan": plan_document(packing.plan),
    }


def packing_report(packing: Packing, saved: str | None, style: Style) -> str:
    """The same for people; `saved` is the file that the plan was kept in."""
    plan = packing.plan
    assumed = " (assumed; see --frame-size)" if plan.request.frame_size_assumed else ""
    lines = [
        *_budgets(packing.gpus),
        f"request  {_streams(packing.streams)}, each a process: {describe_workload(plan.request.workload)}{assumed}",
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
        lines = [f"{verdict}  {_streams(packing.streams)} would have {room} each, too little for any candidate"]
        if not most:
            return [*lines, "  not even one fits"]
        return [*lines, f"  of the smallest configuration {_streams(most)} fit{'s' * (most == 1)}"]
    how = describe_way(chosen.configuration, plan.request.workload)
    origin = "estimate" if chosen.quality_is_estimate else "published"
    return [
        f"{verdict}  {style(describe(chosen.configuration), bold=True)}{how}",
        f"  accuracy {chosen.quality} J&F (SA-V test, {origin}); {best_of(plan)} for {room} each",
        "",
        *memory_lines(chosen.estimate, plan.budget.usable_bytes, style, "Memory of one process"),
    ]


def _gpus(packing: Packing, style: Style) -> list[str]:
    chosen = packing.plan.chosen
    if chosen is None:
        return []
    head = ["GPU", "usable", "streams", "each", "in all", "left", "room for"]
    speed = packing.frames_per_second is not None
    rows = [head + (["frames/s each", ""] if speed else [""])]
    rows += [_row(gpu, place, speed, style) for place, gpu in enumerate(packing.gpus[:SHOWN_GPUS])]
    if style.width is not None and style.width < ROOM_FOR_BARS:
        rows = [row[:-1] for row in rows]
    lines = ["", style("On the GPUs", bold=True), *style.table(rows, range(1, 8 if speed else 7))]
    if len(packing.gpus) > SHOWN_GPUS:
        lines.append(f"  and {len(packing.gpus) - SHOWN_GPUS} more: --format json")
    lines.append(
        f"  {_streams(packing.max_streams)} of this configuration fit in all, "
        f"{packing.max_streams_smallest:,} of the smallest"
    )
    return [*lines, *_throughput(packing, chosen)]


def _row(gpu: PackedGpu, place: int, speed: bool, style: Style) -> list[str]:
    usable = gpu.budget.usable_bytes
    bar = style.block * (round(BAR_WIDTH * gpu.used_bytes / usable) if usable else 0)
    cells = [
        _name(gpu.budget.gpu, place),
        format_size(usable),
        str(gpu.streams),
        format_size(gpu.process_bytes or 0),
        format_size(gpu.used_bytes),
        format_size(gpu.left_bytes),
        f"{gpu.more_streams} more",
    ]
    if speed:
        cells.append("idle" if gpu.frames_per_second is None else f"{gpu.frames_per_second:.1f}")
    return [*cells, bar + style.shade * (BAR_WIDTH - len(bar))]


def _throughput(packing: Packing, chosen: Choice) -> list[str]:
    if packing.frames_per_second is None or chosen.frames_per_second is None:
        return [f"  no throughput: {packing.frames_per_second_reason}"]
    used = sum(gpu.streams > 0 for gpu in packing.gpus)
    return [
        f"  at most {packing.frames_per_second:.0f} frames/s in all, an estimate: a stream alone on an A100 does about "
        f"{chosen.frames_per_second:.0f};",
        "  streams share the time of their GPU, so none gives more than that, and each is taken for an A100 "
        f"({used} in use)",
    ]


def _next(packing: Packing, saved: str | None, style: Style) -> list[str]:
    if packing.plan.chosen is None:
        return []
    path = saved or ONE_PLAN
    lines = ["", style("Next", bold=True)]
    if saved is None:
        lines.append(f"  keep the plan of one process with -o {ONE_PLAN}, then start each with its own input:")
    else:
        lines.append("  start each process with its own input (prompts, weights: sam2-plan run --help):")
    number = 0
    for place, gpu in enumerate(packing.gpus):
        for _ in range(gpu.streams):
            number += 1
            if number <= SHOWN_LINES:
                lines.append(f"    {_command(gpu, place, path, f'INPUT_{number}', f'masks_{number}')} &")
    if number > SHOWN_LINES:
        lines.append(f"    and so on, {number} in all")
    return lines


def _command(gpu: PackedGpu, place: int, path: str, source: str, out: str) -> str:
    """What starts one process there, held to what it has. CUDA may number GPUs by speed, so a UUID is surer."""
    card = gpu.budget.gpu
    visible = str(place)
    if gpu.budget.source == "device" and card is not None:
        visible = card.uuid or (visible if card.index is None else str(card.index))
    held = f"{CAP_VARIABLE}={exact_size(gpu.cap_bytes or 1)}"
    return f"CUDA_VISIBLE_DEVICES={visible} {held} sam2-plan run {shlex.quote(path)} {source} --out {out}"


def _packed_gpu(gpu: PackedGpu, place: int, packing: Packing) -> dict[str, Any]:
    return {
        "budget": budget_document(gpu.budget),
        "streams": gpu.streams,
        "process_bytes": gpu.process_bytes,
        "upper_bytes": gpu.upper_bytes,
        "used_bytes": gpu.used_bytes,
        "left_bytes": gpu.left_bytes,
        "cap_bytes": gpu.cap_bytes,
        "more_streams": gpu.more_streams,
        "frames_per_second": gpu.frames_per_second,
        "command": _command(gpu, place, ONE_PLAN, "INPUT", "masks") if gpu.streams else None,
        "reason": _why_idle(gpu, packing),
    }


def _why_idle(gpu: PackedGpu, packing: Packing) -> str | None:
    """Why there is no command."""
    if gpu.streams:
        return None
    if packing.plan.chosen is None:
        return "nothing fits"
    return "one process does not fit" if not gpu.more_streams else "the others hold all streams"


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


def _streams(count: int) -> str:
    return f"{count:,} stream{'s' * (count != 1)}"
