"""How text is laid out: colours, tables and lines that keep within the terminal's width.

Only what goes to a terminal has a width. Files and pipes have none, so that a row stays a line for grep and a command
can be cut out whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence

PAGE = 118
"""Columns of a paragraph where nothing says how many there are."""
NARROWEST = 40
"""Columns below which nothing is laid out for: a few words would no longer fit beside a figure."""
_KEPT_WHOLE = 12
"""Cells up to this length are not wrapped: figures with their unit, names of variants."""
_GAP = "  "
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_COMMAND = re.compile(r"\s+(?:[A-Z][A-Z0-9_]*=\S+ )*(?:\w+=\$\()?sam2-plan ")
_COMMAND_WORDS = re.compile(r"""(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+""")
_WORD = re.compile(r"(\s*)((?:\(?[+~-]?\d[\d,.]* (?=(?:[kMGT]i?B|B|%|objects?|frames?|s)\b|%))?\S+)")
"""With the blanks before it; a number and its unit are one."""
_COLUMN = re.compile(r".*\S {2,}(?=\S)")


class Style:
    """How text is decorated and laid out: colours, a full block where the terminal has one, columns of the terminal."""

    def __init__(self, colours: bool = False, unicode: bool = True, width: int | None = None) -> None:
        self._colours = colours
        self.block = "█" if unicode else "#"
        self.shade = "░" if unicode else "."
        self.width = None if width is None else max(width, NARROWEST)
        """Columns that a line may take; None: as many as it needs."""

    def __call__(self, text: str, colour: str | None = None, bold: bool = False) -> str:
        """The text in a colour, where colours are on."""
        if not self._colours:
            return text
        import click

        return click.style(text, fg=colour, bold=bold)

    def page(self, lines: Iterable[str]) -> str:
        """Lines as the text of a report, those that are too long wrapped; of commands so that they can be pasted."""
        return "\n".join(line for given in lines for one in given.split("\n") for line in self.wrapped(one)) + "\n"

    def prose(self, text: str) -> str:
        """A paragraph in lines that can be read, in files too."""
        return "\n".join(_wrapped(text, min(self.width or PAGE, PAGE), 0))

    def wrapped(self, line: str) -> list[str]:
        """A line as lines that keep within the width; words longer than that are not broken."""
        if self.width is None or _length(line) <= self.width:
            return [line]
        return (
            _continued(line, self.width)
            if _COMMAND.match(line)
            else _wrapped(line, self.width, _hang(line, self.width))
        )

    def bar_width(self, most: int, beside: int) -> int:
        """Blocks of a full bar: `most`, or what is left beside `beside` columns of text."""
        return most if self.width is None else max(4, min(most, self.width - beside))

    def rows(self, rows: Sequence[Sequence[str]], right: Iterable[int] = (), indent: str = "  ") -> list[list[str]]:
        """For each row its lines, in aligned columns; `right` are right-aligned.

        Where the columns are too wide, long cells are wrapped; where that is not enough, cells follow one another.
        """
        widths = self._widths(rows, len(indent))
        if widths is None:
            return [self.wrapped(indent + _GAP.join(filter(None, row))) for row in rows]
        return [_row(row, widths, set(right), indent) for row in rows]

    def table(
        self,
        rows: Sequence[Sequence[str]],
        right: Iterable[int] = (),
        keys: int = 1,
        joined: Collection[str] = (),
        colours: Callable[[int], str | None] = lambda _: None,
        indent: str = "  ",
    ) -> list[str]:
        """Rows under a heading, their first. Where they are too wide, columns follow below, the first `keys` repeated.

        Columns headed by one of `joined` stay beside the one before. `colours` gives the colour of a row, by its place.
        """
        columns = range(len(rows[0]))
        lines: list[str] = []
        for block in self._blocks(rows, keys, joined, len(indent)):
            part = [[row[column] for column in block] for row in rows]
            right_there = [place for place, column in enumerate(block) if column in set(right) & set(columns)]
            head, *body = self.rows(part, right_there, indent)
            lines += [self(line, bold=True) for line in head]
            for place, row in enumerate(body):
                colour = colours(place)
                lines += [self(line, colour) if colour else line for line in row]
        return lines

    def _blocks(
        self, rows: Sequence[Sequence[str]], keys: int, joined: Collection[str], indent: int
    ) -> list[list[int]]:
        """Columns that stand beside each other: all, or as many as there is room for beside the first `keys`."""
        every = list(range(len(rows[0])))
        if self._widths(rows, indent) is not None:
            return [every]
        groups: list[list[int]] = []
        for column in every[keys:]:
            if groups and rows[0][column] in joined:
                groups[-1].append(column)
            else:
                groups.append([column])
        blocks = [every[:keys]]
        for group in groups:
            longer = [*blocks[-1], *group]
            part = [[row[place] for place in longer] for row in rows]
            if len(blocks[-1]) > keys and self._widths(part, indent) is None:
                blocks.append([*every[:keys], *group])
            else:
                blocks[-1] = longer
        return blocks

    def _widths(self, rows: Sequence[Sequence[str]], indent: int) -> list[int] | None:
        """The width of each column; None where they do not fit even with cells wrapped."""
        widths = [max(map(_length, column)) for column in zip(*rows, strict=True)]
        if self.width is None:
            return widths
        room = self.width - indent - len(_GAP) * (len(widths) - 1)
        least = [max(map(_least, column)) for column in zip(*rows, strict=True)]
        if sum(least) > room:
            return None
        while sum(widths) > room:
            widest = max(
                (place for place in range(len(widths)) if widths[place] > least[place]), key=widths.__getitem__
            )
            widths[widest] -= 1
        return widths


def table(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Rows as aligned lines of any width, for files; the columns in `right` are right-aligned."""
    return [line for row in Style().rows(rows, right, indent="") for line in row]


def _row(cells: Sequence[str], widths: Sequence[int], right: set[int], indent: str) -> list[str]:
    wrapped = [_wrapped(cell, width, 0) for cell, width in zip(cells, widths, strict=True)]
    lines = []
    for number in range(max(map(len, wrapped))):
        parts = []
        for place, (cell, width) in enumerate(zip(wrapped, widths, strict=True)):
            text = cell[number] if number < len(cell) else ""
            pad = " " * (width - _length(text))
            parts.append(pad + text if place in right else text + pad)
        lines.append((indent + _GAP.join(parts)).rstrip())
    return lines


def _least(cell: str) -> int:
    length = _length(cell)
    return length if length <= _KEPT_WHOLE else max(_KEPT_WHOLE, *map(_length, cell.split()))


def _hang(line: str, width: int) -> int:
    """Where the rest of a line stands: below where its last column began, or a little to the right."""
    plain = _COLOUR.sub("", line)
    indent = len(plain) - len(plain.lstrip())
    column = _COLUMN.match(plain)
    return column.end() if column and column.end() <= width // 2 else indent + 2


def _wrapped(line: str, width: int, hang: int) -> list[str]:
    """A line broken between words, the further ones indented by `hang`."""
    if _length(line) <= width:
        return [line]
    lines, now = [], ""
    for gap, word in _WORD.findall(line):
        longer = now + gap + word
        if now.strip() and _length(longer) > width:
            lines.append(now)
            now = " " * hang + word
        else:
            now = longer
    return [*lines, now]


def _continued(line: str, width: int) -> list[str]:
    """A command over several lines, each but the last ended by a backslash; options keep their values beside them."""
    indent = len(line) - len(line.lstrip())
    parts: list[str] = []
    for word in _COMMAND_WORDS.findall(line):
        last = parts[-1] if parts else ""
        value = last.startswith("-") and " " not in last and not word.startswith("-") and word not in ("&&", "&")
        if value and indent + 4 + len(last) + len(word) + 3 <= width:
            parts[-1] = f"{last} {word}"
        else:
            parts.append(word)
    lines, now = [], " " * indent + parts[0]
    for part in parts[1:]:
        if len(now) + 1 + len(part) + 2 > width and now.strip():
            lines.append(f"{now} \\")
            now = " " * (indent + 4) + part
        else:
            now = f"{now} {part}"
    return [*lines, now]


def _length(text: str) -> int:
    """Columns on the terminal: colours take none."""
    return len(_COLOUR.sub("", text)) if "\x1b" in text else len(text)
