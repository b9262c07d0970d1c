"""The pictures that a run is driven with. Bytes do not depend on their values."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy
from PIL import Image

SMALL = 8
"""Noise is made at an eighth of each side and enlarged: no file is large, and pictures do not compress to nothing."""

RATE = 25
"""Frames per second of files."""


class Black:
    """Black pictures: none to draw, and quick to write."""

    def __init__(self, frames: int, size: tuple[int, int]) -> None:
        """`size` is (height, width)."""
        self.frames = frames
        self.size = size

    def picture(self, number: int) -> numpy.ndarray:
        """H×W×3 uint8."""
        return numpy.zeros((*self.size, 3), dtype=numpy.uint8)

    def whole(self) -> numpy.ndarray:
        """T×H×W×3 uint8."""
        return numpy.stack([self.picture(number) for number in range(self.frames)])

    @contextmanager
    def folder(self) -> Iterator[str]:
        """A folder of JPEG files, named as sam2 wants them."""
        with tempfile.TemporaryDirectory() as folder:
            for number in range(self.frames):
                self.write(number, Path(folder) / f"{number:05d}.jpg")
            yield folder

    @contextmanager
    def video(self) -> Iterator[str]:
        """The clip as one file, of JPEG pictures one after the other. Needs OpenCV."""
        import cv2

        height, width = self.size
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "clip.avi")
            writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), RATE, (width, height))
            for number in range(self.frames):
                writer.write(numpy.ascontiguousarray(self.picture(number)[..., ::-1]))
            writer.release()
            yield path

    def write(self, number: int, path: Path) -> None:
        """One file."""
        Image.fromarray(self.picture(number)).save(path)


class Noise(Black):
    """Another picture for each number, as from a camera."""

    def picture(self, number: int) -> numpy.ndarray:
        """H×W×3 uint8."""
        height, width = self.size
        small = (max(1, height // SMALL), max(1, width // SMALL), 3)
        noise = numpy.random.default_rng(number).integers(0, 255, small, dtype=numpy.uint8)
        return numpy.asarray(Image.fromarray(noise).resize((width, height)))


class OnePicture(Black):
    """As many names as frames, of which only the first holds a picture: for those who decode one and reuse its form."""

    def write(self, number: int, path: Path) -> None:
        """One file."""
        if number:
            path.touch()
        else:
            Image.new("RGB", self.size[::-1]).save(path, "JPEG")


class Unbacked(OnePicture):
    """Pictures that take no memory, however many there are."""

    def picture(self, number: int) -> numpy.ndarray:
        """H×W×3 uint8, not writable."""
        return numpy.broadcast_to(numpy.zeros((), dtype=numpy.uint8), (*self.size, 3))

    def whole(self) -> numpy.ndarray:
        """T×H×W×3 uint8, not writable."""
        return numpy.broadcast_to(numpy.zeros((), dtype=numpy.uint8), (self.frames, *self.size, 3))

    @contextmanager
    def video(self) -> Iterator[str]:
        """The name of a file that is not there: whoever takes these pictures reads none."""
        yield "clip.avi"
