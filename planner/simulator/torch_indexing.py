"""Indexing and moving tensors without torch asking the CUDA driver for the current device.

With a CUDA runtime before 13, `tensor[...]` and `tensor.to("cuda")` put a device guard around what they do, also for
fake tensors, and fail on a machine without a driver. Here both go straight to the operators that they would call.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

aten = torch.ops.aten


class WithoutDeviceGuards(TorchFunctionMode):
    """While active, indexing is done by operators, and "cuda" means "cuda:0"."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.Tensor.__getitem__:
            return get_item(*args)
        if func is torch.Tensor.__setitem__:
            return set_item(*args)
        if func is torch.Tensor.__invert__:
            return aten.bitwise_not(args[0])
        if func is torch.Tensor.__index__:
            return int(aten._local_scalar_dense(args[0]))
        return func(*_indexed(args), **{name: _with_index(value) for name, value in kwargs.items()})


def _with_index(value: Any) -> Any:
    if isinstance(value, torch.device) and value.type == "cuda" and value.index is None:
        return torch.device("cuda", 0)
    return "cuda:0" if isinstance(value, str) and value == "cuda" else value


def _indexed(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_with_index(value) for value in values)


def get_item(tensor: torch.Tensor, index: Any) -> torch.Tensor:
    """tensor[index] by views, and aten.index for what tensors select (torch/csrc/autograd/python_variable_indexing)."""
    view, selected = _views(tensor, index)
    return aten.index(view, selected) if any(item is not None for item in selected) else view


def set_item(tensor: torch.Tensor, index: Any, value: Any) -> None:
    """tensor[index] = value."""
    view, selected = _views(tensor, index)
    if not isinstance(value, torch.Tensor):
        if any(item is not None for item in selected):
            value = torch.full((), value, dtype=tensor.dtype, device=tensor.device)
        else:
            view.fill_(value)
            return
    if any(item is not None for item in selected):
        aten.index_put_(view, selected, value)
    elif view.device.type != "cuda":
        view.copy_(value)
    # else: Tensor.copy_ has such a guard too; writing into a view allocates nothing, and there are no data to write.


def _views(tensor: torch.Tensor, index: Any) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """The view that integers, slices and None make, and the tensors that select in what is left."""
    items = list(index) if isinstance(index, tuple) else [index]
    taken = sum(item is not None and item is not Ellipsis for item in items)
    taken += sum(item.dim() - 1 for item in items if isinstance(item, torch.Tensor) and item.dtype == torch.bool)
    view, dimension = tensor, 0
    selected: list[torch.Tensor | None] = []
    for item in items:
        if item is Ellipsis:
            rest = tensor.dim() - taken
            dimension += rest
            selected.extend([None] * rest)
        elif item is None:
            view = view.unsqueeze(dimension)
            dimension += 1
            selected.append(None)
        elif isinstance(item, slice):
            step = 1 if item.step is None else item.step
            if (item.start, item.stop, step) != (None, None, 1):
                view = aten.slice(view, dimension, item.start, item.stop, step)
            dimension += 1
            selected.append(None)
        elif isinstance(item, (torch.Tensor, list)) or hasattr(item, "__array__"):
            chosen = item if isinstance(item, torch.Tensor) else torch.as_tensor(item)
            if chosen.dim() == 0 and chosen.dtype != torch.bool:
                view = aten.select(view, dimension, int(chosen))
                continue
            selected.append(chosen)
            dimension += chosen.dim() if chosen.dtype == torch.bool else 1
        else:
            view = aten.select(view, dimension, int(item))
    return view, selected
