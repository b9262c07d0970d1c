"""How many of 16 bits a picture's values use, and the 8 bits that SAM 2 takes.

Cameras and microscopes store 10, 12 or 14 bits in files of 16; their upper bits are empty. To drop the lower 8 of 16
would leave next to nothing of these, so values are scaled by the bits that they use.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEPTHS = (8, 10, 12, 14, 16)
"""Bits that sensors and converters have. A picture's depth is the smallest of these that holds its largest value."""
SAMPLES = 16
"""Pictures of a clip that are looked at for its depth, evenly spread: all frames must be scaled alike."""


class PictureWarning(UserWarning):
    """Something about a picture or a video that changes what comes out, and that only its owner can judge."""


def bits_of(values: NDArray[Any]) -> int:
    """The depth of values from 0 to 65535: one of DEPTHS."""
    largest = int(values.max())
    return next(bits for bits in DEPTHS if largest < 1 << bits)


def eight_bits(values: NDArray[Any], name: str, bits: int | None = None, warn: bool = True) -> NDArray[np.uint8]:
    """Values from 0 to 65535 as 8 bits: those above the upper 8 of `bits`, by default of the bits that are used.

    Warns (PictureWarning) where not all 16 bits are used, and of values beyond `bits`, which become white.
    """
    used = bits_of(values)
    depth = used if bits is None else bits
    if bits is None and depth < DEPTHS[-1] and warn:
        warnings.warn(
            f"{name} uses {depth} of its 16 bits (the largest value is {int(values.max())}), and is scaled by these.",
            PictureWarning,
            stacklevel=5,
        )
    if used > depth:
        values = np.minimum(values, (1 << depth) - 1)
        warnings.warn(
            f"Some pictures hold values beyond the {depth} bits that the others use; they become white.",
            PictureWarning,
            stacklevel=5,
        )
    scaled: NDArray[np.uint8] = (values >> (depth - 8)).astype(np.uint8)
    return scaled


def spread(count: int) -> Iterable[int]:
    """At most SAMPLES indices from 0 to count - 1, evenly spread, the first and the last among them."""
    most = min(count, SAMPLES)
    return sorted({round(at * (count - 1) / max(1, most - 1)) for at in range(most)})
