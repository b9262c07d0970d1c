"""What torch does to tensors as Python objects, redone for tensors without data; in place as long as a run lasts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import torch

from planner.runtime.replacing import replaced


def patches() -> Iterator[contextlib.AbstractContextManager[Any]]:
    """To be entered around a run."""
    yield replaced(torch.nn.Module, _apply=_apply_to_module)
    yield replaced(torch.Tensor, numpy=_numpy_of_nothing, __deepcopy__=_deepcopy_of_nothing, tolist=_list_of_nothing)
    yield replaced(torch.jit, script=not_scripted)
    yield replaced(torch.nn.init, **dict.fromkeys(_INITIALIZERS, _initialized))


def _apply_to_module(
    module: torch.nn.Module, convert: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True
) -> Any:
    """torch.nn.Module._apply with new parameters in place of changed ones, in the same order.

    The original changes a parameter's data in place, or swaps tensors; a fake tensor allows neither across devices.
    """
    if recurse:
        for child in module.children():
            child._apply(convert)
    for key, parameter in module._parameters.items():
        if parameter is not None:
            with torch.no_grad():
                converted = convert(parameter)
            module._parameters[key] = torch.nn.Parameter(converted, parameter.requires_grad)
    for key, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[key] = convert(buffer)
    return module


_INITIALIZERS = ("kaiming_uniform_", "uniform_", "normal_", "xavier_uniform_", "trunc_normal_", "ones_", "zeros_")
"""What fills new weights: they work in place, so without values they are a third of a trace's time for nothing."""


def _initialized(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    return tensor


def not_scripted(module: Any, *args: Any, **kwargs: Any) -> Any:
    """torch.jit.script's interpreter crashes on fake tensors; sam2 scripts its host-side transforms only."""
    return module


def _numpy_of_nothing(tensor: torch.Tensor, *, force: bool = False) -> numpy.ndarray:
    """Zeros of the tensor's shape that take no memory."""
    dtype = torch.empty((), dtype=tensor.dtype, device="meta").dtype
    return numpy.broadcast_to(numpy.zeros((), dtype=_NUMPY_TYPES.get(dtype, numpy.float32)), tuple(tensor.shape))


def _deepcopy_of_nothing(tensor: torch.Tensor, memo: dict[int, Any]) -> torch.Tensor:
    """A deep copy copies the whole storage, also of a view. The original would copy bytes that are not there.

    It makes an empty tensor that then takes the storage over (torch/_tensor.py, Tensor.__deepcopy__).
    """
    if id(tensor) in memo:
        return memo[id(tensor)]
    with torch.no_grad():
        elements = tensor.untyped_storage().nbytes() // tensor.element_size()
        whole = torch.empty((elements,), dtype=tensor.dtype, device=tensor.device)
        tensor.new_empty([])
        copy: torch.Tensor = whole.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())
    if isinstance(tensor, torch.nn.Parameter):
        copy = torch.nn.Parameter(copy.detach(), tensor.requires_grad)
    memo[id(tensor)] = copy
    return copy


def _list_of_nothing(tensor: torch.Tensor) -> Any:
    return _numpy_of_nothing(tensor).tolist()


_NUMPY_TYPES: dict[torch.dtype, Any] = {
    torch.bool: numpy.bool_,
    torch.uint8: numpy.uint8,
    torch.int16: numpy.int16,
    torch.int32: numpy.int32,
    torch.int64: numpy.int64,
    torch.float16: numpy.float16,
    torch.float32: numpy.float32,
    torch.float64: numpy.float64,
}


class Seeming:
    """A module with some names replaced, for packages that ask `torch.cuda.is_available()` to decide what to keep."""

    def __init__(self, original: Any, **replaced: Any) -> None:
        self.__dict__.update(replaced, _original=original)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_original"], name)


def torch_with_cuda() -> Any:
    """torch, but with a GPU available, to be put in place of the name `torch` of one module."""
    return Seeming(torch, cuda=Seeming(torch.cuda, is_available=lambda: True))
