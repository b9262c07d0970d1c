"""What exact plans and predictions show while they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from planner.cli.output import ProgressLine
from planner.nouns.run import Configuration
from planner.nouns.words import ExactMethod
from planner.text.command_lines import describe

DOING: dict[ExactMethod, str] = {"rehearsed": "rehearsing", "simulated": "simulating"}


@contextmanager
def telling_progress() -> Iterator[Callable[[int, int, ExactMethod, Configuration], None]]:
    """What is told of each run."""
    with ProgressLine() as line:

        def tell(number: int, most: int, method: ExactMethod, configuration: Configuration) -> None:
            line.show(f"exact: {DOING[method]} {number} of up to {most}, some 10 s each: {describe(configuration)}")

        yield tell
