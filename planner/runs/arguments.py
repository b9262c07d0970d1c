"""What a run is asked, checked against itself and against its source, before anything slow is done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import EnvironmentFailure, UsageError
from planner.outputs.labels import check_label_ids
from planner.sources.opening import open_clip

if TYPE_CHECKING:
    from planner.sources.frames import Frames

NEEDED = {"png": ("PIL",), "coco": ("pycocotools.mask",), "npz": ("numpy",), "overlay": ("PIL", "av")}


def require_libraries(saves: Sequence[str]) -> None:
    """Raise EnvironmentFailure for a library that is missing, before an hour of work is lost to it."""
    from importlib import import_module

    for save in saves:
        for name in NEEDED[save]:
            try:
                import_module(name)
            except ImportError as error:
                hint = 'Run pip install "sam2-plan[run]", or leave it out of --save.'
                raise EnvironmentFailure(f"Saving {save} needs {name}: {error}.", hint) from None


def check_options(task: str, reverse: bool, frames: int | None, multimask: bool) -> None:
    """Raise UsageError for options that do not go with the plan's task."""
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


def one_checkpoint(checkpoint: str | Path | None, random_weights: bool) -> str | None:
    """The checkpoint, or None for random weights. Raises UsageError for neither and both."""
    if checkpoint is None and not random_weights:
        raise UsageError(
            "There are no weights: neither a checkpoint nor random ones were asked for.",
            "Give --checkpoint with a file of SAM 2 or an official id (facebook/sam2.1-hiera-tiny), or "
            "--random-weights to try memory and speed; the masks of those mean nothing.",
        )
    if checkpoint is not None and random_weights:
        raise UsageError("--checkpoint and --random-weights exclude each other.", "Give one of them.")
    return None if checkpoint is None else str(checkpoint)


def opened_clip(source: Any, stack: ExitStack) -> Frames:
    """The opened clip, closed with the stack."""
    clip = open_clip(source)
    stack.callback(clip.close)
    return clip


def checked_prompts(
    given: str | Path | Iterable[Any], task: str, size: tuple[int, int], length: int | None, saves: tuple[str, ...]
) -> tuple[Any, ...]:
    """The prompts, checked against the source and what is saved."""
    from planner.prompts.files import read_prompts
    from planner.prompts.prompts import prompts_from

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
