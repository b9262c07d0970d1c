"""What bytes grow with, as one set of formulas for numbers and for numpy arrays.

Planning evaluates thousands of configurations without numpy (its import would cost more than the plan), tables
evaluate a hundred thousand at once with it; both go through the functions here, which use only arithmetic and the
few operations of `Operations`. No feature falls where more is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from planner.memory_model import arrays
from planner.nouns.words import Runtime, Task

Number = Any
"""An int, float or bool, or a numpy array of them."""


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

    pixels: Number
    """Pixels of the resolution."""
    object_batch: Number
    offload_video: Number
    offload_state: Number
    objects: Number
    frames: Number
    """Already a large number for a clip without end."""
    frame_pixels: Number
    kept_bytes: Number = 0
    """What transformers or Ultralytics keeps for ever on the GPU of one object and frame."""
    frame_bytes: Number = 0
    """What transformers keeps on the GPU of one frame of the clip."""
    given_frames: Number = 0
    """Frames that transformers is given at once: the whole clip, or none of it."""
    prepared: Number = 0
    """Whether its processor prepares them on the GPU."""
    held_pixels: Number = 0
    """Of models beside SAM 2: pixels of a frame whose image features stay on the GPU until the next one's are there."""
    fetched_pixels: Number = 0
    """The same where they, and all that is read, wait on the host (inference_state_device)."""


FRAMES, MEMORY_BANK, OUTPUT_MASKS, FURTHER_PASSES, KEPT_MASKS, LENGTHENED, PREPARED, PREPARING = (
    "frames",
    "memory bank",
    "output masks",
    "further objects of a pass",
    "kept masks",
    "lists that were lengthened",
    "frames being prepared",
    "segments of frames being prepared",
)
"""Names of features: what a share of the bytes is."""
STRIPS = "strips of masks"
STRIPS_FROM, STRIPS_TO = 720 * 1280, 1080 * 1920
"""Pixels of the picture between which our automatic masks take more in strips than as they come: 270 MiB at 64 points,
whatever the variant, in the rows; none up to the one and no more beyond the other."""
POINTS = (1, 2, 4, 8, 16, 32, 64)
"""Automatic masks' points of a pass between which bytes grow straight: small lists cost more for each point."""
ANY_RESOLUTION = 1024 * 1024
"""Pixels in whose place a step counts that does not grow with the resolution."""
PASSES = (1, 2, 3, 4, 5, 8, 16)
"""Objects of a pass of our video between which bytes grow straight, by the resolution and beside it: kernels split
their work otherwise for few."""
PASS_STEPS = tuple(f"objects of a pass from {low} to {high}" for low, high in pairwise(PASSES))
POINT_STEPS = tuple(f"points from {low} to {high}" for low, high in pairwise(POINTS))
SMALL_BANK, LARGE_BANK = "memory bank in the small pool", "memory bank in the large pool"
"""The memory bank, by the pool of the allocator that its blocks are of."""
HELD_FEATURES, FETCHED = "image features of the frame before", "features and memories from the host"
SOURCE_PICTURE, STREAMING, READING = "a picture of the source", "streaming", "memories that are read"
ARRAYS = (FRAMES, MEMORY_BANK, OUTPUT_MASKS, KEPT_MASKS, PREPARED)
"""Features that are components of an estimate; the others grow its activations."""


def features(runtime: Runtime, task: Task, q: Quantities, ops: Operations) -> dict[str, Number]:
    """Bytes of known arrays that a runtime holds for a task, and pixels that its passes share, by name.

    A coefficient near 1 for an array says that it is held whole; the regression decides. `runtime` as in domain.
    """
    if runtime == "transformers":
        return _transformers(task, q, ops)
    if runtime == "ultralytics":
        return _ultralytics(task, q, ops)
    stock = runtime == "stock"
    if task == "video":
        return _stock_video(q, ops) if stock else _own_video(q, ops)
    if task == "image":
        passes = q.objects if stock else ops.minimum(q.object_batch, q.objects)
        together = passes if stock else 1
        return {
            FURTHER_PASSES: (passes - 1) * q.pixels,
            OUTPUT_MASKS: arrays.output_masks(together, q.frame_pixels),
        }
    masks = arrays.CANDIDATE_MASKS * q.object_batch
    one, every = arrays.output_masks(1, q.frame_pixels), arrays.output_masks(masks, q.frame_pixels)
    outputs = every if stock else ops.maximum(one, ops.minimum(every, arrays.ENLARGED_BYTES))
    found = {OUTPUT_MASKS: outputs}
    if not stock:
        found[STRIPS] = ops.minimum(ops.maximum(q.frame_pixels - STRIPS_FROM, 0), STRIPS_TO - STRIPS_FROM)
    for name, steps in _steps(POINT_STEPS, POINTS, q.object_batch, ops):
        found[name], found[f"{name}, at any resolution"] = steps * q.pixels, steps * ANY_RESOLUTION
    if stock:
        # Each pass makes a new, longer list of what is kept; the shorter ones are cache that torch gives back, so that
        # fewer points in a pass never take more.
        found[KEPT_MASKS] = arrays.kept_masks(q.pixels)
    return found


