"""What a run is asked, checked against itself and against its source, before anything slow is done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import EnvironmentFailure, FileError, UsageError
from planner.nouns.words import Save, Task
from planner.outputs.labels import check_label_ids
from planner.sources.opening import open_clip
from planner.text.units import counted

if TYPE_CHECKING:
    from planner.runs.inputs import Input
    from planner.sources.frames import Frames

MOST_POINTS_PER_SIDE, MOST_CROP_LAYERS = 256, 4
NAME = "{name}"
"""Stands for the name of one of several inputs in the path of its prompts."""
NEEDED: dict[Save, tuple[str, ...]] = {
    "png": ("PIL",),
    "coco": ("pycocotools.mask",),
    "npz": ("numpy",),
    "overlay": ("PIL", "av"),
}


def require_libraries(saves: Sequence[Save]) -> None:
    """Raise EnvironmentFailure for a library that is missing, before an hour of work is lost to it."""
    from importlib import import_module

    for save in saves:
        for name in NEEDED[save]:
            try:
                import_module(name)
            except ImportError as error:
                hint = 'Run pip install "sam2-plan[run]", or leave it out of --save.'
                raise EnvironmentFailure(f"Saving {save} needs {name}: {error}.", hint) from None


def check_options(
    task: Task,
    reverse: bool,
    frames: int | None,
    multimask: bool,
    start: int | None = None,
    points_per_side: int | None = None,
    crop_layers: int | None = None,
) -> None:
    """Raise UsageError for options that do not go with the plan's task."""
    if task != "video":
        video = ("--reverse", reverse), ("--frames", frames is not None), ("--start", start is not None)
        for name, given in video:
            if given:
                raise UsageError(f"{name} is for videos; the plan's task is {task}.", "Leave it out, or plan a video.")
    if task != "automask":
        for name, value in (("--points-per-side", points_per_side), ("--crop-layers", crop_layers)):
            if value is not None:
                hint = "Leave it out, or plan with --task automask."
                raise UsageError(f"{name} is for automatic masks; the plan's task is {task}.", hint)
    if multimask and task != "image":
        raise UsageError(
            f"--multimask is for prompted pictures; the plan's task is {task}.", "Leave it out, or plan for an image."
        )
    if frames is not None and (isinstance(frames, bool) or frames < 1):
        raise UsageError(f"{counted(frames, 'frame')} cannot be tracked.", "Give 1 or more.")
    if start is not None and (isinstance(start, bool) or start < 0):
        raise UsageError(f"There is no frame {start} to start from.", "Count frames from 0.")
    check_grid(points_per_side, crop_layers)


def check_grid(points_per_side: int | None, crop_layers: int | None) -> None:
    """Raise UsageError for a grid of points or layers of crops that nobody can want, or wait for."""
    if points_per_side is not None and not 1 <= points_per_side <= MOST_POINTS_PER_SIDE:
        message = f"{points_per_side} points per side are too few or too many."
        raise UsageError(message, f"Give 1 to {MOST_POINTS_PER_SIDE}; 32 is SAM 2's own.")
    if crop_layers is not None and not 0 <= crop_layers <= MOST_CROP_LAYERS:
        message = f"{counted(crop_layers, 'layer')} of crops cannot be had."
        raise UsageError(message, f"Give 0 to {MOST_CROP_LAYERS}; layer N adds 4**N crops, each a picture of its own.")


def check_start(start: int | None, clip: Frames) -> None:
    """Raise UsageError for a frame to start from that the clip does not have, or that has passed by."""
    if start is None:
        return
    if not clip.rereadable and start:
        raise UsageError(
            f"{clip.name} cannot be tracked from frame {start}: its frames pass by once, from frame 0.",
            "Leave --start out, or save it as a video file first.",
        )
    if clip.length is not None and start >= clip.length:
        message = f"{clip.name} has no frame {start}: it has {counted(clip.length, 'frame')}."
        raise UsageError(message, f"Start from 0 to {clip.length - 1}.")


def one_checkpoint(checkpoint: str | Path | None, random_weights: bool) -> str | None:
    """The checkpoint, or None for random weights. Raises UsageError for neither and both."""
    if checkpoint is None and not random_weights:
        raise UsageError(
            "There are no weights: neither a checkpoint nor random ones were asked for.",
            "Give --checkpoint with a file of SAM 2 (sam2-plan checkpoints PLAN --download fetches it) or an official "
            "id (facebook/sam2.1-hiera-tiny), or --random-weights to try memory and speed; the masks of those mean "
            "nothing.",
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
    given: str | Path | Iterable[Any],
    task: Task,
    size: tuple[int, int],
    length: int | None,
    saves: tuple[Save, ...],
    orientation: str = "",
    reverse: bool = False,
) -> tuple[Any, ...]:
    """The prompts, checked against the source and what is saved."""
    from planner.prompts.ends import ends_of
    from planner.prompts.files import read_prompts
    from planner.prompts.prompts import prompts_from

    if isinstance(given, (str, os.PathLike)):
        found = tuple(read_prompts(Path(given), size, length, orientation))
    else:
        items = tuple(given)
        found = tuple(prompts_from(items, size, length, orientation)) if items else ()
    if ends_of(found, reverse) and task != "video":
        raise UsageError(f"An object ends in a video; the plan's task is {task}.", "Leave the end out.")
    if task == "automask" and found:
        raise UsageError("Automatic masks take no prompts.", "Leave them out, or plan with --task image.")
    if task != "automask" and not found:
        raise no_prompts()
    if "png" in saves:
        check_label_ids(prompt.object for prompt in found)
    return found


def no_prompts() -> UsageError:
    """What to raise where nothing says what is wanted."""
    return UsageError(
        "There is nothing to segment: no prompts were given.",
        "Give --point X,Y, --box X0,Y0,X1,Y1, --mask FILE or --prompts FILE (JSON).",
    )


class PromptsOf:
    """The prompts of each input."""

    def __init__(self, given: str | Path | Iterable[Any], task: Task) -> None:
        """Raises UsageError and FileError for what no input could be prompted by."""
        self._given = given if isinstance(given, (str, os.PathLike)) else tuple(given)
        if self._given == () and task != "automask":
            raise no_prompts()
        if not isinstance(given, (str, os.PathLike)):
            return
        if os.fspath(given) == "-":
            raise UsageError("--prompts - reads standard input once, and there are several inputs.", "Give a file.")
        if NAME not in os.fspath(given) and not os.path.exists(given):
            hint = "Give a file for all, a folder with NAME.json for each, or a path with {name} in it."
            raise FileError(f"{given} does not exist.", hint)

    def __call__(self, entry: Input) -> Any:
        """As `checked_prompts` takes them."""
        if not isinstance(self._given, (str, os.PathLike)):
            return self._given
        path = os.fspath(self._given)
        if NAME in path:
            return Path(path.replace(NAME, entry.name))
        return Path(path) / f"{entry.name}.json" if os.path.isdir(path) else Path(path)
