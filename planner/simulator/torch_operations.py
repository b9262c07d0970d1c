"""Operations that need more than FakeTensorMode gives: decomposed as the C++ code does, or decided by data.

Private parts of torch used: the exceptions of FakeTensorMode.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from planner.simulator.attention import choose_attention
from planner.simulator.kernels import count_buffer_bytes, select_buffer_bytes
from planner.simulator.strides import view_strides
from planner.simulator.temporaries import Output, Step, nonzero

if TYPE_CHECKING:
    from planner.simulator.torch_adapters import FakeGpu

aten = torch.ops.aten


def type_name(tensor: torch.Tensor) -> str:
    """A tensor's dtype as text, such as "bfloat16"."""
    return str(tensor.dtype).removeprefix("torch.")


def _linear(gpu: FakeGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """aten.linear as C++ runs it on plain tensors.

    Its own decomposition adds the bias out of place for tensor subclasses (isTensorSubclassLike), which fake tensors
    are: one activation too many. Source: aten/src/ATen/native/Linear.cpp.
    """
    values, weight, bias = args[0], args[1], args[2] if len(args) > 2 else kwargs.get("bias")
    with gpu:
        if bias is None:
            return torch.matmul(values, weight.t())
        if values.dim() == 2:
            return torch.addmm(bias, values, weight.t())
        if values.is_contiguous():
            flat = torch.addmm(bias, values.reshape(-1, values.shape[-1]), weight.t())
            return flat.view(*values.shape[:-1], weight.shape[0])
        return _product(values, weight).add_(bias)


def _product(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Values @ weight.t(), where values are not contiguous.

    With a weight that wants gradients the values are copied to be one matrix, although no gradients are computed
    (should_fold in LinearAlgebra.cpp): that of a model which was loaded outside of inference mode. What an operation
    is given here wants none, so torch would not do it by itself.
    """
    if values.dim() < 3 or weight.is_inference() or not weight.requires_grad:
        return torch.matmul(values, weight.t())
    flat = torch.mm(values.reshape(-1, values.shape[-1]), weight.t())
    return flat.view(*values.shape[:-1], weight.shape[0])


def _view(gpu: FakeGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A view as C++ lays it out where Python would lay it out differently: with dimensions of size 1."""
    values, wanted = args
    if 1 not in values.shape or not values.numel() or values.is_contiguous():
        return NotImplemented
    if -1 in wanted:
        known = -math.prod(wanted)
        wanted = [values.numel() // known if size == -1 else size for size in wanted]
    strides = view_strides(values.shape, values.stride(), wanted)
    if strides is None:
        return NotImplemented
    with gpu:
        return aten.as_strided(values, wanted, strides)


def _scaled_dot_product(gpu: FakeGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Attention on the kernel that the GPU in question would run; aten/src/ATen/native/transformers/attention.cpp."""
    query, key, value = args[:3]
    mask = args[3] if len(args) > 3 else kwargs.get("attn_mask")
    scale = kwargs.get("scale")
    if query.device.type != "cuda":
        return NotImplemented
    kernel = choose_attention(
        capability=gpu.capability,
        dtype=type_name(query),
        head_dim=query.shape[-1],
        masked=mask is not None,
        forced=gpu.attention,
        prefer_cudnn=gpu.prefer_cudnn,
    )
    with gpu:
        if kernel == "math":
            return aten._scaled_dot_product_attention_math(query, key, value, mask, scale=scale)[0]
        if kernel == "flash":
            found = [*aten._scaled_dot_product_flash_attention(query, key, value, 0.0, False, False, scale=scale)]
        elif kernel == "cudnn":
            found = [
                *aten._scaled_dot_product_cudnn_attention(
                    query, key, value, mask, False, 0.0, False, False, scale=scale
                )
            ]
        else:
            found = [*aten._scaled_dot_product_efficient_attention(query, key, value, mask, False, scale=scale)]
    return _first(found)


def _first(results: list[Any]) -> Any:
    """The first; the rest die in order, as those of a C++ tuple do. Python's tuples end with their last."""
    while len(results) > 1:
        del results[1]
    return results[0]


def _scalar(gpu: FakeGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A number read from the GPU: its true value where torch knows it, else zero (False), stated by callers."""
    try:
        return func(*args, **kwargs)
    except (DataDependentOutputException, DynamicOutputShapeException):
        return 0.0 if args[0].dtype.is_floating_point else 0


def _nonzero(gpu: FakeGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """How many elements are kept depends on data: `kept_fraction` of them. The result is int64, one row for each."""
    values = args[0]
    count = values.numel()
    with gpu.silence():
        found = torch.empty((gpu.kept(count), values.dim()), dtype=torch.int64, device=values.device)
    steps: list[Step] = [Output(0)]
    if values.device.type == gpu.device == "cuda":
        steps = nonzero(count_buffer_bytes(count, gpu.multiprocessors), select_buffer_bytes(count))
    gpu.perform(steps, [found], "nonzero", gpu.component)
    return found


def _index(gpu: FakeGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Selection by a mask: torch turns it into selection by positions (expandTensors in IndexingUtils.h)."""
    values, indices = args
    if not any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices):
        return NotImplemented
    positions: list[Any] = []
    with gpu:
        for index in indices:
            if index is not None and index.dtype in (torch.bool, torch.uint8):
                positions.extend(aten.nonzero(index).unbind(1))
            else:
                positions.append(index)
        return aten.index(values, positions)


def _nms(gpu: FakeGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Non-maximum suppression: sorts, gathers, and marks overlaps in a bit matrix; keeps `kept_fraction`.

    Source: torchvision/csrc/ops/cuda/nms_kernel.cu.
    """
    boxes, scores = args[:2]
    with gpu:
        order = torch.sort(scores, descending=True)[1]
        ordered = torch.index_select(boxes, 0, order)
        count = boxes.shape[0]
        overlaps = torch.empty((count * -(-count // 64),), dtype=torch.int64, device=boxes.device)
        kept = torch.empty((gpu.kept(count),), dtype=torch.int64, device=boxes.device)
        del order, ordered, overlaps
        return kept


HANDLERS: dict[Any, Callable[..., Any]] = {
    aten.linear.default: _linear,
    aten.view.default: _view,
    aten.nonzero.default: _nonzero,
    aten.index.Tensor: _index,
    aten.scaled_dot_product_attention.default: _scaled_dot_product,
    aten._local_scalar_dense.default: _scalar,
}


def handle_torchvision() -> None:
    """Also follow torchvision's own operations; it must have been imported."""
    import torchvision  # noqa: F401  (registers its operations)

    HANDLERS.setdefault(torch.ops.torchvision.nms.default, _nms)
