"""A picture with its masks laid over it: half the picture, half the object's colour, and a contour."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

from planner.errors import UsageError
from planner.outputs.annotation import Annotations, annotate
from planner.outputs.labels import Masks, label_map
from planner.outputs.palette import palette_array
from planner.text.files import write_whole

if TYPE_CHECKING:
    import numpy as np

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
JPEG_QUALITY = 92
CONTOUR_SHARE = 540
"""A contour is one pixel wide for each 540 of the picture's shorter side."""


def overlay(picture: np.ndarray, masks: Masks) -> np.ndarray:
    """H×W×3 uint8 of a picture (H×W×3 uint8, left as it is) under its masks.

    Every channel of a covered pixel is the mean of picture and colour; the outermost pixels of an object have its
    full colour.
    """
    import numpy as np

    labels = label_map(masks, picture.shape[:2])
    result: np.ndarray = picture.copy()
    width = max(1, round(min(picture.shape[:2]) / CONTOUR_SHARE))
    rows, columns = _extent(labels, width)
    labels, part = labels[rows, columns], result[rows, columns]
    if not labels.size:
        return result
    colours = palette_array()
    covered = labels != 0
    # A channel at a time, from contiguous tables: several times as fast as picking whole colours per pixel.
    halves = np.ascontiguousarray((colours >> 1).T)
    for channel in range(3):
        levels = part[..., channel]
        np.copyto(levels, (levels >> 1) + halves[channel].take(labels), where=covered)
    edge = _edges(labels, covered, width)
    part[edge] = colours[labels[edge]]
    return result


def write_overlay_picture(
    path: Path, picture: np.ndarray, masks: Masks, annotations: Annotations | None = None
) -> None:
    """A PNG or JPEG, by the path's ending, of the overlay, with what is written on frame 0.

    Raises UsageError for another ending, EnvironmentFailure where the file cannot be written.
    """
    from PIL import Image

    name = FORMATS.get(path.suffix.lower())
    if name is None:
        raise UsageError(f"{path} is not a picture that can be written.", f"End it in one of: {', '.join(FORMATS)}.")
    drawn = overlay(picture, masks)
    if annotations is not None:
        drawn = annotate(drawn, masks, annotations.marks.get(0, ()), annotations.note)
    laid = Image.fromarray(drawn)

    def save(file: IO[bytes]) -> None:
        laid.save(file, format=name, quality=JPEG_QUALITY)

    write_whole(path, save)


def _extent(labels: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The rows and columns that hold any label, and a margin."""
    rows, columns = labels.any(axis=1).nonzero()[0], labels.any(axis=0).nonzero()[0]
    if not rows.size:
        return slice(0, 0), slice(0, 0)

    def stretch(found: np.ndarray) -> slice:
        return slice(max(0, int(found[0]) - margin), int(found[-1]) + 1 + margin)

    return stretch(rows), stretch(columns)


def _edges(labels: np.ndarray, covered: np.ndarray, width: int) -> np.ndarray:
    """Covered pixels at most `width` above, below, left or right of another label; H×W bool."""
    import numpy as np

    edge = np.zeros(labels.shape, dtype=bool)
    for step in range(1, width + 1):
        down, right = labels[step:] != labels[:-step], labels[:, step:] != labels[:, :-step]
        edge[step:] |= down
        edge[:-step] |= down
        edge[:, step:] |= right
        edge[:, :-step] |= right
    edge &= covered
    return edge
