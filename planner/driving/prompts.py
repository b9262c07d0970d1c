"""The prompts of a run: a box, a point or a mask for each object, all on the first frame."""

from __future__ import annotations

import numpy

from planner.nouns.run import Run

SHIFTS = 32
"""Boxes of so many objects differ, by a pixel each, where the picture has room for it."""


def boxes(run: Run) -> numpy.ndarray:
    """N×4 float32 in source pixels, one for each object: x0, y0, x1, y1."""
    height, width = run.workload.frame_size
    corners = numpy.array([width * 0.3, height * 0.3, width * 0.6, height * 0.6], dtype=numpy.float32)
    shifts = max(1, min(SHIFTS, int(min(height, width) * 0.4)))
    return corners + numpy.arange(run.workload.objects, dtype=numpy.float32)[:, None] % shifts


def points(run: Run) -> numpy.ndarray:
    """N×2 float32 in source pixels: the first corner of each box."""
    return boxes(run)[:, :2]
