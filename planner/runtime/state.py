"""The memory bank as a file, so that a long run can go on where it stopped."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from planner.errors import FileError, UsageError
from planner.runtime.memory_bank import Entry, ObjectMemory
from planner.runtime.safe_files import read_tensors
from planner.text.files import WriteFailure, write_whole

if TYPE_CHECKING:
    from planner.runtime.tracker import Tracker

VERSION = 1


def write_state(path: Path, tracker: Tracker, frame: int) -> None:
    """Write the memories of `tracker` after `frame`, whole or not at all."""
    content = {
        "version": VERSION,
        "made_for": _made_for(tracker),
        "frame": frame,
        "objects": {name: _plain(memory) for name, memory in tracker.memories.items()},
    }
    try:
        write_whole(path, lambda file: torch.save(content, file))
    except RuntimeError as error:  # torch's own writer, where the file's fails under it
        raise WriteFailure(path, error) from error


def read_state(path: Path, tracker: Tracker) -> tuple[int, dict[int, ObjectMemory]]:
    """The frame that a file for such a tracker stands after, and the memories. Nothing the file may contain is run."""
    try:
        content = read_tensors(path)
        version, made_for = content["version"], content["made_for"]
    except FileNotFoundError as error:
        raise FileError(f"There is no {path} to go on from.", "Start from the beginning.") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise FileError(f"{path} is no saved tracking, or is damaged.", "Start from the beginning.") from error
    if version != VERSION or made_for != _made_for(tracker):
        raise UsageError(
            f"{path} was saved for {made_for}, not for {_made_for(tracker)}.",
            "Go on with the same plan, input and direction, or start from the beginning.",
        )
    return int(content["frame"]), {name: _memory(plain) for name, plain in content["objects"].items()}


def _made_for(tracker: Tracker) -> dict[str, Any]:
    configuration = tracker.configuration
    return {
        "variant": configuration.variant,
        "version": configuration.version,
        "resolution": list(configuration.resolution),
        "precision": configuration.precision,
        "size": list(tracker.size),
        "direction": tracker.direction,
        "history": tracker.history,
    }


def _plain(memory: ObjectMemory) -> dict[str, Any]:
    return {
        "conditioning": [(frame, *_tensors(entry)) for frame, entry in memory.conditioning.items()],
        "recent": [(frame, *_tensors(entry)) for frame, entry in memory.recent.items()],
        "tracked": sorted(memory.tracked),
    }


def _tensors(entry: Entry) -> tuple[torch.Tensor | None, ...]:
    values = (entry.features, entry.pointer, entry.scores)
    # A clone, because a view would be written with all of its storage.
    return tuple(None if value is None else value.detach().cpu().clone() for value in values)


def _memory(plain: dict[str, Any]) -> ObjectMemory:
    return ObjectMemory(
        {frame: Entry(*tensors) for frame, *tensors in plain["conditioning"]},
        {frame: Entry(*tensors) for frame, *tensors in plain["recent"]},
        set(plain["tracked"]),
    )
