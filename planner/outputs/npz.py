"""Masks of one picture as a compressed NPZ: nothing is lost where they overlap."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from planner.outputs.labels import Masks
from planner.text.files import write_whole


def write_npz(path: Path, masks: Masks, size: tuple[int, int]) -> None:
    """`masks` N×H×W bool and `objects` N int64, in the order of the ids.

    Raises EnvironmentFailure where the file cannot be written.
    """
    import numpy as np

    objects = sorted(masks)
    stacked = np.zeros((len(objects), *size), dtype=bool)
    for place, object_id in enumerate(objects):
        stacked[place] = masks[object_id]

    def save(file: IO[bytes]) -> None:
        np.savez_compressed(file, masks=stacked, objects=np.array(objects, dtype=np.int64))

    write_whole(path, save)
