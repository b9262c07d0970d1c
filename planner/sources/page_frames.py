"""The pages of one file as the frames of a clip: a TIFF stack, an animated WebP or PNG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from planner.errors import FileError, UsageError
from planner.sources.frames import Frames
from planner.sources.pages import pages_of
from planner.sources.pictures import Picture, clip_bits, pil_image, read_picture


class PageFrames(Frames):
    """The pages of a file that Pillow reads, in their order. Each reading opens the file for itself."""

    rereadable = True
    fault = FileError

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        with _Pages(path) as pages:
            self.length = len(pages)
            self._bits = clip_bits(pages, self.name)
            height, width = self._read(pages, 0, warn=True).shape[:2]
            self.frames_per_second = _rate(pages.image)
        self._path = path
        self.size = height, width

    def _pictures(self, start: int, step: int) -> Iterator[tuple[int, Picture]]:
        with _Pages(self._path) as pages:
            for index in range(start, len(pages) if step == 1 else -1, step):
                yield index, self._read(pages, index)

    def _read(self, pages: _Pages, index: int, warn: bool = False) -> Picture:
        try:
            return read_picture(pages[index], warn=warn, bits=self._bits)
        except UsageError as error:
            raise FileError(f"{self.name}, page {index}: {error.message}", error.hint) from None
        except Exception as error:  # Pillow's readers raise OSError, SyntaxError, ValueError, and more
            text = f"{self.name}, page {index} cannot be read: {error}."
            raise FileError(text, "It is broken or cut short: take another copy.") from None


class _Pages(Sequence[Any]):
    """The pages of an open file as PIL images; the one last taken is the only one that may be looked at."""

    def __init__(self, path: Path) -> None:
        self._path, self._last = path, 0
        self.image = pil_image().open(path)
        self._pages = pages_of(self.image)

    def __len__(self) -> int:
        return len(self._pages)

    def __getitem__(self, index: Any) -> Any:
        if index < self._last and self.image.format != "TIFF":
            # Pillow does not always find back in an animation.
            self.image.close()
            self.image = pil_image().open(self._path)
        self._last = index
        self.image.seek(self._pages[index])
        return self.image

    def __enter__(self) -> _Pages:
        return self

    def __exit__(self, *_: object) -> None:
        self.image.close()


def _rate(image: Any) -> float | None:
    """Pages per second, where an animation says how long its first is shown (in ms)."""
    duration = image.info.get("duration")
    return 1000 / duration if isinstance(duration, (int, float)) and duration > 0 else None
