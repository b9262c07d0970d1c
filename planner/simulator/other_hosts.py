"""The host's side of a run of transformers or Ultralytics: what would read data or ask for a GPU is replaced."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from planner.driving.others import driver_of
from planner.nouns.run import Run
from planner.simulator.torch_operations import handle_torchvision


def patches(run: Run) -> Iterator[contextlib.AbstractContextManager[Any]]:
    """What is replaced, to be entered around a run."""
    handle_torchvision()
    driver_of(run.runtime).prepare(run)  # imports would make tensors of their own
    yield from ()
