"""Bytes by phase and component, as one set of formulas for numbers and for numpy arrays.

Planning evaluates thousands of configurations without numpy (its import would cost more than the plan),
tables evaluate a hundred thousand at once with it; both go through the functions here, which use only
arithmetic and the few operations of `Operations`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from planner.memory_model import arrays
from planner.memory_model.coefficients import Coefficients

Number = Any
"""An int, float or bool, or a numpy array of them."""

CUBLAS_WORKSPACE_BYTES = 8_519_680
"""Per handle and stream, kept once taken: 4096 KiB x 2 + 16 KiB x 8, aten/src/ATen/cuda/CublasHandlePool.cpp."""
HOPPER_CUBLAS_WORKSPACE_BYTES = 32 * 2**20
"""The same for compute capability 9, 10 and 12."""
AUTOCAST_ACTIVATION_FACTOR = 1.5
"""Assumed: autocast keeps layer norms, softmax and the residual sums in float32 and the rest in half."""
FLOAT32_ACTIVATION_FACTOR = 2.0
"""The same tensors, four bytes instead of two."""


class Operations(NamedTuple):
    """What the formulas need beyond arithmetic."""

    maximum: Callable[[Number, Number], Number]
    minimum: Callable[[Number, Number], Number]
    where: Callable[[Number, Number, Number], Number]
    ceil: Callable[[Number], Number]


def _where(condition: Any, yes: Any, no: Any) -> Any:
    return yes if condition else no


SCALAR = Operations(max, min, _where, math.ceil)


class Quantities(NamedTuple):
    """One configuration and workload as numbers (or columns of them)."""

    parameters: Number
    embed_dim: Number
    heads: Number
    height: Number
    width: Number
    half_weights: Number
    """float16 or bfloat16 weights; else float32."""
    autocast: Number
    measured_precision: Number
    math_attention: Number
    object_batch: Number
    bounded: Number
    stock: Number
    """The opposite of `bounded`."""
    offload_video: Number
    offload_state: Number
    objects: Number
    frames: Number
    """Already a large number for a clip without end."""
    frame_pixels: Number
    workspace: Number


class Part(NamedTuple):
    """Some of a phase's bytes."""

    name: str
    bytes: Number
    upper: Number
    """One-sided bound of `bytes`."""
    provenance: str
    slack: bool
    """Whether the allocator's reserve grows with it: weights and short-lived tensors, not long-lived arrays."""


def encoder_features(
    pixels: Number, embed_dim: Number, c: Coefficients, ops: Operations, whole_step: Number = False
) -> tuple[Number, ...]:
    """What the encoder's activations are regressed on: 1, the step, pixels, pixels x channels.

    `whole_step`: the step is there at any resolution, as it is in stock sam2 (docs/log.md, positional tables).
    """
    low, high = c.step_pixels
    step = ops.minimum(ops.maximum((pixels - low) / (high - low), 0.0), 1.0)
    return 1.0, ops.where(whole_step, 1.0, step), pixels, pixels * embed_dim


def encoder_activations(
    pixels: Number, embed_dim: Number, c: Coefficients, ops: Operations, whole_step: Number = False
) -> Number:
    """Activations of the image encoder in float16 at the peak, bytes."""
    one, step, per_pixel, per_channel = encoder_features(pixels, embed_dim, c, ops, whole_step)
    return (
        c.constant_bytes * one
        + c.step_bytes * step
        + c.per_pixel_bytes * per_pixel
        + c.per_pixel_channel_bytes * per_channel
    )


def encoder_activations_upper(q: Quantities, c: Coefficients, ops: Operations) -> Number:
    """Bound of the float16 activations: those of the next measured resolution that this one fits into.

    Interpolation between published resolutions is not trusted (leaving 1024x1024 out shows why), only order.
    """
    shorter, longer = ops.minimum(q.height, q.width), ops.maximum(q.height, q.width)
    pixels = q.height * q.width
    bound = encoder_activations(pixels, q.embed_dim, c, ops, q.stock) * (1 + c.margin_beyond)
    for height, width in reversed(c.measured_resolutions):
        measured = encoder_activations(height * width, q.embed_dim, c, ops, q.stock) * (1 + c.margin_measured)
        if (height, width) == c.measured_resolutions[-1]:
            bound = ops.maximum(bound, measured)
        bound = ops.where((shorter <= height) & (longer <= width), measured, bound)
    return bound


