"""One picture from a file, a PIL image or an array, as SAM 2 takes it: height × width × 3, 8-bit RGB.

Knows nothing of video. Colours are only ever converted, never corrected: orientation tags and alpha
are left as the stock predictors leave them.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.errors import FileError, PlannerError, UsageError
from planner.libraries import library

Picture: TypeAlias = NDArray[np.uint8]
"""Height × width × 3, RGB, C-contiguous."""

ARRAY_FORMS = "Give a height × width × 3 array of uint8 in RGB; height × width (grey), 4 channels and uint16 also do."
_ORIENTATION = 0x0112
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_THROUGH_RGBA = ("P", "PA", "RGBa")
"""Modes that PIL converts to RGB with a warning, or not at all; to RGBA it does."""


class PictureWarning(UserWarning):
    """Something about a picture or a video that changes what comes out, and that only its owner can judge."""


def read_picture(source: object, *, warn: bool = True) -> Picture:
    """A picture as a height × width × 3 array of uint8 in RGB, C-contiguous and shared with nobody.

    `source` is a path, a PIL image or an array. Grey becomes three equal channels, alpha is dropped, 16 bits become
    8 by dropping the lower ones. An EXIF orientation is not applied (stock SAM 2 does not) but told of by a
    PictureWarning, unless `warn` is off. Raises FileError for a file that cannot be read, UsageError for an array or
    an image that is no picture.
    """
    if isinstance(source, (str, os.PathLike)):
        return _of_file(Path(source), warn)
    if isinstance(source, np.ndarray):
        return _of_array(source)
    pil = pil_image()
    if isinstance(source, pil.Image):
        try:
            return _of_image(source, "The image", warn)
        except PlannerError:
            raise
        except Exception as error:  # an image opened from a broken file fails only now, in many ways
            raise UsageError(f"The image cannot be read: {_reason(error)}.", "Check the file it comes from.") from None
    raise UsageError(
        f"A picture cannot be made from {_kind(source)}.", "Give a path, a PIL image or a height × width × 3 array."
    )


def pil_image() -> Any:
    """PIL's Image module, imported when the first picture is read."""
    return library("PIL.Image", "Pillow")


def open_image(path: Path) -> Any:
    """The PIL image of a file, wholly decoded; a FileError says why it cannot be had."""
    pil = pil_image()
    try:
        with _unbombed_open(pil, path) as image:
            image.load()
            return image
    except MemoryError:
        raise
    except pil.UnidentifiedImageError:
        raise FileError(
            f"{path} is not a picture that can be read.", "Give a PNG, JPEG, TIFF, WebP or BMP file."
        ) from None
    except pil.DecompressionBombError as error:
        raise FileError(f"{path} is too large: {_reason(error)}.", "Scale the picture down first.") from None
    except IsADirectoryError:
        raise FileError(f"{path} is a folder, not a picture.", "Give a file; a folder of frames is a video.") from None
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        raise FileError(f"{path}: {error.strerror or error}.", "Check the path.") from None
    except Exception as error:  # PIL's decoders raise OSError, SyntaxError, ValueError, struct.error, and more
        raise FileError(
            f"{path} cannot be read: {_reason(error)}.", "It is broken or cut short: take another copy."
        ) from None


def _unbombed_open(pil: Any, path: Path) -> Any:
    """Image.open, whose warning of a large picture may have been turned into an error."""
    try:
        return pil.open(path)
    except pil.DecompressionBombWarning:
        # Filters belong to the whole process, hence touched only where there is no other way.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pil.DecompressionBombWarning)
            return pil.open(path)


def _of_file(path: Path, warn: bool) -> Picture:
    if "\0" in str(path):
        raise FileError(f"{str(path)!r} is not a path.", "Check the path.")
    image = open_image(path)
    try:
        return _of_image(image, str(path), warn)
    except UsageError as error:
        raise FileError(error.message, error.hint) from None


def _of_image(image: Any, name: str, warn: bool) -> Picture:
    if 0 in image.size:
        raise UsageError(f"{name} has no pixels: {image.size[1]}×{image.size[0]}.", "Give a picture of at least 1×1.")
    if warn:
        _tell_of_orientation(image, name)
    if image.mode in _SIXTEEN_BITS:
        return _of_array(_sixteen_bits(np.asarray(image), name))
    if image.mode == "F":
        raise UsageError(f"{name} holds floating-point numbers (PIL mode F).", "Convert it to 8 or 16 bits first.")
    try:
        converted = image.convert("RGBA" if image.mode in _THROUGH_RGBA else "RGB")
    except ValueError as error:
        raise UsageError(
            f"{name} has the PIL mode {image.mode}, which does not become RGB: {_reason(error)}.", "Convert it first."
        ) from None
    return np.array(np.asarray(converted)[:, :, :3], order="C")


def _sixteen_bits(values: NDArray[Any], name: str) -> NDArray[np.uint16]:
    """PIL's wide modes as they were stored; its own conversion would clip them."""
    if values.min() < 0 or values.max() > 0xFFFF:
        raise UsageError(
            f"{name} holds values from {values.min()} to {values.max()}, beyond 16 bits.", "Scale it to 8 or 16 bits."
        )
    return values.astype(np.uint16)


def _tell_of_orientation(image: Any, name: str) -> None:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken tag block says nothing about the pixels, which were read
        return
    if isinstance(orientation, int) and 2 <= orientation <= 8:
        warnings.warn(
            f"{name} has the EXIF orientation {orientation}, which is not applied: stock SAM 2 does not. "
            "Points and masks are in the pixels as they are stored.",
            PictureWarning,
            stacklevel=4,
        )


def _of_array(array: NDArray[Any]) -> Picture:
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        hint = f"Scale it to 0..255 and convert it: (array * 255).astype('uint8'). {ARRAY_FORMS}"
        raise UsageError(f"A picture array has the dtype {array.dtype}, not uint8 or uint16.", hint)
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if not grey and (array.ndim != 3 or array.shape[2] not in (3, 4)):
        raise UsageError(f"A picture array has the shape {array.shape}.", _shape_hint(array))
    if 0 in array.shape:
        raise UsageError(f"A picture array has no pixels: its shape is {array.shape}.", ARRAY_FORMS)
    plain = np.asarray(array)
    if plain.dtype.itemsize == 2:
        plain = (plain >> 8).astype(np.uint8)
    if grey:
        plain = np.broadcast_to(plain.reshape(*plain.shape[:2], 1), (*plain.shape[:2], 3))
    # A copy even where none is needed: a camera or a generator may fill the same array again.
    return np.array(plain[:, :, :3], order="C", copy=True)


def _shape_hint(array: NDArray[Any]) -> str:
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        return f"Move the channels last: array.transpose(1, 2, 0). {ARRAY_FORMS}"
    if array.ndim == 4:
        return f"It is a clip: give one frame, array[0]. {ARRAY_FORMS}"
    return ARRAY_FORMS


def _kind(source: object) -> str:
    return "None" if source is None else f"a {type(source).__name__}"


def _reason(error: BaseException) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
