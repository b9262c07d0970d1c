"""What is written on an overlay beside its masks: the objects' numbers, the prompts, and what a viewer must know.

A picture with its masks is `overlay`; this draws on it, as large as the picture's size asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.outputs.palette import colour, index_of

if TYPE_CHECKING:
    import numpy as np

    from planner.outputs.labels import Masks

RANDOM_WEIGHTS = "random weights: masks mean nothing"
TEXT_SHARE, SMALLEST_TEXT = 36, 10
"""Text is as high as this part of the picture's shorter side, and so many pixels at least."""
WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (220, 30, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One object's prompt on one frame, in pixels of the picture."""

    object: int
    points: Sequence[Sequence[float]] = ()
    """(x, y)."""
    labels: Sequence[int] = ()
    """One per point: 1 object, 0 background."""
    box: Sequence[float] | None = None
    """x0, y0, x1, y1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """What to write on the frames of a run."""

    marks: Mapping[int, Sequence[Mark]]
    """By frame."""
    note: str = ""
    """On every frame, in its upper left corner."""


def annotate(picture: np.ndarray, masks: Masks, marks: Sequence[Mark] = (), note: str = "") -> np.ndarray:
    """H×W×3 uint8 of an overlay (left as it is) with a number on every mask, prompts as they were given, and a note.

    Points of the object are discs, of the background crosses; boxes have the object's colour.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    places = {name: place for name in sorted(masks) if (place := _inside(masks[name])) is not None}
    if not (places or marks or note):
        return picture
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    size = max(SMALLEST_TEXT, round(min(picture.shape[:2]) / TEXT_SHARE))
    for mark in marks:
        _draw_mark(draw, mark, size)
    for name, (x, y) in places.items():
        _write(draw, (x, y), str(name), size, "mm")
    if note:
        _write(draw, (size // 2, size // 2), note, size, "la")
    drawn: np.ndarray = np.asarray(image)
    return drawn


def _draw_mark(draw: Any, mark: Mark, size: int) -> None:
    own, line, radius = colour(index_of(mark.object)), max(2, size // 8), max(3, size // 3)
    if mark.box is not None:
        draw.rectangle([round(side) for side in mark.box], outline=own, width=line)
    for (x, y), label in zip(mark.points, mark.labels, strict=True):
        if label:
            disc = (x - radius, y - radius, x + radius, y + radius)
            draw.ellipse(disc, fill=own, outline=WHITE, width=line)
        else:
            for step in (1, -1):
                draw.line((x - radius, y - step * radius, x + radius, y + step * radius), fill=RED, width=2 * line)


def _write(draw: Any, place: tuple[int, int], text: str, size: int, anchor: str) -> None:
    from PIL import ImageFont

    try:
        font = ImageFont.load_default(size)
        draw.text(place, text, fill=WHITE, font=font, anchor=anchor, stroke_width=max(1, size // 8), stroke_fill=BLACK)
    except (
        TypeError,
        OSError,
        ImportError,
        ValueError,
    ):  # Pillow before 10.1, or built without FreeType: small letters
        draw.text(place, text, fill=WHITE)


def _inside(mask: np.ndarray) -> tuple[int, int] | None:
    """A pixel (x, y) of a mask near its middle; None of an empty one.

    It is the middle of the longest run in the row of the mask's centre, or in its fullest row.
    """
    import numpy as np

    counts = mask.sum(axis=1)
    if not counts.any():
        return None
    row = round(float((counts * np.arange(len(counts))).sum() / counts.sum()))
    if not counts[row]:
        row = int(counts.argmax())
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask[row].astype(np.int8), [0]))))
    starts, stops = edges[::2], edges[1::2]
    longest = int((stops - starts).argmax())
    return int(starts[longest] + stops[longest] - 1) // 2, row
