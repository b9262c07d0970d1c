"""Where answers and errors go: stdout holds the answer, stderr everything else."""

from __future__ import annotations

import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

import click

from planner.errors import EnvironmentFailure, PlannerError
from planner.report.layout import Style

if TYPE_CHECKING:
    from planner.tables.table import Table

_TO_PASTE = re.compile(r"\b(?:sam2-plan|pip) \w")


class OutputFailure(EnvironmentFailure):
    """stdout itself cannot be written to: a full disk, say."""

    def __init__(self, error: OSError) -> None:
        message = f"The answer cannot be written: {error.strerror or error}."
        super().__init__(message, "Free some space, or send it elsewhere.")
        # What is left in the buffer would be tried again, and fail again, when Python exits.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def style_of(stream: TextIO) -> Style:
    """Colours on a terminal that has them, or where they are forced; blocks where the encoding has them; its width.

    NO_COLOR wins over FORCE_COLOR (https://no-color.org, https://force-color.org), and this over TERM=dumb.
    """
    terminal = _is_terminal(stream)
    coloured = bool(os.environ.get("FORCE_COLOR")) or (terminal and os.environ.get("TERM") != "dumb")
    colours = coloured and not os.environ.get("NO_COLOR")
    return Style(colours=colours, unicode=_has_blocks(stream), width=_width(terminal))


def echo(text: str) -> None:
    """Print an answer as it stands; what the terminal's encoding lacks becomes a question mark."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        click.echo(text.encode(encoding, "replace").decode(encoding), nl=False, color=True)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailure(error) from None


def answer(
    form: str,
    document: Callable[[], dict[str, Any]],
    text: Callable[[Style], str],
    path: str | None = None,
    table: Callable[[], Table] | None = None,
) -> None:
    """Print an answer as JSON, as text for people, or as its table, whichever is asked for.

    path: save the JSON there too.
    """
    if table is not None and form in ("csv", "markdown"):
        echo(table().csv() if form == "csv" else table().markdown())
        return
    made = ""
    if form == "json" or path is not None:
        from planner.wire.text import json_text

        made = json_text(document())
    if path is not None:
        from planner.text.files import write

        write(Path(path), made)
    echo(made if form == "json" else text(style_of(sys.stdout)))


def open_what_is_closed() -> None:
    """Let standard streams that are closed (`>&-`) lead nowhere: nobody reads the answer, its exit code still counts.

    Else the next file that is opened would take the stream's number, and what others print would go into that file.
    """
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        for number in range(3):
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115
        sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def say(text: str) -> None:
    """A line on stderr, at once, above what stands there of progress."""
    if ProgressLine.drawn:
        ProgressLine.drawn.clear()
    click.echo(text, err=True)


@contextmanager
def telling(category: type[Warning]) -> Iterator[None]:
    """Warnings of that category as a line on stderr, at once; others as they were."""
    show = warnings.showwarning

    def tell(message: Warning | str, kind: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        if issubclass(kind, category):
            say(f"warning: {message}")
        else:
            show(message, kind, filename, lineno, *rest)

    with warnings.catch_warnings():
        warnings.simplefilter("always", category)
        warnings.showwarning = tell  # type: ignore[assignment]
        yield


def report_error(error: PlannerError, document: bool, oneline: bool = False) -> int:
    """Print an error, as a document on stdout or as text on stderr; returns its exit code."""
    if document and not isinstance(error, OutputFailure):
        from planner.wire.error import ERROR
        from planner.wire.text import json_text, one_line

        try:
            echo((one_line if oneline else json_text)(ERROR.write(error)))
            return error.exit_code
        except OutputFailure as failure:
            error = failure
    width = _width(_is_terminal(sys.stderr))
    for line in (f"error: {error.message}", *([f"  {error.hint}"] if error.hint else [])):
        # What is to be pasted is left whole; a terminal wraps that without a line's end.
        shown = (
            line if width is None or _TO_PASTE.search(line) else Style(width=width).page(line.split("\n")).rstrip("\n")
        )
        click.echo(shown, err=True)
    return error.exit_code


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _columns() -> int:
    import shutil  # which imports five compressors; most answers go to pipes

    return shutil.get_terminal_size().columns


def _width(terminal: bool) -> int | None:
    """Columns of the terminal; COLUMNS says it of pipes and files too, which otherwise hold lines of any length."""
    if not terminal and not (os.environ.get("COLUMNS") or "").isdecimal():
        return None
    return _columns()


def _has_blocks(stream: TextIO) -> bool:
    try:
        "█░".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


class ProgressLine:
    """A line on a terminal's stderr that is written over, a few times a second; elsewhere nothing is written.

    Used as a context manager, at whose end, and before a warning, the line is empty again.
    """

    INTERVAL_SECONDS = 0.1
    drawn: ClassVar[ProgressLine | None] = None
    """The one that stands on the terminal."""

    def __init__(self) -> None:
        self.terminal = _is_terminal(sys.stderr)
        self._width = 0
        self._next = 0.0

    def show(self, text: str, always: bool = True) -> None:
        """Write it, unless the last one is too young and this one need not be seen."""
        now = time.monotonic()
        if not self.terminal or (now < self._next and not always):
            return
        self._next = now + self.INTERVAL_SECONDS
        # One that is wrapped could not be written over.
        text = text[: _columns() - 1]
        self._width = max(self._width, len(text))
        ProgressLine.drawn = self
        click.echo("\r" + text.ljust(self._width), nl=False, err=True)

    def clear(self) -> None:
        """Leave the line empty."""
        if self._width:
            click.echo("\r" + " " * self._width + "\r", nl=False, err=True)
        self._width, ProgressLine.drawn = 0, None

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()


class ProgressTable(ProgressLine):
    """Several lines on a terminal's stderr that are written over; elsewhere each table is a new one, seldom."""

    SELDOM_SECONDS = 10.0

    def __init__(self) -> None:
        super().__init__()
        self._lines = 0

    def show_lines(self, lines: Sequence[str], always: bool = False) -> None:
        """Write them, unless the last ones are too young and these need not be seen."""
        now = time.monotonic()
        if now < self._next and not (always and self.terminal):
            return
        if not self.terminal:
            self._next = now + self.SELDOM_SECONDS
            click.echo("\n".join(lines), err=True)
            return
        self._next = now + self.INTERVAL_SECONDS
        import shutil  # which imports five compressors

        size = shutil.get_terminal_size()
        shown = [line[: size.columns - 1] for line in lines[: max(1, size.lines - 1)]]
        self.clear()
        click.echo("\n".join(shown), nl=False, err=True)
        self._lines = len(shown)
        ProgressLine.drawn = self

    def clear(self) -> None:
        """Leave no line of it."""
        if self._lines:
            click.echo("\r\x1b[2K" + "\x1b[1A\x1b[2K" * (self._lines - 1), nl=False, err=True)
        self._lines, ProgressLine.drawn = 0, None
