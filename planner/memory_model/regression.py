"""The regression within cells, of one variant and resolution each: where bytes begin, and by what they grow.

scikit-learn conventions: `CurveRegressor.fit(X, y)` learns, attributes that end in _ hold what was learnt,
`predict(X)` applies it. Not imported by planning.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, RegressorMixin

from planner.memory_model.curves import Cell
from planner.memory_model.rows import Row

RIDGE = 0.003
"""Relative: where rows leave open which of several terms takes what, all take some, and the outcome is one."""
UNUSUAL_WEIGHT = 1e-6
"""Weight of other rows in a cell that has usual ones: they say how bytes grow, not where they begin."""


class CurveRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Non-negative regression whose errors are relative: never falls where a feature grows."""

    coef_: np.ndarray

    def fit(self, features: np.ndarray, size_bytes: np.ndarray, scale_bytes: np.ndarray) -> CurveRegressor:
        """features: (n, m); size_bytes: (n,); scale_bytes: (n,), what errors are relative to."""
        # What no row has cannot be learnt: its coefficient is nothing, and not a rounding error over nothing.
        present = np.abs(features).max(axis=0) > 0
        scale = np.abs(features[:, present]).max(axis=0)
        scaled = features[:, present] / scale
        ridge = RIDGE / np.median(scale_bytes) * np.eye(scaled.shape[1])
        weighted = np.vstack([scaled / scale_bytes[:, None], ridge])
        inner, _ = nnls(weighted, np.append(size_bytes / scale_bytes, np.zeros(len(ridge))))
        self.coef_ = np.zeros(features.shape[1])
        self.coef_[present] = inner / scale
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Bytes, (n,)."""
        result: np.ndarray = features @ self.coef_
        return result


def within(
    rows: Sequence[Row], sizes: np.ndarray, grown: np.ndarray, usual: Sequence[bool], least: float
) -> tuple[dict[Cell, float], np.ndarray]:
    """Bytes of each cell, at least so many, and of a unit of each feature (m,), by the differences within cells.

    sizes: (n,); grown: (n, m), what grows; usual: (n,), which rows say where a cell begins.
    """
    growth = growth_of(rows, sizes, grown, [1.0] * len(rows))
    cells, weight = _Cells(rows), _scales(rows) ** -2.0
    weight = np.where(usual, weight, weight * UNUSUAL_WEIGHT)
    means = cells.means(sizes - grown @ growth, weight)
    return {cell[1:]: max(least, float(mean)) for cell, mean in zip(cells.names, means, strict=True)}, growth


def growth_of(rows: Sequence[Row], sizes: np.ndarray, grown: np.ndarray, trust: Sequence[float]) -> np.ndarray:
    """Bytes of a unit of each feature, (m,), by the differences within cells. `trust`: what each row counts.

    The same as a regression with an indicator for each cell (Frisch and Waugh), at a hundredth of the time.
    """
    cells, scales = _Cells(rows), _scales(rows) / np.sqrt(trust)
    features, rest = (values - cells.means(values, scales**-2.0)[cells.of] for values in (grown, sizes))
    # What is the same throughout a cell is the cell's own; a rounding error of it would be learnt from.
    features[np.abs(features) < 1e-9 * np.abs(grown).max(axis=0, initial=0.0)] = 0.0
    return CurveRegressor().fit(features, rest, scales).coef_ if features.any() else np.zeros(grown.shape[1])


def _scales(rows: Sequence[Row]) -> np.ndarray:
    """What errors are relative to, (n,)."""
    return np.array([float(row.usage.reserved_bytes or 1) for row in rows])


class _Cells:
    """The cells of rows: generation, variant and resolution."""

    def __init__(self, rows: Sequence[Row]) -> None:
        cells = [(row.group[3], row.run.configuration.variant, row.shape) for row in rows]
        self.names = sorted(set(cells))
        place = {cell: number for number, cell in enumerate(self.names)}
        self.of = np.array([place[cell] for cell in cells])
        """The place of each row's cell, (n,)."""

    def means(self, columns: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Means of each cell, (cells, ...): weighted by how little a byte is to a row."""
        sums = np.zeros((len(self.names), *columns.shape[1:]))
        np.add.at(sums, self.of, columns * (weight if columns.ndim == 1 else weight[:, None]))
        total = np.bincount(self.of, weight)
        result: np.ndarray = sums / (total if columns.ndim == 1 else total[:, None])
        return result
