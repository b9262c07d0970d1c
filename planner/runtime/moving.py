"""A network's tensors moved to another device, all of them: weights, buffers, and tables kept beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from planner.runtime.network import Network


class _Held(NamedTuple):
    """A tensor and all places that hold it: a container and the key in it."""

    tensor: Tensor
    places: list[tuple[Any, Any]]


def move(network: Network, device: torch.device) -> None:
    """Move all that `network` holds; `network.device`, where it computes, stays what it is.

    One tensor after the other, so that both devices together hold hardly more than one copy. May be repeated, also
    after it failed: what is there already stays.
    """
    network.forget_hoisted()
    held: dict[int, _Held] = {}
    for container, key, tensor in _tensors(network):
        held.setdefault(id(tensor), _Held(tensor, [])).places.append((container, key))
    while held:
        _, (tensor, places) = held.popitem()
        moved = tensor.detach().to(device)
        if isinstance(tensor, torch.nn.Parameter):
            moved = torch.nn.Parameter(moved, requires_grad=False)
        for container, key in places:
            container[key] = moved
        del tensor, moved


def _tensors(network: Network) -> Iterator[tuple[Any, Any, Tensor]]:
    yield from _within(vars(network))
    for module in network.model.modules():
        yield from _within(vars(module))
        # Modules of modules have their own turn.
        yield from _within(module._parameters)
        yield from _within(module._buffers)


def _within(container: Any) -> Iterator[tuple[Any, Any, Tensor]]:
    """The tensors of a dictionary or list, and of those in it, but for those that torch keeps of a module."""
    entries = container.items() if isinstance(container, dict) else enumerate(container)
    for key, value in entries:
        if isinstance(value, Tensor):
            yield container, key, value
        elif isinstance(value, (dict, list)) and not str(key).startswith("_"):
            yield from _within(value)
