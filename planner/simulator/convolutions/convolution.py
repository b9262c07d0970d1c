"""A convolution by everything that its workspace depends on, and which of torch's kernels runs it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

CUDNN, DEPTHWISE, SLOW = "cudnn", "depthwise", "slow"
"""Kernels of torch: cuDNN; conv_depthwise2d; slow_conv2d and slow_conv_transpose2d."""
ELEMENT_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """One call. Shapes are N, C, H, W; the weight's as torch keeps it (in, out / groups, H, W where transposed)."""

    dtype: str
    """Type of input, weight and output, such as "bfloat16"."""
    channels_last: bool
    """The layout in which torch hands all three to cuDNN."""
    input: Shape
    weight: Shape
    output: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int
    transposed: bool
    tf32: bool
    """Whether float32 may be multiplied as TF32 (torch.backends.cudnn.allow_tf32); always True for other dtypes."""

    @property
    def id(self) -> str:
        """All fields in one line, the same in every run."""
        words = (self.input, self.weight, self.output, self.stride, self.padding, self.dilation)
        shapes = " ".join("x".join(map(str, shape)) for shape in words)
        form = f"{'NHWC' if self.channels_last else 'NCHW'} {shapes} g{self.groups}"
        return f"{self.dtype}{'' if self.tf32 else '-exact'} {form}{' transposed' * self.transposed}"

    @property
    def is_product(self) -> bool:
        """Whether it is a product of matrices, which cuDNN may give to cublasLt."""
        return not self.transposed and set(self.weight[2:]) == set(self.stride) == {1} and not any(self.padding)

    @property
    def moved_bytes(self) -> int:
        """Input, output and weight together."""
        elements = prod(self.input) + prod(self.output) + prod(self.weight)
        return ELEMENT_BYTES.get(self.dtype, 4) * elements


def kernel_of(c: Convolution, capability: tuple[int, int]) -> str:
    """Which kernel torch takes on a GPU of that compute capability; CUDNN, DEPTHWISE or SLOW.

    Source: ConvParams::is_depthwise, use_cudnn, use_cudnn_depthwise and _select_conv_backend in
    aten/src/ATen/native/Convolution.cpp, torch 2.8 to 2.14, of one or two dimensions in space.
    """
    channels = c.input[1]
    depthwise = not c.transposed and c.groups > 1 and c.groups == channels and c.weight[0] % channels == 0
    if depthwise and not c.channels_last and not _depthwise_by_cudnn(c):
        return DEPTHWISE
    # "supportsBFloat16ConvolutionWithCuDNNv8": from 8.0 on.
    return SLOW if c.dtype == "bfloat16" and capability < (8, 0) else CUDNN


def _depthwise_by_cudnn(c: Convolution) -> bool:
    """Contiguous float16 with a small square filter: check_cudnn_depthwise_workload_with_filter."""
    square = c.weight[2] == c.weight[3] and c.weight[2] in (1, 3, 5)
    steady = c.stride[0] == c.stride[1] and c.stride[1] in (1, 2) and set(c.dilation) == {1}
    return c.dtype == "float16" and square and steady and c.input[1] >= 32 and c.input[3] >= 7


def slow_bytes(c: Convolution) -> tuple[int, int]:
    """Bytes of the columns, and of the ones, of a convolution that SLOW runs picture by picture.

    Sources: slow_conv2d_forward in cuda/ConvolutionMM2d.cu, where a 1x1 filter needs no columns;
    slow_conv_transpose2d_out_cuda_template in cuda/NaiveConvolutionTranspose2d.cu.
    """
    element = ELEMENT_BYTES.get(c.dtype, 4)
    taps = prod(c.weight[2:])
    if c.transposed:
        return c.output[1] * taps * prod(c.input[2:]) * element, prod(c.output[2:]) * element
    plain = taps == 1 and set(c.stride) == {1} and set(c.padding) == {0}
    return (0 if plain else c.input[1] * taps * prod(c.output[2:]) * element), 0