def phases(task: str, q: Quantities, c: Coefficients, ops: Operations) -> Iterator[tuple[str, list[Part]]]:
    """The phases of a run in order, each with what is allocated at its peak."""
    pixels = q.height * q.width
    weights = q.parameters * ops.where(q.half_weights, 2, 4)
    item = ops.where(q.half_weights | q.autocast, 2, 4)
    wider = 1 + c.margin_unmeasured
    base = [_exact("weights", weights, "published", True, ops)]
    yield "load", base
    video = _exact("frames", _frames(q, pixels, ops), "derived", False, ops)
    if task == "video":
        yield "init", [*base, video]
    base = [
        *base,
        _exact("autocast copies", q.parameters * ops.where(q.autocast, 2, 0), "derived", True, ops),
        _exact("workspace", q.workspace, "published", False, ops),
    ]
    if task == "video":
        base += [video, _exact("memory bank", _memory_bank(q, pixels, ops), "derived", False, ops)]
    scores = arrays.encoder_scores(pixels, q.heads, item) * ops.where(q.math_attention, 1, 0)
    yield "encode", [*base, _activations(q, pixels, c, ops), _guess("attention scores", scores, wider, ops)]
    base = [*base, _guess("image features", arrays.image_features(pixels, item), wider, ops)]
    passes = q.object_batch if task == "automask" else ops.minimum(q.object_batch, q.objects)
    if task == "video":
        tracking = passes * (arrays.memory_attention(pixels, item) + arrays.mask_decoder(pixels, item))
        scores = passes * arrays.memory_scores(pixels, item) * ops.where(q.math_attention, 1, 0)
        yield (
            "track",
            [*base, _guess("tracking", tracking, wider, ops), _guess("attention scores", scores, wider, ops)],
        )
        outputs = arrays.output_masks(q.objects, q.frame_pixels)
        yield "output", [*base, _exact("output masks", outputs, "derived", False, ops)]
        return
    decoding = passes * arrays.mask_decoder(pixels, item)
    yield "prompt", [*base, _guess("mask decoder", decoding, wider, ops)]
    outputs = _exact("output masks", arrays.output_masks(3 * passes, q.frame_pixels), "derived", False, ops)
    if task == "image":
        yield "output", [*base, outputs]
        return
    # At worst every mask is kept: filtering a batch copies its masks while they are still held, the low-resolution
    # masks of all batches pile up, and suppressing duplicates copies these in float32
    # (sam2/automatic_mask_generator.py, _process_batch and _process_crop; sam2/utils/amg.py, MaskData.filter).
    piled = arrays.kept_masks(pixels, item)
    yield (
        "filter",
        [
            *base,
            outputs._replace(slack=True),
            _exact("mask copies", outputs.bytes, "assumed", True, ops),
            _exact("kept masks", piled, "assumed", False, ops),
        ],
    )
    yield "output", [*base, _exact("kept masks", 2 * arrays.kept_masks(pixels, arrays.FLOAT32), "assumed", False, ops)]


def _frames(q: Quantities, pixels: Number, ops: Operations) -> Number:
    """Decoded frames on the GPU: all of them only on the stock predictor without offload."""
    return arrays.frames(ops.where(q.bounded | q.offload_video, 1, q.frames), pixels)


def _memory_bank(q: Quantities, pixels: Number, ops: Operations) -> Number:
    kept = ops.minimum(q.frames, arrays.MEMORY_FRAMES) * arrays.memory_per_frame(pixels)
    kept = kept + ops.minimum(q.frames, arrays.POINTER_FRAMES) * arrays.pointer()
    everything = q.frames * arrays.stock_state(pixels)
    current = arrays.low_resolution_mask(pixels)
    on_gpu = q.objects * ops.where(q.bounded, kept + current, everything)
    # On the host, the memories of the pass at work still come to the GPU to be read.
    return ops.where(q.offload_state, ops.minimum(q.object_batch, q.objects) * (kept + current), on_gpu)


def _activations(q: Quantities, pixels: Number, c: Coefficients, ops: Operations) -> Part:
    """Encoder activations. No tensor is wider than float32, so its doubling bounds autocast too."""
    half = encoder_activations(pixels, q.embed_dim, c, ops, q.stock)
    factor = ops.where(
        q.half_weights, 1.0, ops.where(q.autocast, AUTOCAST_ACTIVATION_FACTOR, FLOAT32_ACTIVATION_FACTOR)
    )
    upper = encoder_activations_upper(q, c, ops) * ops.where(
        q.measured_precision, 1.0, FLOAT32_ACTIVATION_FACTOR * (1 + c.margin_unmeasured)
    )
    return Part("activations", ops.ceil(half * factor), ops.ceil(upper), "published", True)


def _exact(name: str, size: Number, provenance: str, slack: bool, ops: Operations) -> Part:
    size = ops.ceil(size)
    return Part(name, size, size, provenance, slack)


def _guess(name: str, size: Number, wider: float, ops: Operations) -> Part:
    return Part(name, ops.ceil(size), ops.ceil(size * wider), "derived", True)
