"""What a sum, a maximum or a count takes on a GPU beside its output, where many blocks share one output. Pure.

The kernel is cut as setReduceConfig cuts it in
https://github.com/pytorch/pytorch/blob/v2.8.0/aten/src/ATen/native/cuda/Reduce.cuh; the buffers were found the same for
350 reductions in the history of torch 2.14.1's own allocator (tests/simulator/test_reductions.py has some of them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WARP = 32
MOST_THREADS = 512
"""Of a block; each thread of one that loads several outputs at once counts for so many."""
VECTOR = 4
LEAST_VALUES, MOST_VALUES = 16, 256
"""Of a thread: with fewer another block is no help, with more one is looked for."""
SEMAPHORE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Dimension:
    """One of the array that is reduced."""

    size: int
    stride: int
    """In elements."""
    reduced: bool


def split_bytes(
    dimensions: Sequence[Dimension], offset: int, value_bytes: int, multiprocessors: int, threads: int
) -> tuple[int, int]:
    """Bytes of the buffer and of the semaphores with which blocks share outputs; (0, 0) where each output has its own.

    `offset`: of the array's first element in its storage. `value_bytes`: of what a thread accumulates. `threads`: that
    a multiprocessor holds.
    """
    dims = _merged(dimensions)
    inner = [one for one in dims if one.reduced]
    outer = [one for one in dims if not one.reduced]
    inputs, outputs = _product(inner), _product(outer)
    if not inputs or not outputs:
        return (0, 0)
    along = not outer or (bool(inner) and inner[0].stride < outer[0].stride)
    width, height = (inputs, outputs) if along else (outputs, inputs)
    vector = 1
    if along and inner and inner[0].stride == 1 and inputs > 128 and len(dims) == 1:
        width //= VECTOR
    elif not along and outer[0].stride == 1:
        vector = _vector(dims, outer[0], offset)
        width //= vector
    block_width, block_height = _block(width, height, MOST_THREADS // vector)
    step_input, step_output = (block_width, 1) if along else (1, block_width)
    if _per(inputs, step_input) < min(block_height * LEAST_VALUES, MOST_VALUES):
        return (0, 0)
    step_input *= block_height
    values = _per(inputs, step_input)
    blocks = multiprocessors * (threads // (block_width * block_height))
    grid = _per(outputs // vector, step_output)
    if values < MOST_VALUES or grid > blocks:
        return (0, 0)
    shared_by = max(min(_per(blocks, grid), _per(values, LEAST_VALUES)), _per(values, MOST_VALUES))
    if shared_by <= 1:
        return (0, 0)
    size = value_bytes * outputs * shared_by
    return (size if along else size * block_width * vector, SEMAPHORE_BYTES * grid)


def _merged(dimensions: Sequence[Dimension]) -> list[Dimension]:
    """Those reduced first, the innermost first, and such as one where they lie as one; without those of size 1."""
    merged: list[Dimension] = []
    wanted = [one for one in dimensions if one.size != 1]
    for one in sorted(wanted, key=lambda one: (not one.reduced, one.stride)):
        last = merged[-1] if merged else None
        if last is not None and last.reduced == one.reduced and last.stride * last.size == one.stride:
            merged[-1] = Dimension(last.size * one.size, last.stride, one.reduced)
        else:
            merged.append(one)
    return merged


def _vector(dims: Sequence[Dimension], along: Dimension, offset: int) -> int:
    """How many outputs a thread loads at once: a power of two that all it depends on is a multiple of."""
    vector = VECTOR
    for number in (offset, along.size, *(one.stride for one in dims if one is not along)):
        while number % vector:
            vector //= 2
    return vector


def _block(width: int, height: int, most: int) -> tuple[int, int]:
    """Threads of a block, in both directions."""
    wide, high = _power(min(width, most)), _power(min(height, most))
    block_width = min(wide, WARP)
    block_height = min(high, most // block_width)
    return min(wide, most // block_height), block_height


def _power(number: int) -> int:
    return 1 << (max(1, number).bit_length() - 1)


def _per(number: int, step: int) -> int:
    return -(-number // step)


def _product(dims: Sequence[Dimension]) -> int:
    product = 1
    for one in dims:
        product *= one.size
    return product
