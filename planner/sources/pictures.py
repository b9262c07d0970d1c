"""One picture from a file, a PIL image or an array, as SAM 2 takes it: height × width × 3, 8-bit RGB.

Knows nothing of video. Colours are only ever converted, never corrected: orientation tags and alpha
are left as the stock predictors leave them. What a file is that cannot be read says `diagnosis`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.errors import EnvironmentFailure, FileError, PlannerError, UsageError
from planner.sources.depth import DEPTHS, PictureWarning, bits_of, eight_bits, spread
from planner.sources.diagnosis import kind_of, signed_tiff
from planner.sources.pages import pages_of
from planner.text.libraries import library

Picture: TypeAlias = NDArray[np.uint8]
"""Height × width × 3, RGB, C-contiguous."""

ARRAY_FORMS = "Give a height × width × 3 array of uint8 in RGB; height × width (grey), 4 channels and uint16 also do."
_ORIENTATION = 0x0112
_EXTRA_SAMPLES, _SAMPLES_PER_PIXEL = 338, 277
"""TIFF 6.0, section 18: 0 is data without a meaning, 1 and 2 are alpha."""
_WIDE_BANDS = ("RGB;16", "RGBX;16", "RGBA;16", "LA;16")
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_THROUGH_RGBA = ("P", "PA", "RGBa")
"""Modes that PIL converts to RGB with a warning, or not at all; to RGBA it does."""


def read_picture(source: object, *, warn: bool = True, bits: int | None = None) -> Picture:
    """A picture as a height × width × 3 array of uint8 in RGB, C-contiguous and shared with nobody.

    `source` is a path, a PIL image or an array. Grey becomes three equal channels, alpha is dropped, 16 bits become
    the upper 8 of `bits`, by default of those that are used (see `depth`). An EXIF orientation is not applied (stock
    SAM 2 does not) but told of by a PictureWarning, unless `warn` is off. Raises FileError for a file that cannot be
    read, is signed, floating-point or of several pages, UsageError for an array or an image that is no picture.
    """
    if isinstance(source, (str, os.PathLike)):
        return _of_file(Path(source), warn, bits)
    if isinstance(source, np.ndarray):
        return _of_array(source, "A picture array", warn, bits)
    pil = pil_image()
    if isinstance(source, pil.Image):
        try:
            return _of_image(source, "The image", warn, bits)
        except PlannerError:
            raise
        except Exception as error:  # an image opened from a broken file fails only now, in many ways
            raise UsageError(f"The image cannot be read: {_reason(error)}.", "Check the file it comes from.") from None
    raise UsageError(
        f"A picture cannot be made from {_kind(source)}.", "Give a path, a PIL image or a height × width × 3 array."
    )


def orientation_note(source: object) -> str:
    """A sentence on the EXIF orientation that is not applied, for errors about places; empty where there is none."""
    pil = pil_image()
    try:
        if isinstance(source, (str, os.PathLike)):
            with pil.open(source) as image:
                number = _orientation_of(image)
        else:
            number = _orientation_of(source) if isinstance(source, pil.Image) else 1
    except Exception:  # what cannot be read is said by whoever reads it
        return ""
    return "" if number == 1 else f"Its EXIF orientation ({number}) is not applied: places are in the pixels as stored."


def pil_image() -> Any:
    """PIL's Image module, imported when the first picture is read."""
    return library("PIL.Image", "Pillow")


def open_image(path: Path) -> Any:
    """The PIL image of a file, wholly decoded; a FileError says why it cannot be had."""
    pil = pil_image()
    try:
        with _unbombed_open(pil, path) as image:
            _check_pages(image, path)
            image.load()
            return image
    except (MemoryError, FileError):
        raise
    except pil.UnidentifiedImageError:
        what, remedy = kind_of(path)
        raise FileError(f"{path} is {what}.", remedy) from None
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


def _check_pages(image: Any, path: Path) -> None:
    pages = pages_of(image)
    if len(pages) > 1:
        raise FileError(
            f"{path} holds {len(pages):,} pages, and one picture is read from a file.",
            "Save the page that is meant as a file of its own; with --task video all of them are tracked through.",
        )


def _not_brightness(name: str, values: NDArray[Any]) -> UsageError:
    """Numbers that have no black and no white of their own."""
    kind = "signed" if values.dtype.kind == "i" else "floating-point"
    return UsageError(
        f"{name} holds {kind} numbers (from {values.min():g} to {values.max():g}), which name no black and no white.",
        "Choose what is to be black and what white, scale that to 0..255 and save it as 8-bit PNG.",
    )


def clip_bits(sources: Sequence[object] | NDArray[Any], name: str) -> int | None:
    """The bits that the pictures of a clip use, by some of them; None where these have 8. Warns of fewer than 16."""
    found = [_deep_bits(sources[place]) for place in spread(len(sources))]
    bits = max((one for one in found if one is not None), default=None)
    if bits is not None and bits < DEPTHS[-1]:
        told = f"{name}: its pictures use {bits} of their 16 bits, and are scaled by these."
        warnings.warn(told, PictureWarning, stacklevel=4)
    return bits


