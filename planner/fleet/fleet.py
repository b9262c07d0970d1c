"""Many inputs on a Ray cluster: what is asked, checked; the work, handed out; what became of it, written down."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from planner.errors import Interrupted, PlannerError, UsageError
from planner.fleet.actor import board_class
from planner.fleet.cluster import connected, require_room, share_of
from planner.fleet.dispatch import TICK_SECONDS, Dispatch
from planner.fleet.order import Clip, Order
from planner.fleet.places import Place, found_at, is_address
from planner.fleet.progress import AtWork, FleetProgress
from planner.nouns.plan import Plan
from planner.nouns.words import ShareKind, Task
from planner.outputs.layout import Layout
from planner.runs.asked import Asked, weights_of
from planner.runs.folder import make_folder
from planner.runs.inputs import SUMMARY, Input, inputs_from
from planner.runs.interruption import Interruption
from planner.runs.arguments import PromptsOf
from planner.runs.summary import ClipOutcome, RunsSummary, failed, waiting

WEIGHTS = ("checkpoint", "random_weights", "seed", "device", "fallback")
"""Options that say which weights, and where."""
WRITE_SECONDS = 15.0
"""The summary is written so often; a killed command leaves the last."""
Note = Callable[[str], None]


def run_on_ray(
    plan: Plan,
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    address: str | None = None,
    gpu: str | int | None = None,
    share: ShareKind = "bound",
    workers: int | None = None,
    progress: Callable[[FleetProgress], None] | None = None,
    ended: Callable[[ClipOutcome], object] = lambda outcome: None,
    note: Note = lambda text: None,
    **options: Any,
) -> RunsSummary:
    """Do what a plan is for, for many inputs on a Ray cluster, each into a folder of its own below `out`.

    sources, out: paths that all nodes share, or addresses that fsspec opens. address: of the cluster. gpu: what its
    GPUs are, by name or memory; share: which share of one a worker gets, both as planner.place takes them. workers: how
    many; by default as many as the cluster has room for, at any time. progress: told about once a second. ended: told
    of each input as it ends. note: told what should be known at once, such as lost workers. options: those of
    planner.runs.run.run; prompts as planner.runs.several takes them.

    A call with the same arguments goes on where an earlier one was stopped or killed. An input that fails
    stops no other. A first Ctrl-C ends the workers, whose inputs are interrupted then. The folder gets runs.json, which
    says what became of each.

    Raises UsageError and FileError for what is asked wrongly, EnvironmentFailure where the cluster cannot do it.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers can do nothing.", "Give 1 or more, or leave it out.")
    task, device = plan.request.workload.task, options.get("device", "auto")
    prompts = _prompts_of(options.pop("prompts", ()), task)
    _check(plan, options)
    cut = share_of(plan, device, gpu, share)
    for warning in cut.warnings:
        note(warning)
    place = _absolute(os.fspath(out))
    entries = _entries(sources, place, task)
    with connected(address) as ray:
        if workers is None:
            require_room(cut, ray.nodes())
        order = Order(plan=plan, out=place, summary=SUMMARY, options=_options(options), needs_gpu=device != "cpu")
        clips = [Clip(name=one.name, source=_absolute(one.source), prompts=prompts(one)) for one in entries]
        board = _board(ray) if progress else None
        dispatch = Dispatch(ray, cut, order, clips, workers=workers, board=board, note=note)
        return _Fleet(order, entries, dispatch, board, progress, ended).run()


