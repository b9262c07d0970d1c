"""Where a view's elements lie: the strides that C++ gives it. Pure.

Tensors without data get theirs from Python, which gives dimensions of size 1 others; and by these ATen decides whether
a tensor counts as channels-last, and so which copies a convolution makes.
"""

from __future__ import annotations

from collections.abc import Sequence


def view_strides(shape: Sequence[int], strides: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...] | None:
    """Strides, in elements, of a tensor of `shape` and `strides` seen as of shape `wanted`; None where no view can be.

    `wanted` holds no -1, and neither shape a 0. aten/src/ATen/TensorUtils.cpp, computeStride_impl.
    """
    result = [0] * len(wanted)
    left = len(wanted) - 1
    base = strides[-1] if strides else 1
    elements = covered = 1
    for dimension in range(len(shape) - 1, -1, -1):
        elements *= shape[dimension]
        ends = dimension == 0 or (shape[dimension - 1] != 1 and strides[dimension - 1] != elements * base)
        if not ends:
            continue
        while left >= 0 and (covered < elements or wanted[left] == 1):
            result[left] = covered * base
            covered *= wanted[left]
            left -= 1
        if covered != elements:
            return None
        if dimension > 0:
            base = strides[dimension - 1]
            elements = covered = 1
    return None if left != -1 else tuple(result)
