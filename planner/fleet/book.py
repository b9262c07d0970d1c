"""What became of each input so far, and the file that says so beside their folders."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from planner.errors import Interrupted
from planner.fleet.order import Order
from planner.fleet.places import Place, is_address
from planner.runs.inputs import SUMMARY, Input
from planner.runs.summary import ClipOutcome, RunsSummary, failed, waiting


class Book:
    """The outcomes of one call, at first all waiting."""

    def __init__(self, order: Order, entries: Sequence[Input]) -> None:
        self._order = order
        self._entries = {one.name: one for one in entries}
        self._outcomes = {one.name: self._placed(one) for one in waiting(entries)}

    def enter(self, outcome: ClipOutcome) -> ClipOutcome:
        """Note what became of an input; gives it as it is written down."""
        self._outcomes[outcome.name] = placed = self._placed(outcome)
        return placed

    def interrupt(self, names: Iterable[str], why: str) -> None:
        """Note that inputs were at work when the call ended: neither done nor untouched."""
        for name in names:
            error = Interrupted(why, "The same command resumes it.")
            self.enter(failed(self._entries[name], error, "interrupted"))

    def summary(self, seconds: float) -> RunsSummary:
        """Of all inputs, in their order."""
        return RunsSummary(
            task=self._order.plan.request.workload.task,
            out=self._order.out,
            clips=tuple(self._outcomes.values()),
            seconds=seconds,
        )

    def write(self, seconds: float) -> RunsSummary:
        """The same, and into its file. Raises EnvironmentFailure."""
        summary = self.summary(seconds)
        if not is_address(self._order.out):
            summary.write(Path(self._order.out))
            return summary
        with tempfile.TemporaryDirectory() as folder:
            summary.write(Path(folder))
            (Place(self._order.out) / SUMMARY).write(Path(folder) / SUMMARY)
        return summary

    def _placed(self, outcome: ClipOutcome) -> ClipOutcome:
        """With its source as it was given, and its folder as a path would not hold it."""
        source = self._entries[outcome.name].source
        return replace(outcome, source=source, out=f"{self._order.out}/{outcome.name}")
