"""A folder of pictures as a clip, in the order of stock SAM 2."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from planner.errors import FileError
from planner.sources.ahead import in_order
from planner.sources.depth import PictureWarning
from planner.sources.frames import Frames
from planner.sources.pictures import Picture, clip_bits, orientation_note, pil_image, read_picture
from planner.text.units import counted

SUFFIXES = (".avif", ".bmp", ".jp2", ".jpeg", ".jpg", ".png", ".pgm", ".ppm", ".tga", ".tif", ".tiff", ".webp")
_INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
_DIGITS = re.compile(r"([0-9]+)", re.ASCII)
DECODERS = 2
"""Threads that decode pictures, which takes longer than a frame of a small variant does on a fast GPU."""
_SHOWN = 3
"""Names that a message gives of many."""


class FolderFrames(Frames):
    """The pictures of a folder; hidden files, other files and folders within it are passed over."""

    rereadable = True
    fault = FileError

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._files = _in_order(folder)
        self.length = len(self._files)
        self.frames_per_second = None
        self._bits = clip_bits(self._files, self.name)
        height, width = read_picture(self._files[0], bits=self._bits).shape[:2]
        self.size = height, width
        self.orientation = orientation_note(self._files[0])

    def survey(self) -> None:
        """The headers of all pictures: their sizes, and whether they are pictures."""
        for index, path in enumerate(self._files):
            try:
                with pil_image().open(path) as image:
                    width, height = image.size
            except Exception:  # whatever it is, reading says it better, and may get over it
                height, width = self._picture(index).shape[:2]
            if (height, width) != self.size:
                raise self._another_size(index, (height, width))

    def _pictures(self, start: int, step: int) -> Iterator[tuple[int, Picture]]:
        indices = range(start, len(self._files) if step == 1 else -1, step)
        yield from zip(indices, in_order(self._picture, indices, DECODERS), strict=True)

    def _picture(self, index: int) -> Picture:
        try:
            return read_picture(self._files[index], warn=False, bits=self._bits)
        except FileError as error:
            raise FileError(f"Frame {index}: {error.message}", error.hint) from None


def _in_order(folder: Path) -> list[Path]:
    """The frames by number where they are numbered (as stock SAM 2), else naturally: 2 before 10.

    Beside numbered pictures others are no frames (previews, masks), which is said. Stock takes JPEGs and nothing else,
    and of these wants all to be numbered.
    """
    try:
        files = [path for path in folder.iterdir() if _is_picture(path)]
    except OSError as error:
        raise FileError(f"{folder}: {error.strerror or error}.", "Check the folder's permissions.") from None
    if not files:
        raise FileError(f"{folder} holds no pictures.", f"Pictures end in {', '.join(SUFFIXES)}.")
    numbered = [path for path in files if _INTEGER.fullmatch(path.stem)]
    others = sorted(path.name for path in files if not _INTEGER.fullmatch(path.stem))
    if numbered and others:
        _tell_of_others(folder, others, len(numbered))
        files = numbered
    files.sort(key=lambda path: (int(path.stem) if numbered else 0, _natural(path.stem), path.name))
    _check_apart(folder, files)
    return files


def _tell_of_others(folder: Path, others: list[str], frames: int) -> None:
    names = ", ".join(others[:_SHOWN]) + (", ..." if len(others) > _SHOWN else "")
    verb = "are no frames" if len(others) > 1 else "is no frame"
    warnings.warn(
        f"{folder}: {names} {verb}: only the {counted(frames, 'picture')} named by a number alone are tracked through.",
        PictureWarning,
        stacklevel=5,
    )


def _check_apart(folder: Path, files: list[Path]) -> None:
    """Raise for two pictures of one number, and for names such as mask-1 beside frame-1: which are frames?"""
    for first, second in itertools.pairwise(files):
        if first.stem == second.stem:
            raise FileError(
                f"{folder} holds both {first.name} and {second.name}, which would be two frames.",
                "Keep one picture for each frame; move masks and previews to another folder.",
            )
    series: dict[str, Path] = {}
    for path in files:
        series.setdefault(_DIGITS.sub("0", path.stem.casefold()).lstrip("+-"), path)
    if len(series) > 1 and len(series) < len(files):
        names = " and ".join(path.name for path in list(series.values())[:2])
        raise FileError(
            f"{folder} holds pictures of {len(series)} sorts, such as {names}: which are the frames is not plain.",
            "Keep the frames alone in the folder, named by their numbers.",
        )


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _natural(stem: str) -> list[Any]:
    return [int(part) if position % 2 else part.casefold() for position, part in enumerate(_DIGITS.split(stem))]
