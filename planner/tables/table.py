"""A table as data, and its text: CSV for spreadsheets, Markdown for slides and issues, HTML for notebooks."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import Any, Literal

from planner.nouns.brief import brief
from planner.text.units import format_resolution, format_size

Unit = Literal["", "bytes", "pixels", "%", "frames/s", "by row"]
"""What the figures of a column are in; by row: what the column named "unit" says in each row."""
Reading = Literal["filled", "varying", "never"]
"""When a column is shown to people: where a cell says anything, where cells differ, or never."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take a text for that begins so (OWASP, CSV injection)."""
WHOLE = 28
"""Letters up to which a cell of HTML is not wrapped."""
_MARKUP = "\\`*_[]<>|#~&"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name stands in the header of the CSV and stays from release to release."""

    name: str
    unit: Unit = ""
    read: Reading = "filled"
    """When people see it, in Markdown and HTML; the CSV always has it."""

    @property
    def title(self) -> str:
        """The name for people."""
        words = self.name.removesuffix("_bytes").replace("_", " ")
        return f"{words} ({self.unit})" if self.unit == "%" else words


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows. Cells are what the JSON holds: bytes as integers, (height, width), words, None for nothing."""

    __repr__ = brief

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]

    def records(self) -> list[dict[str, Any]]:
        """Each row as a dictionary, as pandas.DataFrame takes it."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def csv(self) -> str:
        """Every column under its name; bytes are plain integers, sizes HEIGHTxWIDTH, flags true or false.

        Text that a spreadsheet would take for a formula has an apostrophe before it.
        """
        out = StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(column.name for column in self.columns)
        writer.writerows([_plain(cell) for cell in row] for row in self.rows)
        return out.getvalue()

    def markdown(self) -> str:
        """The columns that people read, figures on the right, sizes with a unit that is easy to say."""
        head, body, right = self._shown()
        lines = markdown_lines(list(map(escaped, head)), [list(map(escaped, row)) for row in body], right)
        return "\n".join(lines) + "\n"

    def _repr_html_(self) -> str:
        """The same for notebooks."""
        head, body, right = self._shown()
        place = ["right" if one else "left" for one in right]
        rows = [_html_row("th", head, place), *(_html_row("td", row, place) for row in body)]
        return f'<div style="overflow-x:auto"><table>{"".join(rows)}</table></div>'

    def _shown(self) -> tuple[list[str], list[list[str]], list[bool]]:
        """Titles, cells and which columns stand on the right, of the columns that people see."""
        units = next((place for place, column in enumerate(self.columns) if column.name == "unit"), None)
        kept = [
            place for place, column in enumerate(self.columns) if _is_read(column, [row[place] for row in self.rows])
        ]
        body = [[said(row[place], _unit(self.columns[place].unit, row, units)) for place in kept] for row in self.rows]
        right = [_is_figure(self.columns[place], [row[place] for row in self.rows]) for place in kept]
        return [self.columns[place].title for place in kept], body, right


def said(value: Any, unit: str = "") -> str:
    """A cell for people."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        if unit == "bytes":
            return f"{'-' if value < 0 else ''}{format_size(abs(value))}"
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    return str(_plain(value)) if isinstance(value, list | tuple) else str(value)


def _unit(unit: Unit, row: Sequence[Any], units: int | None) -> str:
    return str(row[units]) if unit == "by row" and units is not None else unit


def _is_read(column: Column, cells: Sequence[Any]) -> bool:
    if column.read == "filled":
        return not cells or any(cell not in (None, "", False) for cell in cells)
    return column.read == "varying" and any(cell != cells[0] for cell in cells)


def _is_figure(column: Column, cells: Sequence[Any]) -> bool:
    figures = all(cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool)) for cell in cells)
    return bool(column.unit) or (bool(cells) and figures)


def _plain(value: Any) -> Any:
    """A cell as a program reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if isinstance(value, list | tuple):
        numbers = len(value) == 2 and all(type(item) is int for item in value)
        value = format_resolution((value[0], value[1])) if numbers else "; ".join(map(str, value))
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def markdown_lines(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> list[str]:
    """The lines of a table in Markdown, of cells that are escaped; `right` says which columns stand on the right."""
    rule = ["---:" if one else "---" for one in (right or [False] * len(head))]
    return [_row(head), _row(rule), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Text that no renderer takes for markup, on one line."""
    return " ".join("".join(f"\\{letter}" if letter in _MARKUP else letter for letter in text).split())


def _html_row(tag: str, cells: Sequence[str], places: Sequence[str]) -> str:
    parts = []
    for cell, place in zip(cells, places, strict=True):
        wide = "white-space:nowrap" if len(cell) <= WHOLE else f"min-width:{WHOLE}em"
        parts.append(f'<{tag} style="text-align:{place};{wide}">{escape(cell)}</{tag}>')
    return f"<tr>{''.join(parts)}</tr>"
