"""One object's mask from a file or from COCO's run lengths, as height × width booleans.

Knows nothing of prompts. Run lengths are decoded here and not by pycocotools, whose C code trusts them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.errors import FileError, PlannerError, UsageError
from planner.sources.pictures import open_image

Mask: TypeAlias = NDArray[np.bool_]
"""Height × width, true where the object is."""

MASK_FORMS = 'Give a height × width array of bool, an image file, or COCO run lengths {"size": [h, w], "counts": ...}.'
RLE_FORMS = 'Write {"size": [height, width], "counts": "..."} as pycocotools.mask.encode gives it, or a list of counts.'


def mask_from(value: object, size: tuple[int, int], folder: Path | None = None) -> Mask:
    """The mask of an array, an image file (a path, relative to `folder`) or COCO run lengths.

    `size` is the picture's (height, width), which the mask must have. Raises UsageError or FileError.
    """
    if isinstance(value, (str, os.PathLike)):
        path = Path(value) if folder is None else folder / Path(value)
        mask, what = read_mask(path), f"The mask {path}"
    elif isinstance(value, Mapping):
        _check_size(_rle_size(value), size, "The mask")
        mask, what = _of_rle(value, size), "The mask"
    else:
        mask, what = _of_array(value), "The mask"
    if mask.ndim != 2:
        raise UsageError(f"{what} has the shape {mask.shape}, not height × width.", MASK_FORMS)
    _check_size((mask.shape[0], mask.shape[1]), size, what)
    mask.setflags(write=False)
    return mask


def read_mask(path: Path) -> Mask:
    """The mask in an image file: true where any colour (or palette index) is not zero; alpha does not count."""
    if not str(path).strip() or "\0" in str(path):
        raise FileError(f"{str(path)!r} is not a path.", "Check the path of the mask.")
    image = open_image(path)
    if image.format in ("JPEG", "MPO"):
        raise FileError(f"The mask {path} is a JPEG, which blurs its edges.", "Save the mask as PNG.")
    if image.mode not in ("1", "L", "P", "RGB", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"):
        image = image.convert("L" if image.mode in ("LA", "La") else "P" if image.mode == "PA" else "RGB")
    values = np.asarray(image) != 0
    mask: Mask = values.any(axis=2) if values.ndim == 3 else np.array(values)
    return mask


def _of_array(value: object) -> Mask:
    try:
        array = np.asarray(value)
    except Exception as error:  # foreign arrays, such as tensors on a GPU, refuse in their own ways
        raise UsageError(f"The mask cannot be made an array: {error}", MASK_FORMS) from None
    if array.dtype.kind not in "bui":
        raise UsageError(
            f"The mask is of {array.dtype}, not bool." if value is not None else "The mask is missing.",
            f"Threshold it first: mask > 0. {MASK_FORMS}",
        )
    return np.array(array != 0)


def _check_size(found: tuple[int, int], size: tuple[int, int], what: str) -> None:
    if found != size:
        raise UsageError(
            f"{what} is {found[0]}×{found[1]} (height × width), but the picture is {size[0]}×{size[1]}.",
            "Give the mask at the size of the source picture.",
        )


def _rle_size(value: Mapping[Any, Any]) -> tuple[int, int]:
    if set(value) != {"size", "counts"}:
        raise UsageError(f"Run lengths have the keys {sorted(map(str, value))}.", RLE_FORMS)
    size = value["size"]
    good = isinstance(size, (list, tuple)) and len(size) == 2
    if not good or not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in size):
        raise UsageError(f"The size of run lengths is {str(size)[:60]}.", RLE_FORMS)
    return size[0], size[1]


def _of_rle(value: Mapping[Any, Any], size: tuple[int, int]) -> Mask:
    """Runs of background and object in turn, down the columns."""
    counts = value["counts"]
    pixels = size[0] * size[1]
    if isinstance(counts, (str, bytes)):
        runs = list(_runs(counts.encode("utf-8") if isinstance(counts, str) else counts))
    elif isinstance(counts, (list, tuple)) and all(type(count) is int for count in counts):
        runs = list(counts)
    else:
        raise UsageError("The counts of run lengths are neither text nor a list of whole numbers.", RLE_FORMS)
    if any(run < 0 for run in runs) or sum(runs) != pixels:
        raise UsageError(f"The counts do not add up to the {pixels} pixels of {size[0]}×{size[1]}.", RLE_FORMS)
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(size[1], size[0]).T)


def _runs(text: bytes) -> Iterator[int]:
    """COCO's text of counts: 5 bits a character from "0", lowest first, then differences to the last but one.

    Source: pycocotools, common/maskApi.c, rleFrString.
    """
    before = [0, 0]
    position = count = 0
    while position < len(text):
        value = shift = 0
        more = True
        while more:
            if position == len(text) or not 0 <= text[position] - 48 < 64 or shift > 60:
                raise _broken_counts()
            bits = text[position] - 48
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            position, shift = position + 1, shift + 5
        if bits & 0x10:
            value -= 1 << shift
        if count > 2:
            value += before[0]
        before = [before[1], value]
        count += 1
        yield value


def _broken_counts() -> PlannerError:
    return UsageError("The counts of run lengths are not in COCO's coding.", RLE_FORMS)
