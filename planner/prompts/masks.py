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

SOFT_SHARE = 0.5
"""The share of a grey mask's object that is wholly white, where the rest is its soft edge and no other object."""
MOST_LABELS = 64
"""Values besides zero from which on a file is taken for a photograph, unless it holds the value that is asked for."""
MASK_FORMS = 'Give a height × width array of bool, an image file, or COCO run lengths {"size": [h, w], "counts": ...}.'
RLE_FORMS = 'Write {"size": [height, width], "counts": "..."} as pycocotools.mask.encode gives it, or a list of counts.'


class MaskSize(UsageError):
    """A mask has another size than the picture."""


def mask_from(value: object, size: tuple[int, int], folder: Path | None = None, label: int | None = None) -> Mask:
    """The mask of an array, an image file (a path, relative to `folder`) or COCO run lengths.

    `size` is the picture's (height, width), which the mask must have; `label` the object that is meant where the file
    or array holds several, each with its number as value. Raises UsageError or FileError, also for an empty mask.
    """
    if isinstance(value, (str, os.PathLike)):
        path = Path(value) if folder is None else folder / Path(value)
        mask, what = read_mask(path, label), f"The mask {path}"
    elif isinstance(value, Mapping):
        _check_size(_rle_size(value), size, "The mask")
        mask, what = _of_rle(value, size), "The mask"
    else:
        mask, what = _of_array(value, label), "The mask"
    if mask.ndim != 2:
        raise UsageError(f"{what} has the shape {mask.shape}, not height × width.", MASK_FORMS)
    _check_size((mask.shape[0], mask.shape[1]), size, what)
    if not mask.any():
        raise UsageError(f"{what} is empty: no pixel is set.", "Set the pixels of the object, or leave the prompt out.")
    mask.setflags(write=False)
    return mask


def read_mask(path: Path, label: int | None = None) -> Mask:
    """The mask in an image file: true where any colour (or palette index) is not zero.

    Where alpha is not the same everywhere, what is transparent is background. A picture with several values is one of
    labels: `label` says which is meant. Raises FileError where the file says two things, or no object is named.
    """
    if not str(path).strip() or "\0" in str(path):
        raise FileError(f"{str(path)!r} is not a path.", "Check the path of the mask.")
    image = open_image(path)
    what = f"The mask {path}"
    if image.format in ("JPEG", "MPO"):
        raise FileError(f"{what} is a JPEG, which blurs its edges.", "Save the mask as PNG.")
    try:
        if image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
            return _with_alpha(image, what, label)
        if image.mode not in ("1", "L", "P", "RGB", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"):
            image = image.convert("RGB")
        return _one_object(np.asarray(image), what, label, palette=image.mode == "P")
    except UsageError as error:
        raise FileError(error.message, error.hint) from None


def _with_alpha(image: Any, what: str, label: int | None) -> Mask:
    """Colours count where all is opaque; alpha counts where colours say nothing; they must not disagree."""
    whole = np.asarray(image.convert("RGBA"))
    alpha = whole[:, :, 3] != 0
    values = np.asarray(image.convert("P")) if image.mode == "PA" else whole[:, :, :3]
    if alpha.all() or not alpha.any():
        return _one_object(values, what, label, palette=image.mode == "PA")
    coloured = np.array(values.any(axis=2) if values.ndim == 3 else values != 0)
    inside = coloured[alpha]
    if inside.all() or not inside.any():
        return np.array(alpha)
    raise UsageError(
        f"{what} says two things: {int(alpha.sum()):,} pixels are not transparent, of which "
        f"{int(inside.sum()):,} are not black.",
        "Save it as a grey PNG without transparency: the object white, the rest black.",
    )


def _one_object(values: NDArray[Any], what: str, label: int | None, palette: bool = False) -> Mask:
    """Where the values (H×W or H×W×3) are not zero; of several objects, where they are `label`."""
    plain, named = _as_numbers(values)
    set_ = plain != 0
    found, counts = np.unique(plain[set_], return_counts=True)
    if len(found) < 2 or (named and not palette and _is_soft(found, counts, values.dtype)):
        return np.array(set_)
    if named and label is not None and label in found:
        return np.array(plain == label)
    if len(found) > MOST_LABELS:
        raise UsageError(
            f"{what} holds {len(found):,} different values: that is a picture, not a mask.",
            "Give a mask: the object white, the rest black.",
        )
    shown = ", ".join(f"{value:g}" for value in found[:8].tolist()) + (", ..." if len(found) > 8 else "")
    if not named:
        raise UsageError(
            f"{what} holds {len(found)} colours besides black: more than one object.",
            "Save one mask per object, or a label picture whose values are the objects' numbers.",
        )
    given = "" if label is None else f", and none of them is {label}"
    first = int(found[0])
    raise UsageError(
        f"{what} holds {len(found)} objects (values {shown}){given}.",
        f"Name the object that is meant by its value: --mask {first}:FILE, or "
        f'"object": {first} in a file of prompts; repeat it for the others.',
    )


def _as_numbers(values: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """H×W numbers, and whether they are what the file holds rather than mixed from its colours."""
    if values.ndim != 3:
        return values, True
    red, green, blue = (values[..., channel].astype(np.int64) for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return red, True
    return (red << 16) | (green << 8) | blue, False


def _is_soft(found: NDArray[Any], counts: NDArray[Any], dtype: Any) -> bool:
    """A grey mask with soft edges: most of what is set is wholly white."""
    white = np.iinfo(dtype).max if dtype.kind == "u" else 0xFFFF if dtype.kind == "i" else 1.0
    return bool(found[-1] == white and counts[-1] >= SOFT_SHARE * counts.sum())


def _of_array(value: object, label: int | None) -> Mask:
    try:
        array = np.asarray(value)
    except Exception as error:  # foreign arrays, such as tensors on a GPU, refuse in their own ways
        raise UsageError(f"The mask cannot be made an array: {error}", MASK_FORMS) from None
    if array.dtype.kind not in "bui":
        raise UsageError(
            f"The mask is of {array.dtype}, not bool." if value is not None else "The mask is missing.",
            f"Threshold it first: mask > 0. {MASK_FORMS}",
        )
    return _one_object(array, "The mask", label) if array.ndim == 2 else np.array(array != 0)


def _check_size(found: tuple[int, int], size: tuple[int, int], what: str) -> None:
    if found != size:
        raise MaskSize(
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
