"""Stand-ins for what Ultralytics reads and resizes pictures with, where only their form counts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy

from planner.driving.clips import Unbacked
from planner.nouns.run import Run
from planner.runtime.replacing import replaced

ENDLESS = 10**9
"""Frames of a clip without end: whoever drives it stops."""


@contextlib.contextmanager
def unread(run: Run) -> Iterator[None]:
    """Within the block Ultralytics reads no clip, however its file is called, and resizes no picture."""
    from ultralytics.engine import predictor
    from ultralytics.models.sam import predict

    with contextlib.ExitStack() as stack:
        if run.workload.task == "video":
            stack.enter_context(replaced(predictor, load_inference_source=lambda **asked: Frames(run)))
        stack.enter_context(replaced(predict, LetterBox=LetterBox))
        yield


class Frames:
    """A clip as Ultralytics' loaders give one, frame by frame, that nobody has to read."""

    mode = "video"
    source_type = SimpleNamespace(stream=False, screenshot=False, from_img=False, tensor=False)

    def __init__(self, run: Run) -> None:
        self._clip = Unbacked(run.workload.frames or ENDLESS, run.workload.frame_size)
        self.frames, self.frame = self._clip.frames, 0

    def __len__(self) -> int:
        """Of files."""
        return 1

    def __iter__(self) -> Iterator[tuple[list[str], list[numpy.ndarray], list[str]]]:
        """Names, pictures and what is said of them, each of one frame; `frame` counts from 1 as they are read."""
        for number in range(self.frames):
            self.frame = number + 1
            yield ["clip.avi"], [self._clip.picture(number)], [""]


class LetterBox:
    """Pictures of the wanted size, whatever is in them."""

    def __init__(self, size: int | tuple[int, int], **how: Any) -> None:
        self._size = (size, size) if isinstance(size, int) else size

    def __call__(self, image: numpy.ndarray) -> numpy.ndarray:
        """One of them, not writable."""
        return numpy.broadcast_to(numpy.zeros((), dtype=image.dtype), (*self._size, *image.shape[2:]))
