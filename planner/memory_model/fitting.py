"""The regression: simulated and published rows to coefficients, and what rows that were left out say of them.

scikit-learn conventions: `CurveRegressor.fit(X, y)` learns, attributes that end in _ hold what was learnt,
`predict(X)` applies it. Not imported by planning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, RegressorMixin

from planner.catalog import Catalog
from planner.domain import VARIANTS
from planner.memory_model import arrays
from planner.memory_model.coefficients import Curve, Group, Law
from planner.memory_model.features import FRAMES, MEMORY_BANK
from planner.memory_model.rows import Row

HELD_WHOLE = {FRAMES: ("init", "encode", "track", "output"), MEMORY_BANK: ("encode", "track", "output")}
"""Arrays that are held whole at the peak of these phases: their own size is known, not regressed."""
KNOTS_APART = 1.12
"""Pixels of neighbouring knots, the larger over the smaller: closer ones say the same."""
SHARED_PHASES = ("init", "prompt", "track", "output")
"""Their modules are the same in all variants (sam2/configs/*.yaml differ in the image encoder only)."""
UNDER_WEIGHT = 0.8
"""Weight of a byte too little; one too many has the rest. Sizes step up and down with resolution (windows, segments of
20 MiB): a curve through their middle is too low as often as too high. Of 0.5, 0.7, 0.8 and 0.9 this one had the least
errors by median and at the worst (docs/log.md)."""
EXPECTILE_ROUNDS = 15
RIDGE = 0.003
"""Relative: where rows leave open which of several steps a curve takes, all take some, and the outcome is one."""


_ITEM_BYTES = {"half": 2, "autocast": 4, "float32": 4}


class CurveRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Non-negative regression whose errors are relative: never falls where a feature grows.

    `under_weight` above a half makes it err upwards rather than downwards (an expectile).
    """

    coef_: np.ndarray

    def __init__(self, under_weight: float = 0.5) -> None:
        self.under_weight = under_weight

    def fit(self, features: np.ndarray, size_bytes: np.ndarray, scale_bytes: np.ndarray) -> CurveRegressor:
        """features: (n, m); size_bytes: (n,); scale_bytes: (n,), what errors are relative to."""
        # What no row has cannot be learnt: its coefficient is nothing, and not a rounding error over nothing.
        present = np.abs(features).max(axis=0) > 0
        scale = np.abs(features[:, present]).max(axis=0)
        scaled = features[:, present] / scale
        side = np.ones(len(size_bytes))
        ridge = RIDGE / np.median(scale_bytes) * np.eye(scaled.shape[1])
        for _ in range(EXPECTILE_ROUNDS if self.under_weight != 0.5 else 1):
            weight = np.sqrt(side) / scale_bytes
            inner, _ = nnls(
                np.vstack([scaled * weight[:, None], ridge]), np.append(size_bytes * weight, np.zeros(len(ridge)))
            )
            found = np.where(size_bytes > scaled @ inner, self.under_weight, 1 - self.under_weight)
            if np.array_equal(found, side):
                break  # the next round would be this one
            side = found
        self.coef_ = np.zeros(features.shape[1])
        self.coef_[present] = inner / scale
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Bytes, (n,)."""
        result: np.ndarray = features @ self.coef_
        return result


def fit_group(rows: Sequence[Row], catalog: Catalog, knots: Sequence[int]) -> Group:
    """The laws of rows that share runtime, task and width, straight between `knots`."""
    runtime, task, width = rows[0].group
    item_bytes = _ITEM_BYTES[width]
    weights = {
        variant: float(arrays.weights(runtime, task, catalog.shapes[variant].parameters, item_bytes))
        for variant in VARIANTS
    }
    held = np.array([weights[row.configuration.variant] for row in rows])
    totals = np.array([float(row.held + (row.context or 0)) for row in rows])
    phases = {}
    for name in rows[0].phases:
        sizes = np.array([float(row.phases[name]) for row in rows])
        known = tuple(array for array, phases_of in HELD_WHOLE.items() if name in phases_of)
        shared = name in SHARED_PHASES
        phases[name] = _law(rows, knots, sizes - held, totals, weights, shared=shared, known=known)
    reserved = np.array([float(row.held) for row in rows])
    return Group(
        runtime=runtime,
        task=task,
        width=width,
        phases=phases,
        reserved=_law(rows, knots, reserved - held, totals, weights, shared=False),
        provenance="simulated",
        largest_pixels=knots[-1],
        largest_objects=max(row.workload.objects for row in rows),
        largest_frame_pixels=max(row.quantities.frame_pixels for row in rows),
    )


def knots_of(rows: Sequence[Row]) -> list[int]:
    """Pixels between which curves are straight, from what was run."""
    knots: list[int] = []
    every = sorted({row.quantities.pixels for row in rows})
    for pixels in every:
        if not knots or pixels > knots[-1] * KNOTS_APART:
            knots.append(pixels)
    knots[-1] = every[-1]
    return knots


def _law(
    rows: Sequence[Row],
    knots: Sequence[int],
    sizes: np.ndarray,
    scales: np.ndarray,
    weights: Mapping[str, float],
    *,
    shared: bool,
    known: tuple[str, ...] = (),
) -> Law:
    """One regression over all variants: each has its own curve, or all share one, and they share what grows.

    `sizes`: bytes beside the weights. `known`: features that count once.
    """
    names = [name for name in rows[0].features if name not in known]
    once = [name for name in rows[0].features if name in known]
    sizes = sizes - np.array([sum(float(row.features[name]) for name in once) for row in rows])
    grown = np.array([[float(row.features[name]) for name in names] for row in rows]).reshape(len(rows), len(names))
    hats = _hats(np.array([row.quantities.pixels for row in rows]), knots)
    present = {row.configuration.variant for row in rows}
    owners = VARIANTS[:1] if shared else tuple(variant for variant in VARIANTS if variant in present)
    of = np.array([0 if shared else owners.index(row.configuration.variant) for row in rows])
    blocks = [hats * (of == number)[:, None] for number in range(len(owners))]
    learnt = CurveRegressor(UNDER_WEIGHT).fit(np.hstack([*blocks, grown]), sizes, scales).coef_
    split = len(owners) * len(knots)
    steps = dict(zip(owners, learnt[:split].reshape(len(owners), len(knots)), strict=True))
    growth = {name: rounded(value) for name, value in zip(names, learnt[split:], strict=True)}
    return Law(_ordered(knots, steps, weights), dict.fromkeys(once, 1.0) | growth)


def _ordered(knots: Sequence[int], steps: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> dict[str, Curve]:
    """A curve for each variant; a larger one, its weights included, never needs less than a smaller one.

    A variant without rows has the curve of its neighbour.
    """
    curves: dict[str, Curve] = {}
    for rank, variant in enumerate(VARIANTS):
        near = min(steps, key=lambda other: (abs(VARIANTS.index(other) - rank), other))
        curve = _curve(knots, steps[near])
        if rank:
            smaller = VARIANTS[rank - 1]
            spare = weights[variant] - weights[smaller]
            pairs = zip(curve.bytes, curves[smaller].bytes, strict=True)
            sizes = tuple(max(size, low - spare) for size, low in pairs)
            curve = Curve(curve.pixels, sizes, max(curve.slope, curves[smaller].slope))
        curves[variant] = curve
    return curves


def _hats(pixels: np.ndarray, knots: Sequence[int]) -> np.ndarray:
    """What each knot's step contributes, (n, knots): 1 for the first, then the share of each stretch that is passed."""
    low, high = np.array(knots[:-1]), np.array(knots[1:])
    passed = np.maximum(pixels[:, None] - low, 0)
    passed[:, :-1] = np.minimum(passed, high - low)[:, :-1]  # the last goes on beyond its end
    return np.hstack([np.ones((len(pixels), 1)), passed / (high - low)])


def _curve(knots: Sequence[int], steps: np.ndarray) -> Curve:
    """The curve of non-negative steps from knot to knot; beyond the last it goes on as it did on the whole."""
    sizes = [float(value) for value in np.round(np.cumsum(steps))]
    # The last stretch alone may be level by chance.
    slope = (sizes[-1] - sizes[0]) / (knots[-1] - knots[0]) if len(knots) > 1 else 0.0
    last = (sizes[-1] - sizes[-2]) / (knots[-1] - knots[-2]) if len(knots) > 1 else 0.0
    return Curve(tuple(knots), tuple(sizes), rounded(max(slope, last)))


def rounded(value: float) -> float:
    """Six digits, so that the committed text does not hang on the last bits of a linear algebra library."""
    return float(f"{value:.6g}")


def at_least(group: Group, less: Group, catalog: Catalog) -> Group:
    """`group`, raised where `less` needs more; both have the same knots. Lower precision never needs more."""
    spare = {
        variant: arrays.weights(group.runtime, group.task, catalog.shapes[variant].parameters, 1)
        * (_ITEM_BYTES[group.width] - _ITEM_BYTES[less.width])
        for variant in VARIANTS
    }

    def raised(law: Law, other: Law) -> Law:
        curves = {}
        for variant, curve in law.curves.items():
            floor = other.curves[variant]
            pairs = zip(curve.bytes, floor.bytes, strict=True)
            sizes = tuple(max(size, low - spare[variant]) for size, low in pairs)
            curves[variant] = Curve(curve.pixels, sizes, max(curve.slope, floor.slope))
        return Law(curves, {name: max(value, other.growth[name]) for name, value in law.growth.items()})

    return replace(
        group,
        phases={name: raised(law, less.phases[name]) for name, law in group.phases.items()},
        reserved=raised(group.reserved, less.reserved),
    )
