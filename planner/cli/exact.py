"""What exact plans and predictions show while they run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from planner.cli.output import ProgressLine
from planner.commands import describe
from planner.domain import Configuration
from planner.words import ExactMethod

DOING = {"rehearsed": "rehearsing", "simulated": "simulating"}


@contextmanager
def telling_progress() -> Iterator[Callable[[int, int, ExactMethod, Configuration], None] | None]:
    """What is told of each run: a line on a terminal, written over; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    line = ProgressLine()

    def tell(number: int, most: int, method: ExactMethod, configuration: Configuration) -> None:
        line.show(f"exact: {DOING[method]} {number} of up to {most}, some 10 s each: {describe(configuration)}", True)

    try:
        yield tell
    finally:
        line.end()
