"""What a source holds, without decoding more of it than its first frame.

Imported by those who may have no source to look at, so what reads one (numpy, PyAV, Pillow) is imported when it does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from planner.errors import FileError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The size and length of a source."""

    size: tuple[int, int]
    """Height and width in pixels."""
    length: int | None
    """Frames; None for a stream without end. A picture has 1."""
    frames_per_second: float | None
    warnings: tuple[str, ...]
    """What its owner should know, such as a rotation that is not applied."""


def probe_clip(source: str) -> Probe:
    """A video, folder, camera or address: its table of frames is read, and the first frame decoded.

    Raises as planner.sources.frames.open_frames.
    """
    from planner.sources.frames import open_frames

    with _told() as said, open_frames(source) as frames:
        size, length, rate = frames.size, frames.length, frames.frames_per_second
    return Probe(size=size, length=length, frames_per_second=rate, warnings=tuple(said))


def probe_picture(source: str) -> Probe:
    """A picture: its header is read, and the file checked as far as its format allows, but no pixels are decoded.

    Raises FileError for a file that is no picture, UsageError for a folder.
    """
    from planner.sources.pictures import pil_image

    path = Path(source)
    if os.path.isdir(path):
        raise UsageError(f"{source} is a folder; a plan for pictures runs on one picture at a time.", "Give a file.")
    pil = pil_image()
    try:
        with _told() as said, pil.open(path) as image:
            width, height = image.size
            image.verify()
    except pil.UnidentifiedImageError:
        raise FileError(
            f"{path} is not a picture that can be read.", "Give a PNG, JPEG, TIFF, WebP or BMP file."
        ) from None
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        raise FileError(f"{path}: {error.strerror or error}.", "Check the path.") from None
    except Exception as error:  # PIL's readers raise OSError, SyntaxError, ValueError, struct.error, and more
        raise FileError(f"{path} cannot be read: {error}.", "It is broken or cut short: take another copy.") from None
    return Probe(size=(height, width), length=1, frames_per_second=None, warnings=tuple(said))


@contextmanager
def _told() -> Iterator[list[str]]:
    """What the readers warn of in the block, each once; other libraries' warnings are nobody's concern here."""
    import warnings

    from planner.sources.pictures import PictureWarning

    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", PictureWarning)
        yield said
        said += dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, PictureWarning))