class _Fleet:
    """One call."""

    def __init__(
        self,
        order: Order,
        entries: Sequence[Input],
        dispatch: Dispatch,
        board: Any,
        progress: Callable[[FleetProgress], None] | None,
        ended: Callable[[ClipOutcome], object],
    ) -> None:
        self._order, self._entries, self._dispatch, self._board = order, entries, dispatch, board
        self._progress, self._ended = progress, ended
        self._sources = {one.name: one.source for one in entries}
        self._outcomes: dict[str, ClipOutcome] = {one.name: one for one in self._waiting(entries)}
        self._task: Task = order.plan.request.workload.task
        self._under_way: dict[str, tuple[int | None, int | None]] = {}
        self._began: float | None = None
        self._written = 0.0
        self._told = 0.0

    def run(self) -> RunsSummary:
        """Until every clip is done with, or the user stops it."""
        self._write()
        try:
            with Interruption() as interruption:
                while self._dispatch.open and not interruption.requested:
                    self._step()
        except BaseException as error:
            self._end_early(str(error))
            with suppress(PlannerError):
                self._write()
            raise
        finally:
            self._dispatch.stop()
        self._end_early("Interrupted.")
        self._tell(always=True)
        return self._write()

    def _step(self) -> None:
        for attempt, outcome in self._dispatch.step():
            self._outcomes[attempt.clip.name] = self._placed(outcome)
            self._ended(self._outcomes[attempt.clip.name])
        self._began = self._began or (time.monotonic() if self._dispatch.workers else None)
        self._tell()
        if time.monotonic() > self._written + WRITE_SECONDS:
            self._write()

    def _waiting(self, entries: Sequence[Input]) -> list[ClipOutcome]:
        return [self._placed(one) for one in waiting(entries)]

    def _placed(self, outcome: ClipOutcome) -> ClipOutcome:
        """With its source as it was given, and its folder as a path would not hold it."""
        source = self._sources[outcome.name]
        return replace(outcome, source=source, out=f"{self._order.out}/{outcome.name}")

    def _end_early(self, why: str) -> None:
        """What workers have is neither done nor untouched."""
        entries = {one.name: one for one in self._entries}
        for clip, _ in self._dispatch.at_work:
            error = Interrupted(why, "The same command resumes it.")
            self._outcomes[clip.name] = self._placed(failed(entries[clip.name], error, "interrupted"))

    def _summary(self) -> RunsSummary:
        return RunsSummary(
            task=self._task,
            out=self._order.out,
            clips=tuple(self._outcomes[entry.name] for entry in self._entries),
            seconds=time.monotonic() - self._began if self._began is not None else 0.0,
        )

    def _write(self) -> RunsSummary:
        """The summary, beside the folders."""
        import tempfile

        summary = self._summary()
        self._written = time.monotonic()
        if not is_address(self._order.out):
            summary.write(Path(self._order.out))
            return summary
        with tempfile.TemporaryDirectory() as folder:
            summary.write(Path(folder))
            (Place(self._order.out) / SUMMARY).write(Path(folder) / SUMMARY)
        return summary

    def _tell(self, always: bool = False) -> None:
        if self._progress is None or not (always or time.monotonic() > self._told + TICK_SECONDS / 2):
            return
        self._told = time.monotonic()
        self._look()
        summary = self._summary()
        counts, seconds = summary.counts, summary.seconds
        done, lost = counts["done"] + counts["resumed"], counts["failed"]
        at_work = [
            AtWork(name=clip.name, host=host, done=done, total=total)
            for clip, host in self._dispatch.at_work
            for done, total in [self._under_way.get(clip.name, (None, None))]
        ]
        frames = summary.frames + sum(one.done or 0 for one in at_work)
        left = len(self._entries) - done - lost - counts["skipped"]
        pace = (done + lost) / seconds if seconds > 0 and done + lost else None
        self._progress(
            FleetProgress(
                done=done + counts["skipped"],
                failed=lost,
                total=len(self._entries),
                workers=self._dispatch.workers,
                nodes=self._dispatch.nodes,
                frames=frames,
                frames_per_second=frames / seconds if seconds > 0 and frames else None,
                clips_per_second=pace,
                seconds_left=left / pace if pace else None,
                at_work=tuple(at_work),
            )
        )

    def _look(self) -> None:
        """How far the clips at work are, as the board last heard; it may be lost with its node, and nothing with it."""
        if self._board is not None:
            self._under_way.update(self._dispatch.asked(self._board.read))


def _board(ray: Any) -> Any:
    """The board, on the node of the command if it may be there."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=here)(board_class()).remote()


def _prompts_of(given: Any, task: Task) -> PromptsOf:
    """The prompts of each input, by paths that mean the same in another process."""
    return PromptsOf(os.path.abspath(given) if isinstance(given, (str, os.PathLike)) else given, task)


def _check(plan: Plan, options: Mapping[str, Any]) -> None:
    """What would fail every input alike, before anything is started."""
    given = {name: value for name, value in options.items() if name not in (*WEIGHTS, "overwrite")}
    weights = {"checkpoint": None, "random_weights": False, "seed": 0, "device": "auto", "fallback": False}
    chosen = weights_of(**{**weights, **{name: options[name] for name in WEIGHTS if name in options}})
    Asked(plan=plan, weights=chosen, **{"saves": None, **given})


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    """With a checkpoint that means the same in another process."""
    found = dict(options)
    checkpoint = found.get("checkpoint")
    if checkpoint is not None and not is_address(str(checkpoint)) and os.path.exists(checkpoint):
        found["checkpoint"] = os.path.abspath(checkpoint)
    return found


def _absolute(path: str) -> str:
    return path.rstrip("/") if is_address(path) else os.path.abspath(path)


def _entries(sources: Sequence[str | os.PathLike[str]], out: str, task: Task) -> tuple[Input, ...]:
    """The inputs, each with its name; the folder of all is made, if it is one here and its parent is there."""
    found = inputs_from(sources, out, task, find=lambda address: found_at(address, task))
    if is_address(out):
        Place(out)  # whose scheme is known, and whose package is there
        return found
    make_folder(Path(out))
    if Layout(folder=Path(out)).record.exists():
        raise UsageError(
            f"{out} holds a run of one input (run.json); a fleet needs a folder for all.", "Give another --out."
        )
    return found
