"""The host's side of a run of transformers or Ultralytics: what would read data or ask for a GPU is replaced."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy
import torch

from planner.driving.clips import Unbacked
from planner.driving.others import driver_of
from planner.nouns.run import Run
from planner.runtime.replacing import replaced
from planner.simulator.torch_operations import handle_torchvision


def patches(run: Run, device: str) -> Iterator[contextlib.AbstractContextManager[Any]]:
    """What is replaced, to be entered around a run."""
    handle_torchvision()
    driver_of(run.runtime).prepare(run)  # imports would make tensors of their own
    if run.runtime == "ultralytics":
        yield from _of_ultralytics(run, device)


def _of_ultralytics(run: Run, device: str) -> Iterator[contextlib.AbstractContextManager[Any]]:
    from ultralytics.engine import predictor
    from ultralytics.models.sam import predict
    from ultralytics.utils import ops

    if run.workload.task == "video":
        yield replaced(predictor, load_inference_source=lambda **asked: _Frames(run))
    yield replaced(predict, select_device=lambda *asked, **how: torch.device(device, 0), LetterBox=_LetterBox)
    yield replaced(ops, Profile=_Untimed)


class _Frames:
    """A clip as Ultralytics' loaders give one, frame by frame, that nobody has to read."""

    mode = "video"
    source_type = SimpleNamespace(stream=False, screenshot=False, from_img=False, tensor=False)

    def __init__(self, run: Run) -> None:
        self._clip = Unbacked(run.workload.frames or 1, run.workload.frame_size)
        self.frames, self.frame = self._clip.frames, 0

    def __len__(self) -> int:
        """Of files."""
        return 1

    def __iter__(self) -> Iterator[tuple[list[str], list[numpy.ndarray], list[str]]]:
        """Names, pictures and what is said of them, each of one frame; `frame` counts from 1 as they are read."""
        for number in range(self.frames):
            self.frame = number + 1
            yield ["clip.avi"], [self._clip.picture(number)], [""]


class _LetterBox:
    """Pictures of the wanted size, whatever is in them."""

    def __init__(self, size: tuple[int, int], **how: Any) -> None:
        self._size = size

    def __call__(self, image: numpy.ndarray) -> numpy.ndarray:
        return numpy.broadcast_to(numpy.zeros((), dtype=image.dtype), (*self._size, *image.shape[2:]))


class _Untimed:
    """Takes no time, which would have the GPU finish first."""

    t = dt = 0.0

    def __init__(self, **how: Any) -> None:
        pass

    def __enter__(self) -> _Untimed:
        return self

    def __exit__(self, *error: object) -> None:
        pass
