"""A confirmation for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from planner.report.layout import Style
from planner.text.command_lines import describe
from planner.text.units import format_size

if TYPE_CHECKING:
    from planner.api.confirm import Compared, Confirmation


def confirmation_report(found: Confirmation, style: Style) -> str:
    """The confirmation for people."""
    word = found.truth
    lines = [
        style(found.summary, "green" if found.confirmed else "red", bold=True),
        f"  {describe(found.configuration)}",
        "",
        *compared_lines(["component", "predicted", word, "difference", ""], found.components, style),
        "",
        *compared_lines(["phase (allocated)", "predicted", word, "difference", ""], found.phases, style),
    ]
    if found.within_upper_bound is not None:
        where = "below" if found.within_upper_bound else "ABOVE"
        lines += ["", f"the {word} total lies {where} the upper bound of {format_size(found.predicted.upper_bytes)}"]
    if found.measured.error:
        phase = f" in {found.measured.phase}" if found.measured.phase else ""
        lines += ["", f"ended{phase}: {found.measured.error.splitlines()[0]}"]
    if found.measured.alone is False:
        lines += ["", "! other processes used the GPU: the context could not be told apart"]
    if found.recorded:
        lines += ["", f"row added to {found.recorded}"]
    return style.page(lines)


def compared_lines(head: list[str], compared: Sequence[Compared], style: Style) -> list[str]:
    """A table of what was predicted and found, under `head`."""
    rows = [head]
    for one in compared:
        share = "" if one.difference is None or not one.predicted else f"{one.difference / one.predicted:+.1%}"
        rows.append([one.name, _size(one.predicted), _size(one.found), _signed(one.difference), share])
    return style.table(rows, (1, 2, 3, 4))


def _size(size_bytes: int | None) -> str:
    return "not known" if size_bytes is None else _signed(size_bytes).removeprefix("+")


def _signed(size_bytes: int | None) -> str:
    if size_bytes is None:
        return ""
    return ("-" if size_bytes < 0 else "+") + format_size(abs(size_bytes))
