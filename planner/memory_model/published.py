"""The laws of the published re-implementation, from the few rows that are known of it.

The nine image rows have a simple shape: what remains beside the weights is a constant, a step between 576x1024 and
1024x1024, and pixels times a line in the width of the encoder's first stage (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from planner.catalog import Catalog
from planner.errors import PlannerError
from planner.memory_model.contexts import context_on
from planner.memory_model.curves import rounded
from planner.memory_model.estimator import MemoryModel
from planner.memory_model.features import MEMORY_BANK
from planner.memory_model.laws import OTHER_PROGRAM, Curve, Group, Key, Law
from planner.memory_model.regression import CurveRegressor
from planner.memory_model.rows import Row
from planner.nouns.words import VARIANTS, Runtime, Task, Variant, Width
from planner.text.units import MAXIMUM_FRAME_SIDE

RUNTIME: Runtime = "reimplementation"
WIDTH: Width = "half"
FEWEST_IMAGES, FEWEST_TOTALS = 4, 1


def fit_published(rows: Sequence[Row], catalog: Catalog) -> dict[Key, Group]:
    """The groups of the re-implementation: image and video, in float16. Raises PlannerError for too few rows."""
    images = [row for row in rows if row.usage.allocated_bytes is not None]
    totals = [row for row in rows if row.usage.allocated_bytes is None]
    if len(images) < FEWEST_IMAGES or len(totals) < FEWEST_TOTALS:
        raise PlannerError(
            f"{len(images)} allocated and {len(totals)} total rows of the re-implementation are too few to fit to.",
            f"At least {FEWEST_IMAGES} allocated rows and {FEWEST_TOTALS} total row are needed.",
        )
    knots = sorted({row.quantities.pixels for row in images})
    channels = {variant: catalog.shapes[variant].embed_dim for variant in VARIANTS}

    def describe(pixels: int, variant: Variant) -> list[float]:
        step = 1.0 if len(knots) == 1 else min(max((pixels - knots[0]) / (knots[1] - knots[0]), 0.0), 1.0)
        return [1.0, step, pixels, pixels * channels[variant]]

    described = np.array([describe(row.quantities.pixels, row.run.configuration.variant) for row in images])
    peaks = np.array([float(row.usage.allocated_bytes or 0) for row in images])
    beside = peaks - np.array([float(row.weights(catalog)) for row in images])
    learnt = CurveRegressor().fit(described, beside, peaks)
    curves: dict[Variant, Curve] = {}
    for variant in VARIANTS:
        sizes = learnt.predict(np.array([describe(pixels, variant) for pixels in knots]))
        slope = learnt.coef_[2] + learnt.coef_[3] * channels[variant]
        curves[variant] = Curve(tuple(knots), tuple(float(round(size)) for size in sizes), rounded(slope))
    # One object's memory bank is part of what was measured of a video; further ones add theirs.
    spare, ratio = _reserve(totals, catalog, curves)
    growths: dict[Task, dict[str, float]] = {"image": {}, "video": {MEMORY_BANK: 1.0}}
    groups: dict[Key, Group] = {}
    for task, growth in growths.items():
        allocated = Law(curves, growth)
        groups[RUNTIME, task, WIDTH, OTHER_PROGRAM] = Group(
            whose=RUNTIME,
            task=task,
            width=WIDTH,
            generation=OTHER_PROGRAM,
            phases={"encode": allocated},
            reserved=_reserved(allocated, catalog, spare, ratio),
            provenance="published",
            largest_pixels=knots[-1],
            largest_objects=1,
            # Nothing in the published figures hangs on the size of the source's picture.
            largest_frame_pixels=MAXIMUM_FRAME_SIDE**2,
        )
    return groups


def _reserve(totals: Sequence[Row], catalog: Catalog, curves: Mapping[Variant, Curve]) -> tuple[float, float]:
    """Reserved bytes as a constant and a ratio of those of encoding, from totals with context and memory bank off.

    A memory bank is held whole: what the allocator keeps beside the tensors of a frame does not grow with objects.
    """
    allocated, held = [], []
    context = context_on().bytes  # whose GPU is not named, here as in a prediction
    for row in totals:
        allocated.append(row.weights(catalog) + curves[row.run.configuration.variant].at(row.quantities.pixels))
        held.append(float((row.usage.total_bytes or 0) - context) - float(row.features[MEMORY_BANK]))
    described = np.array([[1.0, size] for size in allocated])
    beside = np.array(held) - np.array(allocated)
    spare, ratio = CurveRegressor().fit(described, beside, np.array(held) + context).coef_
    return round(float(spare)), rounded(1 + float(ratio))


def _reserved(law: Law, catalog: Catalog, spare: float, ratio: float) -> Law:
    """`spare`, `ratio` times weights and curves, and growth as it is.

    A law does not count the weights, so their share goes on the curve.
    """
    curves: dict[Variant, Curve] = {}
    for variant, curve in law.curves.items():
        constant = spare + (ratio - 1) * catalog.shapes[variant].parameters * 2
        sizes = tuple(float(round(size * ratio + constant)) for size in curve.bytes)
        curves[variant] = replace(curve, bytes=sizes, slope=rounded(curve.slope * ratio))
    return Law(curves, dict(law.growth))


def published_shortfall(row: Row, model: MemoryModel) -> float:
    """How far the truth, rounding included, lies above the prediction, relative to this."""
    totals = model.totals(row.run.configuration, row.run.workload, runtime=RUNTIME)
    if row.usage.allocated_bytes is not None:
        return float((row.usage.allocated_bytes + row.rounding) / totals.allocated - 1)
    return float(((row.usage.total_bytes or 0) + row.rounding) / totals.total - 1)
