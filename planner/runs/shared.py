"""The one session of several inputs: loaded when the first wants it, with what earlier calls had to step down to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from planner.errors import FileError
from planner.nouns.plan import Plan
from planner.outputs.layout import Layout
from planner.runs.clip import plan_after
from planner.runs.inputs import Input
from planner.runs.job import Weights
from planner.runs.record import Record, read_record
from planner.runs.run import load_for

if TYPE_CHECKING:
    from planner.runtime.session import Session


class SharedSession:
    """The one session of all."""

    def __init__(self, plan: Plan, weights: Weights, loaded: Callable[[], object]) -> None:
        self._plan, self._weights, self._loaded = plan, weights, loaded
        self._session: Session | None = None
        self.failure: BaseException | None = None
        """Why it could not be loaded, which is no input's fault."""

    def load(self, _: Plan) -> Session:
        """The session, loaded when it is first wanted: nothing is, where all inputs are done."""
        if self._session is None:
            try:
                self._session = load_for(self._plan, self._weights)
            except BaseException as error:
                self.failure = error
                raise
            self._loaded()
        return self._session

    def close(self) -> None:
        """Give its memory back, if it was loaded."""
        if self._session is not None:
            self._session.close()


def record_of(entry: Input) -> Record | None:
    """What an earlier call, or this one, has left of an input."""
    path = Layout(folder=entry.out).record
    if not path.exists():
        return None
    try:
        return read_record(path)
    except FileError:  # said when it is the input's turn
        return None


def kept(entry: Input) -> int | None:
    """Frames of complete parts of an input; None where nothing was begun."""
    record = record_of(entry)
    return None if record is None else record.frames


def furthest(plan: Plan, entries: Sequence[Input]) -> Plan:
    """The plan as of the furthest step down of any input that is to be resumed: there is one set of weights."""
    found = (record_of(entry) for entry in entries)
    steps = [record.steps for record in found if record is not None and record.status == "running"]
    return plan_after(plan, max(steps, key=len, default=()))