def _own_video(q: Quantities, ops: Operations) -> dict[str, Number]:
    """The bank is bounded, frames are streamed, masks leave object by object."""
    passes = ops.minimum(q.object_batch, q.objects)
    # On the host, all but the last masks: what the next pass will read comes back while this one computes, and what
    # the last one read is still held by the stream that brought it. (Where one pass takes all, nothing comes back; a
    # smaller pass must not take more, so that this is not counted.)
    masks = q.objects * arrays.low_resolution_mask(q.pixels)
    memories, waiting = _read(q, ops) - arrays.low_resolution_mask(q.pixels), q.objects - 1
    held = memories * ops.where(q.offload_state, ops.minimum(passes, waiting), q.objects)
    reached = memories * ops.where(q.offload_state, ops.minimum(2 * passes, waiting), q.objects)
    small = arrays.memory_per_frame(q.pixels) <= arrays.SMALL_BLOCK
    found = {MEMORY_BANK: masks + held, OUTPUT_MASKS: arrays.output_masks(1, q.frame_pixels)}
    found[SMALL_BANK] = masks + ops.where(small, reached, 0 * reached)
    found[LARGE_BANK] = ops.where(small, 0 * reached, reached)
    for name, steps in _steps(PASS_STEPS, PASSES, passes, ops):
        found[name], found[f"{name}, at any resolution"] = steps * q.pixels, steps * ANY_RESOLUTION
    return found


def _steps(names: Sequence[str], knots: Sequence[int], count: Number, ops: Operations) -> Iterator[tuple[str, Number]]:
    """How much of `count` lies between each two knots, by name; what lies beyond the last counts with the last two."""
    for name, (low, high) in zip(names, pairwise(knots), strict=True):
        reached = count if high == knots[-1] else ops.minimum(count, high)
        yield name, ops.maximum(reached - low, 0)


def _stock_video(q: Quantities, ops: Operations) -> dict[str, Number]:
    """All frames and all state stay, on the GPU unless they are offloaded; objects go one by one."""
    everything = q.objects * q.frames * arrays.stock_state(q.pixels)
    return {
        FRAMES: arrays.frames(ops.where(q.offload_video, 1, q.frames), q.pixels),
        # On the host, the memories of the object at work still come to the GPU to be read.
        MEMORY_BANK: ops.where(q.offload_state, _read(q, ops), everything),
        OUTPUT_MASKS: arrays.output_masks(q.objects, q.frame_pixels),
        # Each prompt writes out the masks of all objects so far, which no segment of the shorter list can hold.
        LENGTHENED: arrays.output_masks(q.objects * (q.objects + 1) / 2, q.frame_pixels),
    }


def _transformers(task: Task, q: Quantities, ops: Operations) -> dict[str, Number]:
    """All state stays, and all frames; objects go one by one, but into the memory encoder and out of it together."""
    found = {FURTHER_PASSES: (q.objects - 1) * q.pixels, OUTPUT_MASKS: 0 * q.pixels}
    if task == "video":
        found[OUTPUT_MASKS] = arrays.output_masks(q.objects, q.frame_pixels)
        found[MEMORY_BANK] = q.objects * q.frames * q.kept_bytes
        found[FRAMES] = q.frames * q.frame_bytes
        one = arrays.prepared_frame(q.pixels, q.frame_pixels, ops.maximum)
        found[PREPARED] = q.given_frames * ops.where(q.prepared, one, q.frame_bytes)
        segments = arrays.prepared_segments(q.pixels, q.frame_pixels, ops.where)
        found[PREPARING] = q.given_frames * ops.where(q.prepared, segments, q.frame_bytes)
        # Streaming, the processor takes the one that comes.
        found[SOURCE_PICTURE] = ops.where(q.given_frames > 0, 0, q.frame_pixels)
        found[READING] = (ops.minimum(q.frames, arrays.MEMORY_FRAMES) - 1) * q.pixels
        found[STREAMING] = ops.where(q.given_frames > 0, 0, q.pixels)
        found[HELD_FEATURES], found[FETCHED] = q.held_pixels, q.fetched_pixels
    return found


def _ultralytics(task: Task, q: Quantities, ops: Operations) -> dict[str, Number]:
    """Objects go together; of a video the last frames are kept, or all of them."""
    found = {
        FURTHER_PASSES: (q.objects - 1) * q.pixels,
        OUTPUT_MASKS: arrays.output_masks(q.objects, q.frame_pixels),
    }
    if task == "video":
        found[MEMORY_BANK] = q.objects * q.frames * q.kept_bytes
        # What the attention of all objects takes grows with the memories that each reads.
        found[READING] = q.objects * (ops.minimum(q.frames, arrays.MEMORY_FRAMES) - 1) * q.pixels
    return found


def _read(q: Quantities, ops: Operations) -> Number:
    memories = ops.minimum(q.frames, arrays.MEMORY_FRAMES)
    return arrays.read_state(q.pixels, memories, ops.minimum(q.frames, arrays.POINTER_FRAMES))
