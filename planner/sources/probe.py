"""What a source holds, without decoding more of it than a picture, or a clip's first frame.

Imported by those who may have no source to look at, so what reads one (numpy, PyAV, Pillow) is imported when it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


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
    """A video, folder, camera or address: its table of frames or all headers are read, and the first frame decoded.

    Raises as planner.sources.frames.open_frames.
    """
    from planner.sources.opening import open_clip

    with _told() as said, open_clip(source) as frames:
        frames.survey()
        size, length, rate = frames.size, frames.length, frames.frames_per_second
    return Probe(size=size, length=length, frames_per_second=rate, warnings=tuple(said))


def probe_picture(source: str) -> Probe:
    """A picture, read as a run reads it: a header says little of whether its pixels will do.

    Raises FileError for a file that is no picture, UsageError for a folder.
    """
    from planner.sources.opening import open_picture

    with _told() as said:
        height, width = open_picture(source).shape[:2]
    return Probe(size=(height, width), length=1, frames_per_second=None, warnings=tuple(said))


@contextmanager
def _told() -> Iterator[list[str]]:
    """What the readers warn of in the block, each once; other libraries' warnings are nobody's concern here."""
    import warnings

    from planner.sources.depth import PictureWarning

    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", PictureWarning)
        yield said
        said += dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, PictureWarning))
