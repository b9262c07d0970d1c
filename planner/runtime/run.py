"""The long work: masks of a clip or a picture, written to a folder, that an interruption cannot spoil."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from planner.domain import Plan
from planner.errors import EnvironmentFailure, FileError, UsageError
from planner.outputs.labels import check_label_ids
from planner.outputs.layout import SAVES, Layout
from planner.runtime.run_clip import plan_after, run_clip
from planner.runtime.run_folder import claim, held_folder
from planner.runtime.run_identity import identity_of
from planner.runtime.run_nouns import (
    PART_FRAMES,
    FramesLike,
    Job,
    Progress,
    RunMemory,
    RunSummary,
    SessionLike,
    Weights,
    WrittenFiles,
)
from planner.runtime.run_picture import run_picture
from planner.runtime.run_record import Record
from planner.units import format_resolution

UNCOUNTED = "{device} does not count its memory; only CUDA does"
NEEDED = {"png": ("PIL",), "coco": ("pycocotools.mask",), "npz": ("numpy",), "overlay": ("PIL", "av")}
PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")


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
) -> RunSummary:
    """Do what a plan is for, and write the masks to the folder `out`, which is made.

    source: for a video plan what Session.track takes, else a picture. prompts: see Session.track, or the path of a
    JSON file; on a picture one prompt per object, none for automask. saves: of png, coco, npz and overlay; by default
    all but npz (automask: neither png, whose masks cannot overlap). Weights: a checkpoint, or `random_weights`.
    frames: stop after so many. multimask: keep the best of three masks per object of a picture.

    A call with the same arguments goes on where an earlier one was stopped or killed, after its last complete part of
    100 frames, and ends with the same bytes in every file but run.json; where it had finished, it does nothing.

    Raises UsageError for what does not go together and for a folder that holds another run (unless `overwrite`),
    FileError for a source that cannot be read, EnvironmentFailure for files that cannot be written, Interrupted after
    a first Ctrl-C (when the frame is finished), and what the session raises.
    """
    if plan.chosen is None:
        raise UsageError("The plan has no choice: nothing fits its budget.", "Plan again for more memory.")
    task = plan.request.workload.task
    _check_options(task, reverse, frames, multimask)
    kept = check_saves(saves, task)
    _require_libraries(kept)
    weights = Weights(checkpoint=_checkpoint(checkpoint, random_weights), seed=seed, device=device, fallback=fallback)
    with ExitStack() as stack:
        heard = stack.enter_context(_heard())
        clip = _clip(source, stack) if task == "video" else None
        picture: Any = _picture(source) if clip is None else None
        size, length = (clip.size, clip.length) if clip is not None else (picture.shape[:2], 1)
        job = Job(
            plan=plan, source=source, frames=clip, picture=picture, out=Path(out),
            prompts=_prompts(prompts, task, size, length, kept), saves=kept, weights=weights, load=_loader(weights),
            reverse=reverse, limit=frames, multimask=multimask, progress=progress, part_frames=PART_FRAMES,
        )  # fmt: skip
        return perform(job, overwrite=overwrite, heard=heard)


def perform(job: Job, *, overwrite: bool = False, heard: Sequence[str] = ()) -> RunSummary:
    """Do a job, or what is left of it. `heard` fills with what the source's reader warns of."""
    identity = identity_of(job)
    rereadable = job.frames is None or job.frames.rereadable
    with held_folder(job.out) as layout:
        record = claim(layout, identity, rereadable, overwrite)
        before, finished = record.frames, record.status == "finished"
        if not finished:
            record = run_clip(job, layout, record) if job.task == "video" else run_picture(job, layout, record)
            told = dict.fromkeys((*record.warnings, *_mismatches(job, record), *heard))
            record = replace(record, warnings=tuple(told))
            record.write(layout.record)
        return _summary(job, layout, record, before, finished)


def _loader(weights: Weights) -> Callable[[Plan], SessionLike]:
    def load(plan: Plan) -> SessionLike:
        from planner import loading

        loaded: SessionLike = loading.load(
            plan,
            weights.checkpoint,
            weights.device,
            random_weights=weights.checkpoint is None,
            seed=weights.seed,
            fallback=weights.fallback,
        )
        return loaded

    return load


def check_saves(saves: Sequence[str] | None, task: str) -> tuple[str, ...]:
    """What to save, in a fixed order; None is the default of the task. Raises UsageError for an unknown word."""
    if saves is None:
        return ("coco", "overlay") if task == "automask" else ("png", "coco", "overlay")
    for save in saves:
        if save not in SAVES:
            raise UsageError(f"{save!r} cannot be saved.", f"Choose from {', '.join(SAVES)}.")
    if not saves:
        raise UsageError("There is nothing to save.", f"Choose from {', '.join(SAVES)}.")
    return tuple(save for save in SAVES if save in saves)


def _require_libraries(saves: Sequence[str]) -> None:
    """Raise EnvironmentFailure for a library that is missing, before an hour of work is lost to it."""
    from importlib import import_module

    for save in saves:
        for name in NEEDED[save]:
            try:
                import_module(name)
            except ImportError as error:
                hint = 'Run pip install "sam2-plan[run]", or leave it out of --save.'
                raise EnvironmentFailure(f"Saving {save} needs {name}: {error}.", hint) from None


