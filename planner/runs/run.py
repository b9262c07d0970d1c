"""The long work: masks of a clip or a picture, written to a folder, that an interruption cannot spoil."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import FileError
from planner.nouns.plan import Plan
from planner.nouns.words import Save, Task
from planner.outputs.layout import Layout
from planner.runs.asked import Asked, weights_of
from planner.runs.clip import Ready, plan_after, run_clip
from planner.runs.folder import claim, held_folder, require_apart
from planner.runs.identity import identity_of
from planner.runs.interruption import Interruption
from planner.runs.job import (
    Job,
    Progress,
    RunMemory,
    RunSummary,
    Weights,
    WrittenFiles,
)
from planner.runs.picture import run_picture
from planner.runs.record import Record
from planner.runtime.loading import load
from planner.text.units import counted, format_resolution

if TYPE_CHECKING:
    from planner.runtime.session import Session

UNCOUNTED = "{device} does not count its memory; only CUDA does"


def run(
    plan: Plan,
    source: Any,
    out: str | Path,
    *,
    prompts: str | Path | Iterable[Any] = (),
    saves: Sequence[str] | None = None,
    checkpoint: str | Path | None = None,
    random_weights: bool = False,
    seed: int = 0,
    device: str = "auto",
    fallback: bool = False,
    reverse: bool = False,
    frames: int | None = None,
    multimask: bool = False,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
    start: int | None = None,
    points_per_side: int | None = None,
    crop_layers: int | None = None,
    load: Callable[[Plan], Session] | None = None,
    committed: Callable[[], None] | None = None,
) -> RunSummary:
    """Do what a plan is for, and write the masks to the folder `out`, which is made.

    source: for a video plan what Session.track takes, else a picture. prompts: see Session.track, or the path of a
    JSON file; on a picture one prompt per object, none for automask. saves: of png, coco, npz and overlay; by default
    all but npz (automask: neither png, whose masks cannot overlap). Weights: a checkpoint, or `random_weights`.
    start: the frame to begin at; by default the first prompted (reverse: the last). frames: stop after so many.
    multimask: keep the best of three masks per object of a picture. points_per_side, crop_layers: of automatic masks,
    by default 32 and 0; neither takes more memory, both more time. load: what loads a plan's choice, for a caller that
    keeps a session for several runs. committed: called when the run has begun and after every part, once it is on disk.

    A call with the same arguments goes on where an earlier one was stopped or killed, after its last complete part
    (which ends after 5, 10, 20, 50 and 100 frames, then after every 100), and ends with the same bytes in every file
    but run.json; where it had finished, it does nothing.

    Raises UsageError for what does not go together and for a folder that holds another run (unless `overwrite`),
    FileError for a source that cannot be read, EnvironmentFailure for files that cannot be written, Interrupted after
    a first Ctrl-C (when the frame is finished), and what the session raises.
    """
    asked = Asked(
        plan=plan,
        saves=saves,
        weights=weights_of(checkpoint, random_weights, seed, device, fallback),
        reverse=reverse,
        frames=frames,
        multimask=multimask,
        start=start,
        points_per_side=points_per_side,
        crop_layers=crop_layers,
    )
    with ExitStack() as stack:
        heard: list[str] = []
        stack.enter_context(hearing(heard.append))
        load = load or (lambda chosen: load_for(chosen, asked.weights))
        job = asked.job(source, Path(out), prompts, stack, load=load, progress=progress, committed=committed)
        return perform(job, overwrite=overwrite, heard=heard)


def perform(job: Job, *, overwrite: bool = False, heard: Sequence[str] = ()) -> RunSummary:
    """Do a job, or what is left of it. `heard` fills with what the source's reader warns of."""
    steps = performing(job, overwrite=overwrite, heard=heard)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            summary: RunSummary = end.value
            return summary


def performing(
    job: Job, *, overwrite: bool = False, heard: Sequence[str] = (), interruption: Interruption | None = None
) -> Generator[Ready, None, RunSummary]:
    """The same, a frame at each step, so that others have their turn between; a picture is one step."""
    identity = identity_of(job)
    rereadable = job.frames is None or job.frames.rereadable
    with held_folder(job.out) as layout:
        require_apart(layout, job.source)
        record, begin = claim(layout, identity, rereadable, overwrite)
        job = replace(job, load=_beginning(job, begin))
        before, finished = record.frames, record.status == "finished"
        if not finished:
            if job.task == "video":
                record = yield from run_clip(job, layout, record, interruption)
            else:
                record = run_picture(job, layout, record)
            found = (*record.warnings, *_mismatches(job, record), *_left_out(job), *heard, *job.watch.warnings)
            told = dict.fromkeys(found)
            if told:
                record = replace(record, warnings=tuple(told))
                record.write(layout.record)
        return _summary(job, layout, record, before, finished)


