"""What a request needs, for people."""

from __future__ import annotations

from planner.nouns.answers import Cards, Need, Needed
from planner.nouns.request import Headroom
from planner.nouns.run import Workload
from planner.nouns.words import Purpose
from planner.report.prediction import RUNTIMES_IN_WORDS
from planner.report.text import Style, describe_workload
from planner.text.command_lines import describe
from planner.text.units import format_size

SHOWN_NAMES = 4
_TITLES: dict[Purpose, str] = {"smallest": "smallest", "official": "official recipe", "other": ""}
_PRECISION_PAIRS = {"autocast_float16": "autocast_bfloat16", "bfloat16": "float16"}
"""What is told as one where it takes the same bytes."""
_WORDS = {"autocast_bfloat16": "autocast", "float16": "half"}


def needed_report(needed: Needed, style: Style) -> str:
    """What `need` prints for people."""
    request = needed.request
    assumed = " (assumed; see --frame-size)" if request.frame_size_assumed else ""
    lines = [f"request  {describe_workload(request.workload)}{assumed}"]
    pinned = ", ".join(f"{name} {_pin(value)}" for name, value in request.pins.given().items())
    lines += [f"pinned   {pinned}"] if pinned else []
    lines += [f"headroom {_headroom(needed.headroom)}", ""]
    lines.append(style("What it needs", bold=True) + f", on {RUNTIMES_IN_WORDS[needed.runtime]}")
    merged = _merged(needed.needs)
    heading = ["", "", "fits from", "card", "surely from", "card", ""]
    rows = [heading, *(_row(alike, request.workload) for alike in merged)]
    lines += style.table(rows, (2, 4), keys=2, joined=("card",))
    note = "; autocast and half: in bfloat16 or float16" if any(len(alike) > 1 for alike in merged) else ""
    lines.append(f"  surely: the upper bound lies within it too{note}")
    lines += _cards(needed, style)
    if needed.cards_for.command:
        lines += ["", style("Next", bold=True), "  plan with exactly that:", f"    {needed.cards_for.command}"]
    return style.page(lines)


def _merged(needs: tuple[Need, ...]) -> list[list[Need]]:
    """Precisions of the same bytes as one."""
    merged: list[list[Need]] = []
    for need in needs:
        last = merged[-1][-1] if merged else None
        same = last is not None and _PRECISION_PAIRS.get(need.configuration.precision) == last.configuration.precision
        if last and same and last.purpose != "smallest" and _bytes(need) == _bytes(last):
            merged[-1].append(need)
        else:
            merged.append([need])
    return merged


def _bytes(need: Need) -> tuple[object, ...]:
    return need.configuration.variant, need.configuration.resolution, need.need_bytes, need.upper_bytes


def _row(alike: list[Need], workload: Workload) -> list[str]:
    need = alike[0]
    name = describe(need.configuration)
    if len(alike) > 1:
        name = name.replace(need.configuration.precision, _WORDS[need.configuration.precision])
    return [
        _TITLES[need.purpose],
        name,
        _size(need.budget_bytes),
        need.card or "none",
        _size(need.sure_budget_bytes),
        need.sure_card or "none",
        _points(need) if workload.task == "automask" else _ways(need, workload),
    ]


def _ways(need: Need, workload: Workload) -> str:
    """The ways that take so little, where they are not the preferred one."""
    least, sure = need.configuration, need.sure_configuration
    words = []
    if least.offload_state:
        words.append("memory bank on the host" + ("" if sure.offload_state else ", surely on the GPU"))
    if need.preferred_budget_bytes != need.sure_budget_bytes:
        # The largest passes are taken with the memory bank on the GPU.
        several = workload.task == "video" and workload.objects > 1
        words.append(f"{'largest passes' if several else 'on the GPU'} {_from(need)}")
    return "; ".join(words)


def _points(need: Need) -> str:
    """Of automatic masks: points of a pass."""
    least, sure = need.configuration, need.sure_configuration
    if least.object_batch == sure.object_batch and need.preferred_budget_bytes == need.sure_budget_bytes:
        return ""
    words = f"points per batch: {least.object_batch}, surely {sure.object_batch}"
    return words if need.preferred_budget_bytes == need.sure_budget_bytes else f"{words}, 64 {_from(need)}"


def _from(need: Need) -> str:
    size = need.preferred_budget_bytes
    return "on no card" if size is None else f"surely from {format_size(size)}"


def _cards(needed: Needed, style: Style) -> list[str]:
    if not needed.cards:
        return []
    what = describe(needed.cards_for.configuration)
    lines = ["", style("Cards that have it", bold=True) + f", {what}, the smallest first"]
    rows = [[format_size(group.total_bytes), group.verdict, _names(group)] for group in needed.cards]
    lines += [line for row in style.rows(rows, (0,)) for line in row]
    if needed.further_cards:
        lines.append(f"  and {needed.further_cards} cards with more memory: --top")
    if "bfloat16" in needed.cards_for.configuration.precision:
        lines.append("  cards without bfloat16 (older than compute capability 8.0) are left out")
    from planner.catalog.torch_builds import planned_build

    lines.append(f"  cards that {planned_build()} has no code for are left out")
    return lines


def _names(group: Cards) -> str:
    more = len(group.names) - SHOWN_NAMES
    return ", ".join(group.names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def _headroom(headroom: Headroom) -> str:
    if headroom.percent:
        return f"{headroom.percent:g} % of the budget, counted in"
    return f"{format_size(headroom.bytes)}, counted in" if headroom.bytes else "none"


def _pin(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _size(size_bytes: int | None) -> str:
    return "no card" if size_bytes is None else format_size(size_bytes)
