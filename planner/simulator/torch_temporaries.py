"""Which steps (temporaries.py) an operation takes on a GPU, read off its arguments and outputs.

Private parts of torch used: none; the names of operations, which are ATen's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from planner.simulator import kernels, temporaries
from planner.simulator.convolutions.devices import threads_of
from planner.simulator.reductions import Dimension, split_bytes
from planner.simulator.temporaries import Step

if TYPE_CHECKING:
    from planner.simulator.torch_adapters import FakeGpu

VALUE_AND_PLACE_BYTES = 16
"""What a thread keeps that looks for the place of a maximum too: pairs are padded."""


def steps_of(gpu: FakeGpu, name: str, args: tuple[Any, ...], result: Any) -> list[Step] | None:
    """What the operation does to memory; None where it only makes its outputs, in order."""
    rule = _RULES.get(name)
    return rule(gpu, args, result) if rule is not None else None


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _layer_norm(gpu: FakeGpu, args: tuple[Any, ...], result: Any) -> list[Step] | None:
    values = args[0]
    return None if values.is_contiguous() else temporaries.layer_norm(_bytes(values))


def _flash_attention(gpu: FakeGpu, args: tuple[Any, ...], result: Any) -> list[Step]:
    query, key = args[:2]
    batch, heads, queries, head_dim = query.shape
    count = gpu.multiprocessors
    split = kernels.flash_split_bytes(batch, heads, queries, key.shape[2], head_dim, count) if count else (0, 0)
    return temporaries.flash_attention(split)


def _efficient_attention(gpu: FakeGpu, args: tuple[Any, ...], result: Any) -> list[Step]:
    batch, heads, queries, head_dim = args[0].shape
    return temporaries.efficient_attention(
        kernels.efficient_accumulator_bytes(batch, heads, queries, head_dim, args[0].element_size())
    )


def _cudnn_attention(gpu: FakeGpu, args: tuple[Any, ...], result: Any) -> list[Step]:
    query, key = args[:2]
    batch, heads, queries, head_dim = query.shape
    return temporaries.cudnn_attention(
        kernels.cudnn_attention_workspace_bytes(
            gpu.capability, batch, heads, queries, key.shape[2], head_dim, gpu.multiprocessors
        )
    )


def _safe_softmax(gpu: FakeGpu, args: tuple[Any, ...], result: Any) -> list[Step]:
    scores = result.numel()
    return temporaries.safe_softmax(scores, scores // max(1, result.shape[args[1]]), result.element_size())


def _sum(gpu: FakeGpu, args: tuple[Any, ...], result: Any) -> list[Step] | None:
    values = args[0]
    floating = values.dtype.is_floating_point
    if values.dtype == result.dtype or (floating and values.element_size() < result.element_size()):
        cast_bytes = 0  # float16 and bfloat16 are summed into float32 as they are
    else:
        cast_bytes = values.numel() * result.element_size()
    value_bytes = max(result.element_size(), temporaries.FLOAT_BYTES) if floating else result.element_size()
    return temporaries.reduction(cast_bytes, _split(gpu, args, value_bytes))


def _extreme(gpu: FakeGpu, args: tuple[Any, ...], result: Any) -> list[Step] | None:
    """Amax and the like; max and min also with places, which are two outputs."""
    if len(args) > 1 and isinstance(args[1], torch.Tensor):
        return None  # of two arrays, element by element
    if isinstance(result, (tuple, list)):
        return temporaries.reduction(0, _split(gpu, args, VALUE_AND_PLACE_BYTES), outputs=2)
    return temporaries.reduction(0, _split(gpu, args, args[0].element_size()))


def _place(gpu: FakeGpu, args: tuple[Any, ...], result: Any) -> list[Step]:
    return temporaries.reduction(0, _split(gpu, args, VALUE_AND_PLACE_BYTES))


def _truth(gpu: FakeGpu, args: tuple[Any, ...], result: Any) -> list[Step]:
    return temporaries.reduction(0, _split(gpu, args, temporaries.BOOL_BYTES))


def _split(gpu: FakeGpu, args: tuple[Any, ...], value_bytes: int) -> tuple[int, int]:
    """What blocks share in reducing args[0] over the dimensions in args[1], or over all."""
    values, said = args[0], args[1] if len(args) > 1 else None
    if not gpu.multiprocessors:
        return (0, 0)
    over = [said] if isinstance(said, int) else list(said or range(values.dim()))
    over = [number % max(1, values.dim()) for number in over]
    dims = [
        Dimension(size, stride, number in over)
        for number, (size, stride) in enumerate(zip(values.shape, values.stride(), strict=True))
    ]
    threads = threads_of(gpu.capability)
    return split_bytes(dims, values.storage_offset(), value_bytes, gpu.multiprocessors, threads)


def _where(gpu: FakeGpu, args: tuple[Any, ...], result: Any) -> list[Step] | None:
    casts = [_bytes(result) for value in args[1:3] if value.dim() and value.dtype != result.dtype]
    return temporaries.where(value_bytes) if (value_bytes := sum(casts)) else None


def _affine_grid(gpu: FakeGpu, args: tuple[Any, ...], result: Any) -> list[Step] | None:
    if result.dim() != 4:
        return None  # of volumes
    batch, height, width, _ = result.shape
    size_bytes = result.element_size()
    return temporaries.affine_grid(batch * height * width * 3 * size_bytes, width * size_bytes, height * size_bytes)


def _scalar_base(gpu: FakeGpu, args: tuple[Any, ...], result: Any) -> list[Step] | None:
    if isinstance(args[0], torch.Tensor):
        return None
    double = isinstance(args[0], (int, float))
    return temporaries.scalar_base(temporaries.DOUBLE_BYTES if double else 2 * temporaries.DOUBLE_BYTES)


_RULES: dict[str, Callable[[FakeGpu, tuple[Any, ...], Any], list[Step] | None]] = {
    "native_layer_norm": _layer_norm,
    "_scaled_dot_product_flash_attention": _flash_attention,
    "_scaled_dot_product_efficient_attention": _efficient_attention,
    "_scaled_dot_product_cudnn_attention": _cudnn_attention,
    "_safe_softmax": _safe_softmax,
    "sum": _sum,
    "mean": _sum,
    **dict.fromkeys(("amax", "amin", "max", "min"), _extreme),
    **dict.fromkeys(("argmax", "argmin"), _place),
    **dict.fromkeys(("any", "all"), _truth),
    "where": _where,
    "pow": _scalar_base,
    "affine_grid_generator": _affine_grid,
}
