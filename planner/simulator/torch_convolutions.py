"""Convolutions as torch runs them on a GPU: the layout it chooses, the copies it makes, the output, the workspace.

Private parts of torch used: _prims_common.suggest_memory_format, _meta_registrations.calc_conv_nd_return_shape.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch._meta_registrations import calc_conv_nd_return_shape
from torch._prims_common import suggest_memory_format

from planner.simulator.convolutions.asking import Installed, find_library
from planner.simulator.convolutions.convolution import CUDNN, SLOW, Convolution, kernel_of, slow_bytes
from planner.simulator.temporaries import slow_convolution

if TYPE_CHECKING:
    from planner.simulator.torch_adapters import FakeGpu


def installed_cudnn() -> Installed | None:
    """The cuDNN behind the installed torch, None for a torch without CUDA or where its library is not found."""
    if torch.version.cuda is None:
        return None
    try:
        version = torch.backends.cudnn.version()
    except RuntimeError:  # another version than torch was built for; torch would not run with it either
        return None
    library = find_library(Path(torch.__file__).parent)
    return Installed(library, version) if library is not None and version is not None else None


def convolve(gpu: FakeGpu, args: tuple[Any, ...]) -> torch.Tensor:
    """The output of aten.convolution; its birth and those around it are recorded.

    In torch's order: the input copied into the layout, the output, the weight copied, the workspace; given back from
    the last to the first (_convolution in aten/src/ATen/native/Convolution.cpp, cudnn_convolution_forward in
    cudnn/ConvShared.cpp; so too in the history of torch 2.14.1's allocator). The bias is added in place.
    """
    values, weight = args[:2]
    call = described(args)
    kernel = kernel_of(call, gpu.capability)
    form = torch.channels_last if call.channels_last and kernel == CUDNN else torch.contiguous_format
    with gpu.silence():
        output = torch.empty(call.output, dtype=values.dtype, device=values.device, memory_format=form)
    if not output.numel():
        return output
    with _copied(gpu, values, form):
        gpu.birth(output, "convolution", gpu.component)
        with _copied(gpu, weight, form):
            if kernel == SLOW:
                slow_buffers(gpu, call)
            elif gpu.convolutions is not None:
                gpu.scratch(gpu.convolutions.bytes(call), "convolution workspace")
    return output


def slow_buffers(gpu: FakeGpu, call: Convolution) -> None:
    """What slow_conv2d and slow_conv_transpose2d take beside the output: columns, ones, cuBLAS's workspace."""
    taken = [gpu.record(size, name, "workspaces") for name, size in slow_convolution(*slow_bytes(call))]
    gpu.take_blas_workspace("mm")
    for index in reversed(taken):
        gpu.trace.died(index)


@contextlib.contextmanager
def _copied(gpu: FakeGpu, tensor: torch.Tensor, form: torch.memory_format) -> Iterator[None]:
    """While the kernel runs there is a copy of a tensor that is not dense in this layout."""
    if tensor.is_contiguous(memory_format=form):
        yield
        return
    index = gpu.record(tensor.numel() * tensor.element_size(), "convolution copy", "workspaces")
    yield
    gpu.trace.died(index)


def described(args: tuple[Any, ...]) -> Convolution:
    """The call, in the layout that cudnn_conv_suggest_memory_format chooses: channels-last if either has it."""
    values, weight, _, stride, padding, dilation, transposed, output_padding, groups = args
    shape = calc_conv_nd_return_shape(
        values, weight, stride, padding, dilation, transposed, groups, output_padding if transposed else None
    )
    return Convolution(
        dtype=str(values.dtype).removeprefix("torch."),
        channels_last=torch.channels_last in (suggest_memory_format(values), suggest_memory_format(weight)),
        input=tuple(values.shape),
        weight=tuple(weight.shape),
        output=tuple(shape),
        stride=tuple(stride),
        padding=tuple(padding),
        dilation=tuple(dilation),
        groups=groups,
        transposed=bool(transposed),
        tf32=values.dtype != torch.float32 or torch.backends.cudnn.allow_tf32,
    )
