"""Two plans side by side, for people."""

from __future__ import annotations

from planner.nouns.answers import BytesBeside, Comparison, Difference
from planner.nouns.plan import Plan
from planner.report.text import VERDICT_COLOURS, VERDICT_WORDS, Style
from planner.text.command_lines import describe
from planner.text.units import format_size

NOTHING = "-"
WIDEST = 44


def comparison_report(comparison: Comparison, names: tuple[str, str], style: Style) -> str:
    """What `compare` prints for people; `names` are what the plans are called."""
    if comparison.equal:
        return f"{style('The plans are the same', 'green', bold=True)}: {_words(comparison.first)}\n"
    lines = []
    for name, plan in zip(names, (comparison.first, comparison.second), strict=True):
        verdict = style(VERDICT_WORDS[plan.verdict], VERDICT_COLOURS[plan.verdict], bold=True)
        lines.append(f"{name}: {verdict}  {_words(plan)}")
    lines += [""]
    if comparison.differences:
        rows = [["", *names], *map(_row, _told(comparison))]
        lines += [style("What differs", bold=True), *style.table(rows)]
    else:
        lines.append("Request, budget and decision are the same.")
    for title, beside in (("Bytes", comparison.figures), ("Components of the total", comparison.components)):
        lines += _bytes(title, beside, names, style)
    if comparison.elsewhere:
        lines += ["", f"Not the same either: {', '.join(comparison.elsewhere)}."]
    return style.page(lines)


def _told(comparison: Comparison) -> list[Difference]:
    """Where one plan chose nothing, what the other chose is no difference worth a line each."""
    if comparison.first.chosen and comparison.second.chosen:
        return list(comparison.differences)
    return [one for one in comparison.differences if one.section not in ("chosen", "limits")]


def _row(one: Difference) -> list[str]:
    return [_name(one.section, one.name), _text(one.name, one.first), _text(one.name, one.second)]


def _bytes(title: str, beside: tuple[BytesBeside, ...], names: tuple[str, str], style: Style) -> list[str]:
    if all(one.first_bytes == one.second_bytes for one in beside):
        return []
    rows = [["", *names, "difference"]]
    for one in beside:
        sign = "+" if (one.difference_bytes or 0) > 0 else ""
        rows.append([one.name, *map(_size, (one.first_bytes, one.second_bytes)), sign + _size(one.difference_bytes)])
    return ["", style(title, bold=True), *style.table(rows, (1, 2, 3))]


def _words(plan: Plan) -> str:
    """The decision in a line."""
    usable = format_size(plan.budget.usable_bytes)
    if plan.chosen is None:
        return f"nothing fits {usable} usable"
    return f"{describe(plan.chosen.configuration)}, {format_size(plan.chosen.estimate.total_bytes)} of {usable} usable"


def _name(section: str, name: str) -> str:
    words = name.replace("_bytes", "").replace("_", " ")
    return words if section in ("request", "decision", "chosen") else f"{section}: {words}"


def _text(name: str, value: object) -> str:
    if value is None or value == ():
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("_bytes"):
        return format_size(value)
    if isinstance(value, tuple):
        joint = "." if name == "gpu capability" else "x" if isinstance(value[0], int) else "; "
        words = joint.join(map(str, value))
    else:
        words = f"{value:,}" if isinstance(value, int) else str(value)
    return words if len(words) <= WIDEST else f"{words[: WIDEST - 3]}..."


def _size(size_bytes: int | None) -> str:
    return NOTHING if size_bytes is None else ("-" if size_bytes < 0 else "") + format_size(abs(size_bytes))
