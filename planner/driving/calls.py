"""What drivers of other people's models share: the precision they are called in, and methods that are phases."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

import torch

from planner.nouns.run import ComponentName, PhaseName, Run
from planner.runtime.precision import AUTOCAST

ROUNDS = 3
"""How often a picture is segmented: from the second on, old features are replaced."""
Tell = Callable[..., contextlib.AbstractContextManager[None]]
Methods = Mapping[str, tuple[PhaseName, ComponentName | None]]


@contextlib.contextmanager
def autocast_context(dtype: torch.dtype | None, device: str) -> Iterator[None]:
    """No gradients, and autocast to `dtype`; None is no autocast."""
    kind = torch.device(device).type
    with torch.inference_mode(), torch.autocast(kind, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        yield


def autocast_type(run: Run) -> torch.dtype | None:
    """What the models of transformers and Ultralytics are to run under.

    None for none, also with low-precision weights: they cast what they are given.
    """
    return AUTOCAST.get(run.configuration.precision)


@contextlib.contextmanager
def computing(run: Run, device: str) -> Iterator[None]:
    """No gradients, and autocast where it was asked for."""
    with autocast_context(autocast_type(run), device):
        yield


def tell_of_methods(model: Any, tell: Tell, methods: Methods) -> None:
    """From now on calls of these methods of the model are phases; those that it does not have are left out."""
    for name, (phase, component) in methods.items():
        if hasattr(model, name):
            # nn.Module finds a method of the instance before that of its class.
            setattr(model, name, within(tell, phase, component, getattr(model, name)))


def within(
    tell: Tell, phase: PhaseName, component: ComponentName | None, function: Callable[..., Any]
) -> Callable[..., Any]:
    """The function, whose calls are told."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with tell(phase, component):
            return function(*args, **kwargs)

    return call
