"""Masks of one picture as one label per pixel, and as an indexed PNG in DAVIS's manner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from planner.errors import UsageError
from planner.outputs.palette import LARGEST, index_of, palette_bytes
from planner.text.files import write_whole

if TYPE_CHECKING:
    import numpy as np

Masks = Mapping[int, "np.ndarray"]
"""H×W bool by object id (1 or more)."""


def check_label_ids(object_ids: Iterable[int], instead: str = "coco or npz") -> None:
    """Raise UsageError for an object id that an indexed PNG cannot hold; `instead` names what can."""
    for object_id in object_ids:
        if not 1 <= object_id <= LARGEST:
            raise UsageError(
                f"Object {object_id} does not fit into an indexed PNG, which holds ids from 1 to {LARGEST}.",
                f"Save as {instead} instead, or number the objects from 1 to {LARGEST}.",
            )


def label_map(masks: Masks, size: tuple[int, int]) -> np.ndarray:
    """The palette index of each pixel, H×W uint8; 0 is background.

    Where masks overlap the lowest id is on top, as in put_per_obj_mask of sam2's tools/vos_inference.py.
    """
    import numpy as np

    labels = np.zeros(size, dtype=np.uint8)
    for object_id in sorted(masks, reverse=True):
        np.copyto(labels, np.uint8(index_of(object_id)), where=masks[object_id])
    return labels


def write_label_png(path: Path, masks: Masks, size: tuple[int, int]) -> None:
    """An indexed PNG of the picture's size whose values are object ids, with DAVIS's palette.

    Raises UsageError for an id beyond 255, EnvironmentFailure where the file cannot be written.
    """
    from PIL import Image

    check_label_ids(masks)
    picture = Image.fromarray(label_map(masks, size))
    picture.putpalette(palette_bytes())

    def save(file: IO[bytes]) -> None:
        picture.save(file, format="PNG")

    write_whole(path, save)
