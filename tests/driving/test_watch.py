"""Whoever watches a run is told the same phases, whichever runtime does it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import replace

import pytest

pytest.importorskip("sam2", reason="drives the sam2 package")

from planner.driving import own, stock
from planner.driving.clips import Black
from planner.driving.watch import Watch
from planner.nouns.run import COMPONENTS, PHASES, Run
from planner.runtime.replacing import replaced
from tests.simulator.runs import own_run, stock_run


class Listener(Watch):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.ticks = 0

    @contextlib.contextmanager
    def phase(self, name: str, component: str | None = None) -> Iterator[None]:
        assert name in PHASES
        assert component is None or component in COMPONENTS
        self.told.append(name)
        yield

    def tick(self) -> None:
        self.ticks += 1


def heard(run: Run) -> Listener:
    watch, clip = Listener(), Black(2, (48, 64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sam2 misses a GPU and its extension
        if run.runtime == "own":
            own.drive(run, own.load(run, "cpu", watch), watch, clip)
        else:
            with stock.computing(run, "cpu"):
                stock.drive(run, stock.load(run, "cpu", watch), watch, clip)
    return watch


@pytest.mark.parametrize("task", ["image", "video"])
def test_both_runtimes_tell_the_same_phases(task: str) -> None:
    runs = [own_run(task, (256, 256), objects=1, object_batch=1), stock_run(task, 256)]
    ours, theirs = (heard(replace(run, workload=replace(run.workload, frames=2, frame_size=(48, 64)))) for run in runs)
    assert ours.ticks == theirs.ticks == (3 if task == "image" else 2)
    within = {"load", "encode", "prompt", "output"}
    assert within <= set(ours.told)
    # The image predictor's masks are enlarged within what the caller asks for; init is stock's: ours reads as it goes.
    assert set(theirs.told) - {"init"} == set(ours.told)
    assert ours.told[0] == theirs.told[0] == "load"


def test_what_was_replaced_is_there_again_also_after_an_error() -> None:
    class Parent:
        name = "parent's"

    class Child(Parent):
        own = "child's"

    with pytest.raises(ZeroDivisionError), replaced(Child, name="other", own="other"):
        assert (Child.name, Child.own, Parent.name) == ("other", "other", "parent's")
        raise ZeroDivisionError
    assert (Child.name, Child.own, vars(Child).get("name")) == ("parent's", "child's", None)
    with pytest.raises(AttributeError), replaced(Child, nothing=1):
        pass
