"""A folder of pictures as a clip, in the order of stock SAM 2."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from planner.errors import FileError
from planner.sources.frames import Frames
from planner.sources.pictures import Picture, read_picture

SUFFIXES = (".avif", ".bmp", ".jp2", ".jpeg", ".jpg", ".png", ".pgm", ".ppm", ".tga", ".tif", ".tiff", ".webp")
_INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
_DIGITS = re.compile(r"([0-9]+)", re.ASCII)


class FolderFrames(Frames):
    """The pictures of a folder; hidden files, other files and folders within it are passed over."""

    rereadable = True
    fault = FileError

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._files = _in_order(folder)
        self.length = len(self._files)
        self.frames_per_second = None
        height, width = read_picture(self._files[0]).shape[:2]
        self.size = height, width

    def _pictures(self, start: int, step: int) -> Iterator[tuple[int, Picture]]:
        for index in range(start, len(self._files) if step == 1 else -1, step):
            try:
                picture = read_picture(self._files[index], warn=False)
            except FileError as error:
                raise FileError(f"Frame {index}: {error.message}", error.hint) from None
            yield index, picture


def _in_order(folder: Path) -> list[Path]:
    """The pictures by number where all are numbered (as stock SAM 2), else naturally: 2 before 10."""
    try:
        files = [path for path in folder.iterdir() if _is_picture(path)]
    except OSError as error:
        raise FileError(f"{folder}: {error.strerror or error}.", "Check the folder's permissions.") from None
    if not files:
        raise FileError(f"{folder} holds no pictures.", f"Pictures end in {', '.join(SUFFIXES)}.")
    numbered = all(_INTEGER.fullmatch(path.stem) for path in files)
    files.sort(key=lambda path: (int(path.stem) if numbered else 0, _natural(path.stem), path.name))
    for first, second in itertools.pairwise(files):
        if first.stem == second.stem:
            raise FileError(
                f"{folder} holds both {first.name} and {second.name}, which would be two frames.",
                "Keep one picture for each frame; move masks and previews to another folder.",
            )
    return files


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _natural(stem: str) -> list[Any]:
    return [int(part) if position % 2 else part.casefold() for position, part in enumerate(_DIGITS.split(stem))]
