"""What operations do to memory besides making their outputs: in which order, and with which buffers of their own.

A trace that follows outputs sees neither the buffers that a kernel takes and gives back, nor that outputs may be born
between them; both move blocks. Pure: sizes in, steps out. Each rule names its source below aten/src/ATen/native/, and
was found the same, in order, in the history of torch 2.14.1's own allocator.
"""

from __future__ import annotations

from typing import NamedTuple

BOOL_BYTES, INT_BYTES, FLOAT_BYTES, DOUBLE_BYTES = 1, 4, 4, 8


class Output(NamedTuple):
    """The output with this number is born."""

    number: int


class Take(NamedTuple):
    """A buffer is born. `name` tells it from the others of the operation."""

    name: str
    size_bytes: int


class Give(NamedTuple):
    """The buffer of that name dies."""

    name: str


Step = Output | Take | Give


def around(step: Step, name: str, size_bytes: int) -> list[Step]:
    """A buffer that is there while a step is done."""
    return [Take(name, size_bytes), step, Give(name)]


def within(name: str, size_bytes: int, outputs: int = 1) -> list[Step]:
    """A buffer that is there after the outputs were made, for the kernel alone."""
    return [*(Output(number) for number in range(outputs)), Take(name, size_bytes), Give(name)]


def layer_norm(copy_bytes: int) -> list[Step]:
    """native_layer_norm of an input that is not contiguous: copied first, kept while the kernel runs.

    cuda/layer_norm_kernel.cu, layer_norm_cuda: input.expect_contiguous().
    """
    return [Take("layer norm copy", copy_bytes), Output(0), Output(1), Output(2), Give("layer norm copy")]


def flash_attention(split_bytes: tuple[int, int]) -> list[Step]:
    """Flash attention: output and log-sum-exp, then the buffers of split keys, then the two numbers of the seed.

    transformers/cuda/flash_attn/flash_api.cpp, mha_fwd: set_params_splitkv comes after the outputs, and what it returns
    lives to the end of the function; the seed's tensors are made in between. Outputs: 0 the result, 1 the log-sum-exp,
    2 and 3 the seed.
    """
    sums, parts = split_bytes
    if not parts:
        return [Output(0), Output(1), Output(2), Output(3)]
    return [
        *(Output(0), Output(1), Take("flash split sums", sums), Take("flash split parts", parts)),
        *(Output(2), Output(3), Give("flash split sums"), Give("flash split parts")),
    ]


def safe_softmax(score_count: int, row_count: int, element_bytes: int) -> list[Step]:
    """Math attention's softmax looks for rows that are masked throughout: a bool for every score, and one for each row.

    SoftMax.cpp, _safe_softmax: out, self.eq(-inf), all(), a zero of the output's type, where().
    """
    return [
        *(Output(0), Take("masked scores", score_count * BOOL_BYTES), Take("masked rows", row_count * BOOL_BYTES)),
        *(Take("zero", element_bytes), Give("zero"), Give("masked rows"), Give("masked scores")),
    ]


def efficient_attention(accumulator_bytes: int) -> list[Step]:
    """Efficient attention: the seed's two numbers come before the output, and a wide head's accumulator last.

    transformers/cuda/attention.cu, _efficient_attention_forward. Outputs: 0 the result, 1 the log-sum-exp (empty in
    inference), 2 and 3 the seed.
    """
    steps: list[Step] = [Output(2), Output(3), Output(0), Output(1)]
    if accumulator_bytes:
        steps += [Take("efficient attention accumulator", accumulator_bytes), Give("efficient attention accumulator")]
    return steps


def cudnn_attention(workspace_bytes: int) -> list[Step]:
    """Attention by cuDNN: the seed's two numbers, the output, the plan's workspace; no log-sum-exp in inference.

    transformers/cuda/attention.cu, _cudnn_attention_forward, and cudnn/MHA.cpp, run_cudnn_SDP_fprop.
    Outputs: 0 the result, 2 and 3 the seed.
    """
    steps: list[Step] = [Output(2), Output(3), Output(0)]
    if workspace_bytes:
        steps += [Take("cuDNN attention workspace", workspace_bytes), Give("cuDNN attention workspace")]
    return steps


def reduction(cast_bytes: int, split_bytes: tuple[int, int], outputs: int = 1) -> list[Step]:
    """A sum, a maximum and the like. All of it to the end.

    Elements that are not of the type it works in are cast first, and what blocks that share an output leave for each
    other lies in a buffer with semaphores (reductions.py). ReduceOpsUtils.h, make_reduction: the output exists when
    self.to(in_dtype) is called; cuda/Reduce.cuh, gpu_reduce_kernel.
    """
    sizes = (("reduction cast", cast_bytes), ("shared outputs", split_bytes[0]), ("semaphores", split_bytes[1]))
    taken = [(name, size_bytes) for name, size_bytes in sizes if size_bytes]
    steps: list[Step] = [Output(number) for number in range(outputs)]
    steps += [Take(name, size_bytes) for name, size_bytes in taken]
    return steps + [Give(name) for name, _ in reversed(taken)]


def affine_grid(base_bytes: int, across_bytes: int, down_bytes: int) -> list[Step]:
    """Where each pixel of an output is looked up: from a grid of places in three coordinates, kept to the end.

    AffineGridGenerator.cpp, make_base_grid_4D: a line of places across, and one down, each scaled to pixels' centres.
    """
    lines: list[Step] = []
    for name, size_bytes in (("across", across_bytes), ("down", down_bytes)):
        lines += [Take(name, size_bytes), Take(f"{name} scaled", size_bytes), Take(f"{name} centred", size_bytes)]
        lines += [Give(name), Give(f"{name} scaled"), Give(f"{name} centred")]
    return [Take("base grid", base_bytes), *lines, Output(0), Give("base grid")]


def scalar_base(element_bytes: int) -> list[Step]:
    """A number to the power of a tensor: the number becomes a tensor on the device. Pow.cpp, pow_Scalar_out."""
    return within("power base", element_bytes)


def where(cast_bytes: int) -> list[Step]:
    """A choice between two types: one is cast before the output is made. TensorCompare.cpp, where_self_out."""
    return around(Output(0), "where cast", cast_bytes)


def nonzero(count_bytes: int, select_bytes: int) -> list[Step]:
    """The positions of what is not zero: counted first, then listed. cuda/Nonzero.cu, nonzero_cuda_out_impl."""
    return [
        *(Take("number of nonzeros", INT_BYTES), Take("counting", count_bytes), Give("counting"), Output(0)),
        *(Take("selecting", select_bytes), Give("selecting"), Give("number of nonzeros")),
    ]


def slow_convolution(columns_bytes: int, ones_bytes: int) -> list[tuple[str, int]]:
    """Buffers of a convolution that cuDNN does not run, in the order in which they are born; they die in reverse.

    cuda/ConvolutionMM2d.cu and cuda/NaiveConvolutionTranspose2d.cu: the input, or for a transposed one the output, as
    columns; the latter with ones for the bias. The products run on cuBLAS.
    """
    return [(name, size) for name, size in (("columns", columns_bytes), ("ones", ones_bytes)) if size]
