"""What no law was fitted to: the scores of math attention, and where more is asked for than was run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from planner.memory_model import arrays
from planner.memory_model.features import OUTPUT_MASKS, POINTS, Operations, Quantities
from planner.memory_model.laws import Group
from planner.nouns.run import Configuration, Workload
from planner.nouns.words import OTHER_RUNTIMES, Runtime, Task

USUAL_FRAME_PIXELS = 1080 * 1920
USUAL_MASKS_BYTES = USUAL_FRAME_PIXELS * 4
"""One mask of a usual picture, float32: it fits into what the encoder leaves at any resolution."""


class Scores(NamedTuple):
    """Bytes that math attention takes for scores."""

    encode: Any
    """Held at once in encode."""
    track: Any
    """Held at once in track."""
    cached: Any
    """What the allocator may keep of track: each frame's are longer than those before, until the bank is full."""


NO_SCORES = Scores(0.0, 0.0, 0.0)


def reserved_scores(scores: Scores, ops: Operations) -> Any:
    """What the allocator reserves for them: those of the encoder, or of every length, no two of which share a block."""
    return ops.maximum(scores.encode, scores.cached)


def math_scores(task: Task, q: Quantities, heads: Any, ops: Operations) -> Scores:
    """What math attention takes."""
    encode = arrays.encoder_scores(q.pixels, heads)
    if task != "video":
        return Scores(encode, 0.0 * q.pixels, 0.0 * q.pixels)
    passes = ops.minimum(q.object_batch, q.objects)
    # The first frame, which the prompts are for, reads no memory.
    memories = ops.minimum(q.frames - 1, arrays.MEMORY_FRAMES)
    track = ops.where(memories > 0, passes * arrays.memory_scores(q.pixels, memories), 0.0)
    return Scores(encode, track, passes * arrays.lengthening_scores(q.pixels, memories))


def is_usual(task: Task, runtime: Runtime, q: Quantities, grown: Mapping[str, Any], run: Any, math: Any) -> Any:
    """Whether a run is of the kind that is known best: at a resolution that was run, as planning proposes it first.

    run: whether the resolution was. Its masks, then, are no more than what the encoder leaves, so that it is a table
    that says what is reserved, and nothing that was added up.
    """
    if task == "automask":
        few = (q.object_batch == POINTS[-1]) & (q.frame_pixels <= USUAL_FRAME_PIXELS)
    elif task == "video" and runtime == "own":
        few = (q.object_batch == 1) & (grown[OUTPUT_MASKS] <= USUAL_MASKS_BYTES)
    elif runtime in OTHER_RUNTIMES:
        few = q.objects > 0  # nothing is proposed of them: all that people ask for is alike
    else:
        few = grown[OUTPUT_MASKS] <= USUAL_MASKS_BYTES
    return run & few & (math == 0)


def is_beyond(group: Group, q: Quantities) -> Any:
    """Whether more is asked for than was fitted to."""
    more_pixels, more_objects = q.pixels > group.largest_pixels, q.objects > group.largest_objects
    return more_pixels | more_objects | (q.frame_pixels > group.largest_frame_pixels)


def extrapolated(group: Group, configuration: Configuration, workload: Workload) -> tuple[str, ...]:
    """Why the estimate lies outside what was fitted to; empty if it does not."""
    height, width = configuration.resolution
    reasons = []
    if height * width > group.largest_pixels:
        reasons.append(f"more pixels than any that was {group.provenance}")
    if configuration.attention == "math":
        reasons.append(f"math attention was not {group.provenance}")
    if workload.remembered_objects > group.largest_objects:
        reasons.append(f"more objects than any that was {group.provenance}")
    if workload.frame_size[0] * workload.frame_size[1] > group.largest_frame_pixels:
        reasons.append(f"a larger picture than any that was {group.provenance}")
    return tuple(reasons)
