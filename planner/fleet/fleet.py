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
from planner.fleet.cluster import Share, connected, require_room, share_of
from planner.fleet.dispatch import TICK_SECONDS, Dispatch
from planner.fleet.order import Attempt, Clip, Order
from planner.fleet.places import Place, found_at, is_address
from planner.fleet.progress import FleetProgress
from planner.nouns.plan import Plan
from planner.nouns.words import ShareKind, Task
from planner.outputs.layout import check_saves
from planner.runs.arguments import check_options, one_checkpoint
from planner.runs.folder import make_folder
from planner.runs.inputs import SUMMARY, Input, inputs_from
from planner.runs.interruption import Interruption
from planner.runs.summary import ClipOutcome, RunsSummary, failed, waiting
from planner.text.units import counted

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
    note: Note = lambda text: None,
    **options: Any,
) -> RunsSummary:
    """Do what a plan is for, for many inputs on a Ray cluster, each into a folder of its own below `out`.

    sources, out: paths that all nodes share, or addresses that fsspec opens. address: of the cluster. gpu: what its
    GPUs are, by name or memory; share: which share of one a worker gets, both as planner.place takes them. workers: how
    many; by default as many as the cluster has room for, at any time. progress: told about once a second. note: told
    what should be known at once, such as lost workers. options: of planner.runs.run.run, the same for all.

    A call with the same arguments goes on where an earlier one was stopped or killed. Each input ends as done, resumed,
    skipped or failed; one that fails stops no other.

    Raises UsageError and FileError for what is asked wrongly, EnvironmentFailure where the cluster cannot do it,
    Interrupted after Ctrl-C.
    """
    if plan.chosen is None:
        raise UsageError("The plan has no choice: nothing fits its budget.", "Plan again for more memory.")
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers can do nothing.", "Give 1 or more, or leave it out.")
    task, device = plan.request.workload.task, options.get("device", "auto")
    _check(task, options)
    cut = share_of(plan, device, gpu, share)
    for warning in cut.warnings:
        note(warning)
    place = _absolute(os.fspath(out))
    entries = _entries(sources, place, task)
    with connected(address) as ray:
        if workers is None:
            require_room(cut, ray.nodes())
        order = Order(plan=plan, out=place, summary=SUMMARY, options=_options(options), needs_gpu=device != "cpu")
        return _Fleet(ray, cut, order, entries, workers, progress, note).run()


class _Fleet:
    """One call."""

    def __init__(
        self,
        ray: Any,
        share: Share,
        order: Order,
        entries: Sequence[Input],
        workers: int | None,
        progress: Callable[[FleetProgress], None] | None,
        note: Note,
    ) -> None:
        self._ray, self._order, self._entries, self._progress = ray, order, entries, progress
        self._sources = {one.name: one.source for one in entries}
        self._outcomes: dict[str, ClipOutcome] = {one.name: one for one in self._waiting(entries)}
        self._task: Task = order.plan.request.workload.task
        self._board = _board(ray) if progress else None
        attempts = [Attempt(clip=Clip(name=one.name, source=_absolute(one.source))) for one in entries]
        self._dispatch = Dispatch(ray, share, order, attempts, workers=workers, board=self._board, note=note)
        self._under_way: dict[str, int] = {}
        self._began: float | None = None
        self._written = 0.0
        self._told = 0.0

    def run(self) -> RunsSummary:
        """Until every clip is done with, or the user stops it."""
        self._write()
        try:
            with Interruption() as interruption:
                while self._dispatch.open:
                    for attempt, outcome in self._dispatch.step():
                        self._outcomes[attempt.clip.name] = self._placed(outcome)
                    self._began = self._began or (time.monotonic() if self._dispatch.workers else None)
                    self._tell()
                    if time.monotonic() > self._written + WRITE_SECONDS:
                        self._write()
                    if interruption.requested:
                        raise self._interruption()
        except BaseException as error:
            self._interrupted(error)
            with suppress(PlannerError):
                self._write()
            raise
        finally:
            self._dispatch.stop()
        self._tell(always=True)
        return self._write()

    def _interruption(self) -> Interrupted:
        counts = self._summary().counts
        done = len(self._entries) - counts["waiting"] - counts["failed"]
        text = f"Interrupted: {done:,} of {counted(len(self._entries), 'input')} are done."
        return Interrupted(text, f"What was complete is kept in {self._order.out}; the same command resumes it.")

    def _waiting(self, entries: Sequence[Input]) -> list[ClipOutcome]:
        return [self._placed(one) for one in waiting(entries)]

    def _placed(self, outcome: ClipOutcome) -> ClipOutcome:
        """With its source as it was given, and its folder as a path would not hold it."""
        source = self._sources[outcome.name]
        return replace(outcome, source=source, out=f"{self._order.out}/{outcome.name}")

    def _interrupted(self, error: BaseException) -> None:
        """What workers had is neither done nor untouched."""
        why = error if isinstance(error, Interrupted) else Interrupted("The command ended.", "It goes on from there.")
        for attempt in self._dispatch.at_work:
            entry = next(one for one in self._entries if one.name == attempt.clip.name)
            self._outcomes[entry.name] = self._placed(failed(entry, why, "interrupted"))

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
        names = {attempt.clip.name for attempt in self._dispatch.at_work}
        frames = summary.frames + sum(count for name, count in self._under_way.items() if name in names)
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
            )
        )

    def _look(self) -> None:
        """How far the clips at work are, as the board last heard; it may be lost with its node, and nothing with it."""
        if self._board is None:
            return
        with suppress(self._ray.exceptions.RayError):
            call = self._board.read.remote()
            if self._ray.wait([call], timeout=0.2)[0]:
                self._under_way.update({name: done for name, (done, _) in self._ray.get(call).items()})


def _board(ray: Any) -> Any:
    """The board, on the node of the command if it may be there."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=here)(board_class()).remote()


def _check(task: Task, options: Mapping[str, Any]) -> None:
    """What would fail every clip alike, before anything is started."""
    names = ("reverse", "frames", "multimask", "start", "points_per_side", "crop_layers")
    known = {name: options[name] for name in names if name in options}
    check_options(task, **{"reverse": False, "frames": None, "multimask": False, **known})
    check_saves(options.get("saves"), task)
    one_checkpoint(options.get("checkpoint"), bool(options.get("random_weights")))


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    """With paths that mean the same in another process."""
    found = dict(options)
    for name in ("prompts", "checkpoint"):
        value = found.get(name)
        if isinstance(value, os.PathLike) or (name == "checkpoint" and value is not None and os.path.exists(value)):
            found[name] = Path(value).absolute()
    return found


def _absolute(path: str) -> str:
    return path.rstrip("/") if is_address(path) else os.path.abspath(path)


def _entries(sources: Sequence[str | os.PathLike[str]], out: str, task: Task) -> tuple[Input, ...]:
    """The inputs, each with its name; the folder of all is made, if it is one here and its parent is there."""
    found = inputs_from(sources, out, task, find=lambda address: found_at(address, task))
    if is_address(out):
        Place(out)  # whose scheme is known, and whose package is there
    else:
        make_folder(Path(out))
    return found