def _check_options(task: str, reverse: bool, frames: int | None, multimask: bool) -> None:
    if task != "video":
        for name, given in (("--reverse", reverse), ("--frames", frames is not None)):
            if given:
                raise UsageError(f"{name} is for videos; the plan's task is {task}.", "Leave it out, or plan a video.")
    if multimask and task != "image":
        raise UsageError(
            f"--multimask is for prompted pictures; the plan's task is {task}.", "Leave it out, or plan for an image."
        )
    if frames is not None and (isinstance(frames, bool) or frames < 1):
        raise UsageError(f"{frames} frames cannot be tracked.", "Give 1 or more.")


def _checkpoint(checkpoint: str | Path | None, random_weights: bool) -> str | None:
    if checkpoint is None and not random_weights:
        raise UsageError(
            "There are no weights: neither a checkpoint nor random ones were asked for.",
            "Give --checkpoint with a file of SAM 2 or an official id (facebook/sam2.1-hiera-tiny), or "
            "--random-weights to try memory and speed; the masks of those mean nothing.",
        )
    if checkpoint is not None and random_weights:
        raise UsageError("--checkpoint and --random-weights exclude each other.", "Give one of them.")
    return None if checkpoint is None else str(checkpoint)


def _clip(source: Any, stack: ExitStack) -> FramesLike:
    """The opened clip, closed with the stack; a picture in its place is told apart from a broken video."""
    from planner.runtime.frames import open_frames

    if isinstance(source, (str, os.PathLike)) and Path(source).suffix.lower() in PICTURE_ENDINGS:
        raise UsageError(f"{source} is a picture; the plan's task is video.", "Give a clip, or plan with --task image.")
    clip = open_frames(source)
    stack.callback(clip.close)
    return clip


def _picture(source: Any) -> Any:
    from planner.runtime.pictures import read_picture

    if isinstance(source, (str, os.PathLike)) and Path(source).is_dir():
        raise UsageError(
            f"{source} is a folder; a plan for pictures runs on one picture at a time.",
            "Give a file of it, or plan with --task video to track through the folder's pictures.",
        )
    return read_picture(source)


def _prompts(
    given: str | Path | Iterable[Any], task: str, size: tuple[int, int], length: int | None, saves: tuple[str, ...]
) -> tuple[Any, ...]:
    """The prompts, checked against the source and what is saved."""
    from planner.runtime.prompt_files import read_prompts
    from planner.runtime.prompts import prompts_from

    if isinstance(given, (str, os.PathLike)):
        found = tuple(read_prompts(Path(given), size, length))
    else:
        items = tuple(given)
        found = tuple(prompts_from(items, size, length)) if items else ()
    if task == "automask" and found:
        raise UsageError("Automatic masks take no prompts.", "Leave them out, or plan with --task image.")
    if task != "automask" and not found:
        raise UsageError(
            "There is nothing to segment: no prompts were given.",
            "Give --point X,Y, --box X0,Y0,X1,Y1, --mask FILE or --prompts FILE (JSON).",
        )
    if "png" in saves:
        check_label_ids(prompt.object for prompt in found)
    return found


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What readers of pictures and clips warn of in the block, for the summary; other warnings are shown as ever."""
    from planner.runtime.pictures import PictureWarning

    heard: list[str] = []
    show = warnings.showwarning

    def hear(message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        if issubclass(category, PictureWarning):
            heard.append(str(message))
        else:
            show(message, category, filename, lineno, *rest)

    with warnings.catch_warnings():
        warnings.simplefilter("always", PictureWarning)
        warnings.showwarning = hear  # type: ignore[assignment]
        yield heard


def _mismatches(job: Job, record: Record) -> list[str]:
    """Where the work is larger than what was planned for."""
    workload, found = job.plan.request.workload, []
    more = "it may need more memory"
    if job.task != "automask" and record.objects > workload.objects:
        found.append(f"{record.objects} objects, but the plan was made for {workload.objects}: {more}")
    if job.size[0] * job.size[1] > workload.frame_size[0] * workload.frame_size[1]:
        sizes = format_resolution(job.size), format_resolution(workload.frame_size)
        found.append(f"frames of {sizes[0]}, but the plan was made for {sizes[1]}: {more}")
    if workload.frames is not None and job.task == "video" and record.frames > workload.frames:
        found.append(f"{record.frames:,} frames, but the plan was made for {workload.frames:,}")
    return found


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
        ),
        steps=record.steps,
        warnings=record.warnings,
    )


def _written(layout: Layout, save: str, task: str) -> WrittenFiles:
    path = layout.answer(save, task)
    ending = f".{save}"
    files = [child for child in path.iterdir() if child.suffix == ending] if path.is_dir() else [path]
    try:
        return WrittenFiles(save=save, path=path, files=len(files), bytes=sum(file.stat().st_size for file in files))
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}.", "Start again with --overwrite.") from None
