"""What commands share that work for long: how far they are, what fails meanwhile, and how they are stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from planner.cli.output import ProgressLine, ProgressTable, say
from planner.errors import Interrupted

if TYPE_CHECKING:
    from planner.runs.summary import ClipOutcome


@contextmanager
def working(out: str, watch: bool) -> Iterator[ProgressLine]:
    """Progress on stderr, with `watch` a table; a second Ctrl-C says that what was complete is kept in `out`."""
    try:
        with ProgressTable() if watch else ProgressLine() as line:
            yield line
    except KeyboardInterrupt:
        hint = f"What was complete is kept in {out}; the same command goes on from there."
        raise Interrupted("Stopped at once.", hint) from None


def show(line: ProgressLine, words: Callable[[], str], table: Callable[[], Sequence[str]], always: bool = True) -> None:
    """Show how far the work is: in words, or in a table where one is watched."""
    if isinstance(line, ProgressTable):
        line.show_lines(table())
    else:
        line.show(words(), always)


def failures_told(output: str) -> Callable[[ClipOutcome], None]:
    """What is called with each input that ended: says at once which failed, unless a document will."""

    def ended(outcome: ClipOutcome) -> None:
        if outcome.status == "failed" and output == "text":
            say(f"failed: {outcome.name}: {outcome.error}")

    return ended
