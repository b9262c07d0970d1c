"""Frames of a clip on their way to the device: read in one thread, resized in others, some ahead of their turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy
from torch import Tensor

from planner.runtime.network import Network
from planner.runtime.prepare import Form, normalised, prepare_frame
from planner.sources.ahead import Ahead
from planner.sources.frames import Frames

AHEAD = 2
"""Frames decoded and resized ahead of the one that is tracked."""
PREPARERS = 2
"""Threads that resize them."""


class Shot(NamedTuple):
    """One frame of the source."""

    frame: int
    picture: numpy.ndarray
    """H×W×3 uint8."""
    ready: Future[Tensor] | None
    """What prepare_frame makes of it; None where it must be made again."""
    form: Form | None = None
    """What it is made ready for."""

    def on_device(self, network: Network, form: Form) -> Tensor:
        """1×3×h×w, as the network, whose form that is, wants it."""
        made = self.ready if self.form == form else None
        tensor = prepare_frame(form, self.picture) if made is None else made.result()
        return normalised(network, tensor.to(network.device, non_blocking=True))


def read_ahead(frames: Frames, forms: deque[Form], start: int, direction: int) -> Ahead[Shot]:
    """Shots from frame `start` on, made ready for the last of `forms`, which may change meanwhile."""
    return Ahead(_prepared(frames, forms, start, direction), depth=AHEAD)


def _prepared(frames: Frames, forms: deque[Form], start: int, direction: int) -> Iterator[Shot]:
    """Frames being made ready, read in a thread of their own, which must not hold on to the Tracking that nobody holds.

    Each is handed on as soon as it is read: one that waited for the next would be late where frames come live.
    """
    if frames.length is not None and not 0 <= start < frames.length:
        return
    with ThreadPoolExecutor(PREPARERS, thread_name_prefix="sam2-plan-prepare") as pool:
        for index, picture in frames.read(start, direction):
            form = forms[-1]
            yield Shot(index, picture, pool.submit(prepare_frame, form, picture), form)
