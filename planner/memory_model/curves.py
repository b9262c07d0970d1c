"""A law's tables and curves of what a regression found for each variant and resolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from planner.memory_model.laws import Curve, Law
from planner.nouns.words import VARIANTS, Variant

Size = tuple[int, int]
Cell = tuple[Variant, Size]
"""A variant and a resolution, shorter side first."""


def law_of(
    table: Mapping[Cell, float], shapes: Sequence[Size], weights: Mapping[Variant, float], growth: Mapping[str, float]
) -> Law:
    """The law of a table: by cell bytes beside the weights and what grows. `shapes`: all resolutions that were run."""
    tables = {variant: _complete(variant, table, shapes, weights) for variant in weights}
    return Law(curves=_curves(tables, shapes, weights), growth=growth, tables=tables)


def _complete(
    variant: Variant, table: Mapping[Cell, float], shapes: Sequence[Size], weights: Mapping[Variant, float]
) -> tuple[float, ...]:
    """A variant's table at all shapes; where none was run of it, what lies between its neighbours."""
    known = sorted(
        (short * long, table[variant, (short, long)]) for short, long in shapes if (variant, (short, long)) in table
    )
    if not known:
        near = min(
            {cell[0] for cell in table}, key=lambda other: (abs(VARIANTS.index(other) - VARIANTS.index(variant)), other)
        )
        return _complete(near, table, shapes, weights)
    pixels, sizes = zip(*known, strict=True)
    between = np.interp([short * long for short, long in shapes], pixels, sizes).tolist()
    return tuple(round(table.get((variant, shape), size)) for shape, size in zip(shapes, between, strict=True))


def _curves(
    tables: Mapping[Variant, Sequence[float]], shapes: Sequence[Size], weights: Mapping[Variant, float]
) -> dict[Variant, Curve]:
    """Through the middle of a table, never falling; a larger variant, weights included, never below a smaller one."""
    pixels = np.array([short * long for short, long in shapes])
    knots, of, count = np.unique(pixels, return_inverse=True, return_counts=True)
    curves: dict[Variant, Curve] = {}
    for rank, variant in enumerate(tables):
        means = np.bincount(of, tables[variant]) / count
        sizes = [float(round(size)) for size in never_falling(means.tolist(), count.tolist())]
        slope = _slope(knots, sizes)
        if rank:
            smaller = curves[VARIANTS[rank - 1]]
            spare = weights[variant] - weights[VARIANTS[rank - 1]]
            sizes = [max(size, low - spare) for size, low in zip(sizes, smaller.bytes, strict=True)]
            slope = max(slope, smaller.slope)
        curves[variant] = Curve(tuple(map(int, knots)), tuple(sizes), slope)
    return curves


def never_falling(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The sequence nearest to `values` in weighted squares that never falls (isotonic regression).

    By pooling adjacent violators. scikit-learn's function takes ten times as long to check these few numbers as to
    work it out, and a fit asks for it thousands of times.
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, and of how many values
    for value, weight in zip(values, weights, strict=True):
        mean, total, count = value, float(weight), 1
        while pools and pools[-1][0] >= mean:
            before, weighed, many = pools.pop()
            mean = (before * weighed + mean * total) / (weighed + total)
            total, count = total + weighed, count + many
        pools.append((mean, total, count))
    return [mean for mean, _, count in pools for _ in range(count)]


def _slope(knots: np.ndarray, sizes: Sequence[float]) -> float:
    """Beyond the last knot: as on the whole, or as on the last stretch, which may be level by chance."""
    if len(knots) < 2:
        return 0.0
    whole = (sizes[-1] - sizes[0]) / int(knots[-1] - knots[0])
    return rounded(max(whole, (sizes[-1] - sizes[-2]) / int(knots[-1] - knots[-2])))


def rounded(value: float) -> float:
    """Six digits, so that the committed text does not hang on the last bits of a linear algebra library."""
    return float(f"{value:.6g}")
