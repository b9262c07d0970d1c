"""Frames that are in the program already, or that it makes: arrays, lists, generators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import UsageError
from planner.sources.frames import Frames
from planner.sources.pictures import Picture, clip_bits, read_picture

CLIP_FORMS = "Give frames × height × width × 3, uint8 in RGB; one picture is a clip as array[None]."


class SequenceFrames(Frames):
    """A list of pictures (arrays, PIL images, paths), or an array frames × height × width × channels."""

    rereadable = True

    def __init__(self, pictures: Sequence[object] | NDArray[Any]) -> None:
        self.name = "The array" if isinstance(pictures, np.ndarray) else f"The {type(pictures).__name__}"
        if isinstance(pictures, np.ndarray) and pictures.ndim != 4:
            raise UsageError(f"An array of shape {pictures.shape} is not a clip.", CLIP_FORMS)
        if not len(pictures):
            raise UsageError(f"{self.name} holds no frames.", "Give at least one picture.")
        self._sources = pictures
        self.length = len(pictures)
        self.frames_per_second = None
        self._bits = clip_bits(pictures, self.name)
        height, width = self._picture(0, warn=True).shape[:2]
        self.size = height, width

    def close(self) -> None:
        """Let go of the pictures."""
        super().close()
        self._sources = ()

    def _pictures(self, start: int, step: int) -> Iterator[tuple[int, Picture]]:
        sources = self._sources
        for index in range(start, len(sources) if step == 1 else -1, step):
            yield index, self._picture(index, warn=False)

    def _picture(self, index: int, warn: bool) -> Picture:
        return _framed(self._sources[index], self.name, index, warn, self._bits)


class IteratorFrames(Frames):
    """A generator, or anything else to iterate over once; what it raises comes through unchanged."""

    rereadable = False

    def __init__(self, pictures: Iterable[object]) -> None:
        self.name = f"The {type(pictures).__name__}"
        self.length = None
        self.frames_per_second = None
        self._rest: Iterator[object] | None = iter(pictures)
        try:
            first = next(self._rest)
        except StopIteration:
            raise UsageError(f"{self.name} gives no frames.", "It may have been used up: make it anew.") from None
        # What is to come is not known: the first picture stands for all.
        self._bits = clip_bits([first], self.name)
        self._first: Picture | None = _framed(first, self.name, 0, True, self._bits)
        height, width = self._first.shape[:2]
        self.size = height, width

    def close(self) -> None:
        """Let go of the iterator; it is not closed, since it was made elsewhere."""
        super().close()
        self._rest = self._first = None

    def _pictures(self, start: int, step: int) -> Iterator[tuple[int, Picture]]:
        first, self._first, rest = self._first, None, self._rest
        if first is None or rest is None:
            return
        yield 0, first
        del first
        for index, source in enumerate(rest, 1):
            yield index, _framed(source, self.name, index, False, self._bits)


def _framed(source: object, name: str, index: int, warn: bool, bits: int | None) -> Picture:
    """The picture, with the frame's index in what is wrong with it."""
    try:
        return read_picture(source, warn=warn, bits=bits)
    except UsageError as error:
        raise UsageError(f"{name}, frame {index}: {error.message}", error.hint) from None