def _deep_bits(source: object) -> int | None:
    """The bits that a picture of 16 bits uses. None of another, and of what cannot be read, which its reader says."""
    if isinstance(source, np.ndarray):
        return bits_of(source) if source.dtype.kind == "u" and source.dtype.itemsize == 2 and source.size else None
    if not isinstance(source, (str, os.PathLike)):
        values = np.asarray(source) if getattr(source, "mode", None) in _SIXTEEN_BITS else None
        return None if values is None or values.max() > 0xFFFF or values.min() < 0 else bits_of(values)
    try:
        path = Path(source)
        with _unbombed_open(pil_image(), path) as image:
            deep = image.mode in _SIXTEEN_BITS
        if is_wide(path):
            return bits_of(_wide(path))
        return _deep_bits(open_image(path)) if deep else None
    except Exception:  # Pillow's readers raise OSError, SyntaxError, ValueError, and more
        return None


def _of_file(path: Path, warn: bool, bits: int | None) -> Picture:
    if "\0" in str(path):
        raise FileError(f"{str(path)!r} is not a path.", "Check the path.")
    image = open_image(path)
    try:
        if is_wide(path):
            return _of_array(_wide(path), str(path), warn, bits)
        return _of_image(image, str(path), warn, bits)
    except UsageError as error:
        raise FileError(error.message, error.hint) from None


def is_wide(path: Path) -> bool:
    """Whether a file holds several bands of 16 bits, of which Pillow would drop the lower 8."""
    with _unbombed_open(pil_image(), path) as image:
        return bool(set(_raw_modes(image)) & set(_WIDE_BANDS))


def _raw_modes(image: Any) -> list[str]:
    """How the pixels are stored, in Pillow's words: "RGB;16L". Known until the image is loaded."""
    arguments = [tile[3] for tile in image.tile]
    return [str(one if isinstance(one, str) else one[0]).rstrip("LBN") for one in arguments if one]


def _wide(path: Path) -> NDArray[np.uint16]:
    """The values of a file of several bands of 16 bits: H×W×3, or H×W of grey with alpha. FFmpeg reads them whole."""
    try:
        av = library("av", "PyAV")
        with av.open(f"file:{path}", container_options={"protocol_whitelist": "file"}) as container:
            frame = next(container.decode(video=0))
        if frame.format.name.startswith("ya"):
            frame = frame.reformat(format="gray16le")
        values: NDArray[np.uint16] = frame.to_ndarray()
    except (EnvironmentFailure, OSError, ValueError, StopIteration) as error:
        raise UsageError(
            f"{path} holds several bands of 16 bits, which cannot be read whole ({_reason(error)}).",
            "Scale it to 8 bits first.",
        ) from None
    return values[:, :, :3] if values.ndim == 3 else values


def _of_image(image: Any, name: str, warn: bool, bits: int | None) -> Picture:
    if 0 in image.size:
        raise UsageError(f"{name} has no pixels: {image.size[1]}×{image.size[0]}.", "Give a picture of at least 1×1.")
    if warn:
        _tell_of_orientation(image, name)
        _tell_of_bands(image, name)
    if image.mode == "L" and signed_tiff(image):
        values = np.asarray(image).view(np.int8)
        if values.min() < 0:
            raise _not_brightness(name, values)
    if image.mode in _SIXTEEN_BITS:
        return _of_array(_sixteen_bits(np.asarray(image), name), name, warn, bits)
    if image.mode == "F":
        raise _not_brightness(name, np.asarray(image))
    try:
        converted = image.convert("RGBA" if image.mode in _THROUGH_RGBA else "RGB")
    except ValueError as error:
        raise UsageError(
            f"{name} has the PIL mode {image.mode}, which does not become RGB: {_reason(error)}.", "Convert it first."
        ) from None
    return np.array(np.asarray(converted)[:, :, :3], order="C")


def _sixteen_bits(values: NDArray[Any], name: str) -> NDArray[np.uint16]:
    """PIL's wide modes as they were stored; its own conversion would clip them."""
    if values.min() < 0:
        raise _not_brightness(name, values)
    if values.max() > 0xFFFF:
        raise UsageError(f"{name} holds values up to {values.max()}, beyond 16 bits.", "Scale it to 8 or 16 bits.")
    return values.astype(np.uint16)


def _orientation_of(image: Any) -> int:
    """The EXIF orientation, 1 to 8; 1 is upright."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken tag block says nothing about the pixels, which were read
        return 1
    return orientation if isinstance(orientation, int) and 2 <= orientation <= 8 else 1


def _tell_of_orientation(image: Any, name: str) -> None:
    orientation = _orientation_of(image)
    if orientation != 1:
        warnings.warn(
            f"{name} has the EXIF orientation {orientation}, which is not applied: stock SAM 2 does not. "
            "Points and masks are in the pixels as they are stored.",
            PictureWarning,
            stacklevel=4,
        )


def _tell_of_bands(image: Any, name: str) -> None:
    """Warn of a TIFF's bands that are neither colour nor alpha, and which Pillow ignores."""
    tags = getattr(image, "tag_v2", None)
    if tags is not None and 0 in (tags.get(_EXTRA_SAMPLES) or ()):
        warnings.warn(
            f"{name} has {tags.get(_SAMPLES_PER_PIXEL)} bands, of which only the {len(image.getbands())} of "
            f"{image.mode} are used.",
            PictureWarning,
            stacklevel=4,
        )


def _of_array(array: NDArray[Any], name: str, warn: bool, bits: int | None) -> Picture:
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
        plain = eight_bits(plain, name, bits, warn)
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
