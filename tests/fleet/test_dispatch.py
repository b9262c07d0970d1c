"""Who gets which clip, and what becomes of one that fails: a script of answers in place of Ray and its workers."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from planner.errors import EnvironmentFailure, FileError, Interrupted, OutOfMemory, PlannerError
from planner.fleet.cluster import Share
from planner.fleet.dispatch import Dispatch
from planner.fleet.order import Answer, Clip, Order
from planner.runs.inputs import Input
from planner.runs.summary import ClipOutcome, failed
from tests.runtime.fakes import video_plan


class RayError(Exception):
    """The worker is gone."""


Does = Callable[[str, str, int], Any]
"""What a worker on a node makes of a clip at its N-th try: an error, a fault of the node, or None where it is done."""


class FakeRay:
    """As much of Ray as a dispatch asks: an actor on each node, whose calls are answered at once."""

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self, nodes: list[str], does: Does, faults: dict[str, str] | None = None) -> None:
        self.names, self.does, self.faults = nodes, does, faults or {}
        self.dead: set[str] = set()
        self.given: list[tuple[str, str]] = []
        """Clips, with the node that each was given to."""
        self.free = list(nodes)

    def nodes(self) -> list[dict[str, Any]]:
        """Each with one core, the resource of the share here."""
        return [{"NodeID": name, "Alive": name not in self.dead, "Resources": {"CPU": 1}} for name in self.names]

    def remote(self, **_: Any) -> Any:
        return lambda _: SimpleNamespace(remote=lambda version: FakeActor(self, self.free.pop(0)))

    def wait(self, calls: list[Any], num_returns: int = 1, timeout: float = 0) -> tuple[list[Any], list[Any]]:
        return calls, []

    def get(self, call: Any) -> Any:
        return call()

    def kill(self, actor: Any) -> None:
        """There is nothing to end."""


class FakeActor:
    """Of one node."""

    def __init__(self, ray: FakeRay, node: str) -> None:
        self.check = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda *_: self._check))
        self.run = SimpleNamespace(remote=lambda clip, again: lambda: self._run(pickle.loads(clip)))
        self._ray, self._node = ray, node

    def _check(self) -> dict[str, str]:
        return {"node": self._node, "host": f"host of {self._node}", "fault": self._ray.faults.get(self._node, "")}

    def _run(self, clip: Clip) -> bytes:
        tries = sum(name == clip.name for name, _ in self._ray.given)
        self._ray.given.append((clip.name, self._node))
        said = self._ray.does(clip.name, self._node, tries)
        if isinstance(said, RayError):
            raise said
        entry = Input(source=clip.source, name=clip.name, out="out")  # type: ignore[arg-type]
        if isinstance(said, str):
            error = EnvironmentFailure("It cannot be had.")
            unseen = said if said.startswith("/") else ""
            return pickle.dumps(Answer(outcome=failed(entry, error), fault=said, unseen=unseen))
        if isinstance(said, PlannerError):
            status = "interrupted" if isinstance(said, Interrupted) else "failed"
            return pickle.dumps(Answer(outcome=failed(entry, said, status)))  # type: ignore[arg-type]
        return pickle.dumps(Answer(outcome=ClipOutcome(name=clip.name, source=clip.source, out="out", status="done")))


def dispatched(ray: FakeRay, count: int = 3, seconds: float = 0.1) -> tuple[dict[str, ClipOutcome], list[str]]:
    """What became of so many clips, called a, b, c ..., and the notes; a look at the clock takes some seconds."""
    outcomes: dict[str, ClipOutcome] = {}
    notes: list[str] = []

    def ended(outcome: ClipOutcome) -> None:
        assert outcome.name not in outcomes, "once"
        outcomes[outcome.name] = outcome

    order = Order(plan=video_plan(), out="/masks", summary="runs.json", options={}, needs_gpu=False)
    clips = [Clip(name=name, source=f"{name}.mp4") for name in "abcdefgh"[:count]]
    clock = itertools.count(step=seconds)
    dispatch = Dispatch(
        ray,
        Share(options={"num_cpus": 1}),
        order,
        clips,
        workers=None,
        board=None,
        ended=ended,
        note=notes.append,
        clock=lambda: next(clock),
    )
    for _ in range(100):
        if not dispatch.open:
            return outcomes, notes
        dispatch.step()
    raise AssertionError(f"it goes on for ever: {ray.given}")


def only(name: str, *answers: Any) -> Does:
    """One clip gets these answers, try by try, and is done then; the others are done at once."""
    return lambda clip, node, tries: answers[tries] if clip == name and tries < len(answers) else None


def test_all_are_done_once_on_all_nodes() -> None:
    ray = FakeRay(["x", "y"], only("none"))
    outcomes, notes = dispatched(ray, 6)
    assert sorted(outcomes) == list("abcdef") and notes == []
    assert {node for _, node in ray.given} == {"x", "y"}
    assert [name for name, _ in ray.given] == list("abcdef"), "in order"


@pytest.mark.parametrize("error", [EnvironmentFailure("full"), OutOfMemory("full"), PlannerError("a bug")])
def test_what_may_pass_is_tried_three_times_and_elsewhere_first(error: PlannerError) -> None:
    ray = FakeRay(["x", "y"], only("b", error, error))
    outcomes, _ = dispatched(ray)
    assert outcomes["b"].status == "done"
    nodes = [node for name, node in ray.given if name == "b"]
    assert len(nodes) == 3 and nodes[0] != nodes[1]
    ray = FakeRay(["x", "y"], only("b", error, error, error))
    outcomes, _ = dispatched(ray)
    assert (outcomes["b"].status, outcomes["b"].error is not None) == ("failed", True)
    assert {outcomes[name].status for name in "ac"} == {"done"}
    ray = FakeRay(["x"], only("b", error))
    assert dispatched(ray)[0]["b"].status == "done", "where no other node is there, on the same"


def test_what_will_not_pass_is_not_tried_again() -> None:
    ray = FakeRay(["x", "y"], only("b", FileError("broken")))
    outcomes, _ = dispatched(ray)
    assert outcomes["b"].status == "failed"
    assert sum(name == "b" for name, _ in ray.given) == 1


def test_a_node_at_fault_gets_nothing_more_and_its_clip_is_not_to_blame() -> None:
    ray = FakeRay(["x", "y"], lambda clip, node, tries: "read-only" if node == "x" else None)
    outcomes, notes = dispatched(ray, 6)
    assert {outcome.status for outcome in outcomes.values()} == {"done"}
    assert sum(node == "x" for _, node in ray.given) == 1
    assert len(notes) == 1 and "host of x" in notes[0] and "read-only" in notes[0]


def test_nodes_that_are_found_at_fault_get_nothing_and_where_all_are_it_ends() -> None:
    ray = FakeRay(["x", "y"], only("none"), faults={"x": "no torch"})
    outcomes, notes = dispatched(ray)
    assert len(outcomes) == 3 and {node for _, node in ray.given} == {"y"}
    assert "no torch" in notes[0]
    ray = FakeRay(["x", "y"], only("none"), faults={"x": "no torch", "y": "no sam2"})
    with pytest.raises(EnvironmentFailure, match="No worker can do the rest"):
        dispatched(ray)
    assert ray.given == []


def test_a_clip_that_takes_workers_along_is_given_up_unless_their_nodes_went_too() -> None:
    gone = RayError("gone")
    ray = FakeRay(["x", "y"], only("b", gone, gone, gone, gone, gone))
    outcomes, notes = dispatched(ray)
    assert outcomes["b"].status == "failed" and "3 workers ended" in str(outcomes["b"].error)
    assert sum(name == "b" for name, _ in ray.given) == 3
    assert sum("was lost; b goes to another" in note for note in notes) == 3
    assert {outcomes[name].status for name in "ac"} == {"done"}

    ray = FakeRay(["x", "y"], only("b", gone, gone, gone, gone, gone))
    ray.dead = {"x", "y"}  # nodes that were spot instances: others came in their place
    ray.nodes = lambda: [  # type: ignore[method-assign]
        *({"NodeID": name, "Alive": False, "Resources": {}} for name in "xy"),
        {"NodeID": "z", "Alive": True, "Resources": {"CPU": 2}},
    ]
    outcomes, _ = dispatched(ray)
    assert outcomes["b"].status == "done"


def test_a_clip_of_a_node_that_is_shut_down_goes_to_another_at_no_cost() -> None:
    stopped = Interrupted("Interrupted.")
    outcomes, _ = dispatched(FakeRay(["x", "y"], only("b", stopped, stopped, stopped, stopped)))
    assert outcomes["b"].status == "done"


def test_a_node_that_joins_gets_a_worker_and_no_more_are_asked_for_than_there_are_clips() -> None:
    def join(clip: str, node: str, tries: int) -> None:
        if clip == "a":
            ray.names.append("y")
            ray.free.append("y")

    ray = FakeRay(["x"], join)
    outcomes, _ = dispatched(ray, 8, seconds=3.0)
    assert len(outcomes) == 8
    assert {node for _, node in ray.given} == {"x", "y"}
    ray = FakeRay(list("uvwxyz"), only("none"))
    dispatched(ray, 2)
    assert len(ray.free) == 4


def test_a_node_at_fault_is_looked_at_again_and_gets_work_when_it_is_well() -> None:
    faults = {"x": "no torch"}

    def mend(clip: str, node: str, tries: int) -> None:
        faults.clear()

    ray = FakeRay(["x", "y"], mend, faults=faults)
    outcomes, notes = dispatched(ray, 8, seconds=15.0)
    assert len(outcomes) == 8 and len(notes) == 1
    assert {node for _, node in ray.given} == {"x", "y"}


def test_an_input_that_is_gone_is_not_the_nodes_fault_where_the_command_misses_it_too(tmp_path: Path) -> None:
    outcomes, notes = dispatched(FakeRay(["x"], only("b", str(tmp_path / "gone.mp4"))))
    assert (outcomes["b"].status, notes) == ("failed", [])
    assert {outcomes[name].status for name in "ac"} == {"done"}
    (tmp_path / "here.mp4").touch()
    outcomes, notes = dispatched(FakeRay(["x", "y"], only("b", str(tmp_path / "here.mp4"))))
    assert outcomes["b"].status == "done" and len(notes) == 1
