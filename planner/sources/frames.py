"""The frames of a clip, one at a time, wherever they come from.

Knows what every source has in common; the sources themselves stand in modules of their own, imported when
one is opened. A clip is never held whole.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import numpy as np

from planner.errors import FileError, PlannerError, UsageError
from planner.sources.pictures import Picture
from planner.text.units import counted

SOURCE_FORMS = (
    "Give a video file, a folder of pictures, camera:0, a URL (rtsp, http, https, udp, tcp), "
    "an array frames × height × width × 3 of uint8, or a list or generator of pictures."
)
_CAMERA = re.compile(r"camera:(\d{1,3})", re.ASCII)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.ASCII | re.IGNORECASE)
STREAM_SCHEMES = ("rtsp", "http", "https", "udp", "tcp")


class Frames(ABC):
    """The frames of one clip; a context manager that releases what it holds."""

    name: str
    """For messages: a path, "camera:0", "an array"."""
    size: tuple[int, int]
    """(height, width) in pixels, the same for every frame."""
    length: int | None
    """Frames, or None where that is not known: a stream without end."""
    frames_per_second: float | None
    """As the source says, or None."""
    orientation: str = ""
    """A sentence on how the pixels lie where that may surprise: turned, or not turned; for errors about places."""
    rereadable: bool
    """False for what passes by once, forward, from frame 0: generators, cameras, network streams."""

    fault: ClassVar[type[PlannerError]] = UsageError
    """What a frame of another size is."""
    _closed = False
    _started = False

    def read(self, start: int = 0, step: int = 1) -> Iterator[tuple[int, Picture]]:
        """Frame index and frame (height × width × 3, uint8, RGB, C-contiguous), from `start` on.

        Step 1 goes to the end, step -1 to frame 0. Raises UsageError at once for what cannot be read so, and
        FileError or UsageError on the way at a frame that is damaged or of another size.
        """
        self._check_reading(start, step)
        self._started = True
        return self._checked(self._pictures(start, step))

    def survey(self) -> None:
        """Look at what can be seen of all frames without decoding them. Raises what reading them would.

        A video's table of frames was read when it was opened, so there is nothing left to look at.
        """
        return

    def close(self) -> None:
        """Release the source; nothing can be read afterwards."""
        self._closed = True

    @abstractmethod
    def _pictures(self, start: int, step: int) -> Iterator[tuple[int, Picture]]:
        """What `read` gives, before its checks."""

    def _check_reading(self, start: int, step: int) -> None:
        if self._closed:
            raise UsageError(f"{self.name} has been closed.", "Open it again.")
        if isinstance(step, bool) or step not in (1, -1):
            raise UsageError(f"Frames cannot be read in steps of {step!r}.", "Use 1 (forward) or -1 (backward).")
        if isinstance(start, bool) or not isinstance(start, int) or start < 0:
            raise UsageError(f"{start!r} is not a frame to start from.", "Give a whole number from 0.")
        if self.length is not None and start >= self.length:
            raise UsageError(
                f"{self.name} has no frame {start}: it has {counted(self.length, 'frame')}.",
                f"Start from 0 to {self.length - 1}.",
            )
        if not self.rereadable:
            self._check_single_pass(start, step)

    def _check_single_pass(self, start: int, step: int) -> None:
        what = ""
        if self._started:
            what = "a second time"
        elif step == -1:
            what = "backward"
        elif start:
            what = f"from frame {start}"
        if what:
            raise UsageError(
                f"{self.name} cannot be read {what}: its frames pass by once, forward, from frame 0.",
                "Save it as a video file or a folder of pictures and give that.",
            )

    def _checked(self, pictures: Iterator[tuple[int, Picture]]) -> Iterator[tuple[int, Picture]]:
        for index, picture in pictures:
            height, width = picture.shape[:2]
            if (height, width) != self.size:
                raise self._another_size(index, (height, width))
            yield index, picture

    def _another_size(self, index: int, found: tuple[int, int]) -> PlannerError:
        return self.fault(
            f"{self.name}: frame {index} is {found[0]}×{found[1]} pixels (height × width), "
            f"but frame 0 is {self.size[0]}×{self.size[1]}.",
            "Every frame of a clip must have the same size: scale them, or split the clip there.",
        )

    def __enter__(self) -> Frames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_frames(source: object) -> Frames:
    """The frames of a video file, folder, array, sequence, iterator, camera or URL; open Frames as they are.

    The first frame is read, for its size. Raises UsageError for what is no source or has no frames, FileError for
    a file or folder that cannot be used, EnvironmentFailure for a camera or an address that does not answer.
    """
    if isinstance(source, Frames):
        return source
    if isinstance(source, str) and (_CAMERA.fullmatch(source) or _SCHEME.match(source) or source.startswith("camera:")):
        return _open_stream(source)
    if isinstance(source, (str, os.PathLike)):
        return _open_path(Path(source))
    if isinstance(source, (bytes, bytearray, memoryview, dict, set)):
        raise UsageError(f"A {type(source).__name__} is not a clip.", SOURCE_FORMS)
    from planner.sources.sequences import IteratorFrames, SequenceFrames

    if isinstance(source, (np.ndarray, Sequence)):
        return SequenceFrames(source)
    if isinstance(source, Iterable) and not hasattr(source, "__array__") and not hasattr(source, "getexif"):
        return IteratorFrames(source)
    article = "None" if source is None else f"A {type(source).__name__}"
    raise UsageError(f"{article} is not a clip.", SOURCE_FORMS)


def _open_path(path: Path) -> Frames:
    text = str(path)
    if not text.strip() or "\0" in text:
        raise FileError(f"{text!r} is not a path.", SOURCE_FORMS)
    try:
        if path.is_dir():
            from planner.sources.folders import FolderFrames

            return FolderFrames(path)
        if not path.exists():
            raise FileError(f"{path} does not exist.", "Check the path.")
        if not path.is_file():
            raise FileError(f"{path} is not a regular file.", "Give a camera as camera:0; save a pipe to a file first.")
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}.", "Check the path.") from None
    from planner.sources.pages import several_pages

    if several_pages(path):
        from planner.sources.page_frames import PageFrames

        return PageFrames(path)
    from planner.sources.video_files import VideoFrames

    return VideoFrames(path)


def _open_stream(text: str) -> Frames:
    from planner.sources.streams import StreamFrames

    camera = _CAMERA.fullmatch(text)
    if camera is not None:
        return StreamFrames.of_camera(int(camera[1]))
    scheme = _SCHEME.match(text)
    if scheme is None or scheme[1].lower() not in STREAM_SCHEMES:
        raise UsageError(f"{text!r} is neither a camera nor an address that can be read.", SOURCE_FORMS)
    return StreamFrames.of_address(text)