def _beginning(job: Job, begin: Callable[[], None]) -> Callable[[Plan], Session]:
    """The job's `load`, after which the run has begun."""

    def loaded(plan: Plan) -> Session:
        session = job.load(plan)
        begin()
        if job.committed is not None:
            job.committed()
        return session

    return loaded


def load_for(plan: Plan, weights: Weights) -> Session:
    """What the plan chose, loaded. Raises EnvironmentFailure where torch or sam2 are missing, and as planner.load."""
    return load(
        plan,
        weights.checkpoint,
        weights.device,
        random_weights=weights.checkpoint is None,
        seed=weights.seed,
        fallback=weights.fallback,
    )


@contextmanager
def hearing(hear: Callable[[str], object]) -> Iterator[None]:
    """Tell `hear` what readers of pictures, clips and prompts warn of in the block, and of a cap that is not enforced.

    For the summary.
    """
    from planner.machine.cap import CapWarning
    from planner.prompts.places import PromptWarning
    from planner.sources.depth import PictureWarning

    kinds = (PictureWarning, PromptWarning, CapWarning)
    show = warnings.showwarning

    def listen(message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        if issubclass(category, kinds):
            hear(str(message))
        else:
            show(message, category, filename, lineno, *rest)

    with warnings.catch_warnings():
        for category in kinds:
            warnings.simplefilter("always", category)
        warnings.showwarning = listen  # type: ignore[assignment]
        yield


def _mismatches(job: Job, record: Record) -> list[str]:
    """Where the work is larger than what was planned for."""
    workload, found = job.plan.request.workload, []
    more = "it may need more memory"
    if job.task != "automask" and record.objects > workload.objects:
        found.append(f"{counted(record.objects, 'object')}, but the plan was made for {workload.objects}: {more}")
    if job.size[0] * job.size[1] > workload.frame_size[0] * workload.frame_size[1]:
        sizes = format_resolution(job.size), format_resolution(workload.frame_size)
        found.append(f"frames of {sizes[0]}, but the plan was made for {sizes[1]}: {more}")
    if workload.frames is not None and job.task == "video" and record.frames > workload.frames:
        found.append(f"{counted(record.frames, 'frame')}, but the plan was made for {workload.frames:,}")
    return found


def _left_out(job: Job) -> list[str]:
    """The frames that nothing was asked of, where that may surprise: those before the first prompt."""
    if job.frames is None or not job.frames.rereadable or job.start is not None:
        return []
    numbers = [prompt.frame for prompt in job.prompts if not prompt.end]
    length = job.frames.length
    first, last = (max(numbers) + 1, length) if job.reverse else (0, min(numbers))
    if last is None or first >= last:
        return []
    which = f"frame {first} has" if last - first == 1 else f"frames {first} to {last - 1} have"
    other = "without --reverse they are tracked" if job.reverse else "--reverse tracks them"
    return [f"{which} no masks: tracking begins at the {'last' if job.reverse else 'first'} prompt; {other}"]


def _summary(job: Job, layout: Layout, record: Record, before: int, finished: bool) -> RunSummary:
    estimate, chosen = job.plan.estimate, plan_after(job.plan, record.steps).chosen
    assert estimate is not None
    assert chosen is not None
    return RunSummary(
        already_finished=finished,
        task=job.task,
        source=job.name,
        out=job.out,
        configuration=chosen.configuration,
        weights=job.weights.checkpoint or f"random, seed {job.weights.seed}",
        device=record.device,
        frame_size=job.size,
        frames=record.frames,
        frames_before=before,
        objects=record.objects,
        written=tuple(_written(layout, save, job.task) for save in job.saves),
        seconds=record.seconds,
        memory=RunMemory(
            allocated_bytes=record.allocated_bytes,
            reserved_bytes=record.reserved_bytes,
            reason=UNCOUNTED.format(device=record.device) if record.reserved_bytes is None else None,
            planned_allocated_bytes=estimate.allocated_bytes,
            planned_reserved_bytes=estimate.reserved_bytes,
            planned_total_bytes=estimate.total_bytes,
            samples=record.samples,
        ),
        steps=record.steps,
        warnings=record.warnings,
    )


def _written(layout: Layout, save: Save, task: Task) -> WrittenFiles:
    path = layout.answer(save, task)
    ending = f".{save}"
    files = [child for child in path.iterdir() if child.suffix == ending] if path.is_dir() else [path]
    try:
        return WrittenFiles(save=save, path=path, files=len(files), bytes=sum(file.stat().st_size for file in files))
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}.", "Start again with --overwrite.") from None
