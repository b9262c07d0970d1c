"""The colours of objects: DAVIS's palette, which is the colour map of PASCAL VOC."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

COLOURS = 256
LARGEST = COLOURS - 1
"""The largest object id that has a colour and an index of its own; 0 is the background."""


def colour(index: int) -> tuple[int, int, int]:
    """(red, green, blue) of a palette index from 0 to 255.

    The bits of the index are dealt out to the three channels, highest first, as VOCdevkit's VOClabelcolormap.m
    does it. Equal to DAVIS_PALETTE in sam2's tools/vos_inference.py.
    """
    red = green = blue = 0
    for bit in range(8):
        red |= (index >> 0 & 1) << (7 - bit)
        green |= (index >> 1 & 1) << (7 - bit)
        blue |= (index >> 2 & 1) << (7 - bit)
        index >>= 3
    return red, green, blue


@lru_cache(maxsize=1)
def palette_bytes() -> bytes:
    """All 256 colours, three bytes each, as a PNG's palette takes them."""
    return bytes(level for index in range(COLOURS) for level in colour(index))


@lru_cache(maxsize=1)
def palette_array() -> np.ndarray:
    """All 256 colours as 256×3 uint8."""
    import numpy as np

    array = np.frombuffer(palette_bytes(), dtype=np.uint8).reshape(COLOURS, 3)
    return array


def index_of(object_id: int) -> int:
    """The palette index of an object's colour: its id, and from 256 on the colours come again (0 stays free)."""
    return (object_id - 1) % LARGEST + 1
