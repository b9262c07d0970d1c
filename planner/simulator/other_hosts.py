"""The host's side of a run of transformers or Ultralytics: what would read data or ask for a GPU is replaced."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from planner.driving.others import driver_of
from planner.nouns.run import Run
from planner.runtime.replacing import replaced
from planner.simulator.torch_operations import handle_torchvision


def patches(run: Run, device: str) -> Iterator[contextlib.AbstractContextManager[Any]]:
    """What is replaced, to be entered around a run."""
    handle_torchvision()
    driver_of(run.runtime).prepare(run)  # imports would make tensors of their own
    if run.runtime == "ultralytics":
        from ultralytics.models.sam import predict
        from ultralytics.utils import ops

        from planner.driving.unread import unread

        yield unread(run)
        yield replaced(predict, select_device=lambda *asked, **how: torch.device(device, 0))
        yield replaced(ops, Profile=_Untimed)


class _Untimed:
    """Takes no time, for which the GPU would have to finish first."""

    t = dt = 0.0

    def __init__(self, **how: Any) -> None:
        pass

    def __enter__(self) -> _Untimed:
        return self

    def __exit__(self, *error: object) -> None:
        pass
