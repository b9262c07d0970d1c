"""The host's side of a run of transformers or Ultralytics: what would read data or ask for a GPU is replaced."""

from __future__ import annotations

import contextlib
import sys
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
    yield _forgotten(run.runtime)
    if run.runtime == "ultralytics":
        from ultralytics.models.sam import predict
        from ultralytics.utils import ops

        from planner.driving.unread import unread

        yield unread(run)
        yield replaced(predict, select_device=lambda *asked, **how: torch.device(device, 0))
        yield replaced(ops, Profile=_Untimed)


@contextlib.contextmanager
def _forgotten(package: str) -> Iterator[None]:
    """Tables that functions of the package remember, of whatever ran before: a new process has none."""
    for cache in _caches(package):
        cache.cache_clear()
    yield
    for cache in _caches(package):  # which hold tensors without data
        cache.cache_clear()


def _caches(package: str) -> Iterator[Any]:
    """What functools.lru_cache made of methods of its models, bare or within a decorator of the package's own."""
    for name, module in list(sys.modules.items()):
        if not name.startswith(f"{package}.models."):
            continue
        for owner in list(vars(module).values()):
            if isinstance(owner, type) and owner.__module__ == name:
                yield from filter(None, map(_cache_of, vars(owner).values()))


def _cache_of(attribute: Any) -> Any:
    function = getattr(attribute, "__func__", attribute)
    if hasattr(function, "cache_clear"):
        return function
    cells = getattr(function, "__closure__", None) or ()
    return next((cell.cell_contents for cell in cells if hasattr(cell.cell_contents, "cache_clear")), None)


class _Untimed:
    """Takes no time, for which the GPU would have to finish first."""

    t = dt = 0.0

    def __init__(self, **how: Any) -> None:
        pass

    def __enter__(self) -> _Untimed:
        return self

    def __exit__(self, *error: object) -> None:
        pass
