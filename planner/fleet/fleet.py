"""Many inputs on a Ray cluster: what is asked, checked; the work, handed out; what became of it, written down."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from planner.errors import PlannerError, UsageError
from planner.fleet.actor import board_class
from planner.fleet.book import Book
from planner.fleet.cluster import connected, require_room, share_of
from planner.fleet.dispatch import TICK_SECONDS, Dispatch
from planner.fleet.order import Clip, Order
from planner.fleet.places import Place, found_at, is_address
from planner.fleet.progress import AtWork, FleetProgress
from planner.nouns.plan import Plan
from planner.nouns.words import ShareKind, Task
from planner.outputs.layout import Layout
from planner.runs.arguments import PromptsOf
from planner.runs.asked import Asked, weights_of
from planner.runs.folder import make_folder
from planner.runs.inputs import SUMMARY, Input, inputs_from
from planner.runs.interruption import Interruption
from planner.runs.summary import ClipOutcome, RunsSummary
from planner.text.units import counted

WEIGHTS = ("checkpoint", "random_weights", "seed", "device", "fallback")
"""Options that say which weights, and where."""
WRITE_SECONDS = 15.0
"""The summary is written so often; a killed command leaves the last."""
LOOK_SECONDS = 2.0
"""How often the board is read, to which workers write as often."""
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
    for warning in (*cut.warnings, *_too_much(plan)):
        note(warning)
    place = _absolute(os.fspath(out))
    entries = _entries(sources, place, task)
    with connected(address) as ray:
        if workers is None:
            require_room(cut, ray.nodes())
        order = Order(plan=plan, out=place, summary=SUMMARY, options=_options(options), needs_gpu=device != "cpu")
        clips = [Clip(name=one.name, source=_absolute(one.source), prompts=prompts(one)) for one in entries]
        board = _board(ray) if progress else None
        book = Book(order, entries)
        dispatch = Dispatch(
            ray,
            cut,
            order,
            clips,
            workers=workers,
            board=board,
            ended=lambda outcome: ended(book.enter(outcome)),
            note=note,
        )
        return _Fleet(book, dispatch, board, progress).run()


class _Fleet:
    """One call, from its first clip to its last."""

    def __init__(
        self, book: Book, dispatch: Dispatch, board: Any, progress: Callable[[FleetProgress], None] | None
    ) -> None:
        self._book, self._dispatch, self._board, self._progress = book, dispatch, board, progress
        self._under_way: dict[str, tuple[int | None, int | None]] = {}
        self._began: float | None = None
        self._written = self._told = self._looked = 0.0

    def run(self) -> RunsSummary:
        """Until every clip is done with, or the user stops it."""
        self._write()
        try:
            with Interruption() as interruption:
                while self._dispatch.open and not interruption.requested:
                    self._step()
        except BaseException as error:
            self._interrupt(str(error) or type(error).__name__)
            with suppress(PlannerError):
                self._write()
            raise
        finally:
            self._dispatch.stop()
        self._interrupt("Interrupted.")
        self._tell(always=True)
        return self._write()

    def _step(self) -> None:
        self._dispatch.step()
        if self._began is None and self._dispatch.workers:
            self._began = time.monotonic()
        self._tell()
        if time.monotonic() > self._written + WRITE_SECONDS:
            self._write()

    @property
    def _seconds(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began

    def _interrupt(self, why: str) -> None:
        self._book.interrupt([clip.name for clip, _ in self._dispatch.at_work], why)

    def _write(self) -> RunsSummary:
        self._written = time.monotonic()
        return self._book.write(self._seconds)

    def _tell(self, always: bool = False) -> None:
        if self._progress is None or not (always or time.monotonic() > self._told + TICK_SECONDS / 2):
            return
        self._told = time.monotonic()
        if self._board is not None and self._told > self._looked + LOOK_SECONDS:
            self._looked = self._told
            self._under_way.update(self._dispatch.asked(self._board.read))
        at_work = [
            AtWork(name=clip.name, host=host, done=done, total=total)
            for clip, host in self._dispatch.at_work
            for done, total in [self._under_way.get(clip.name, (None, None))]
        ]
        self._progress(progress_of(self._book.summary(self._seconds), at_work, self._dispatch))


def progress_of(summary: RunsSummary, at_work: Sequence[AtWork], dispatch: Dispatch) -> FleetProgress:
    """How far a fleet is, its pace by what ended in this call."""
    counts, seconds = summary.counts, summary.seconds
    done, total = counts["done"] + counts["resumed"], len(summary.clips)
    ended = done + counts["failed"]
    pace = ended / seconds if seconds > 0 and ended else None
    frames = summary.frames + sum(one.done or 0 for one in at_work)
    return FleetProgress(
        done=done + counts["skipped"],
        failed=counts["failed"],
        total=total,
        workers=dispatch.workers,
        nodes=dispatch.nodes,
        frames=frames,
        frames_per_second=frames / seconds if seconds > 0 and frames else None,
        clips_per_second=pace,
        seconds_left=(total - ended - counts["skipped"]) / pace if pace else None,
        at_work=tuple(at_work),
    )


def _board(ray: Any) -> Any:
    """The board, on the node of the command if it may be there."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=here)(board_class()).remote()


def _too_much(plan: Plan) -> list[str]:
    """What a worker is allotted for nothing."""
    streams = plan.request.workload.streams
    if streams == 1:
        return []
    return [f"the plan is for {counted(streams, 'clip')} at once in a process; a worker does one after the other"]


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
