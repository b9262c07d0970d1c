"""The regression: published and measured rows to coefficients, and what held-out rows say of it.

scikit-learn conventions: `ActivationRegressor.fit(X, y)` learns, attributes that end in _ hold what was
learnt, `predict(X)` applies it. Not imported by planning.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import LeaveOneGroupOut

from planner.catalog import Catalog
from planner.documents import dump
from planner.domain import Configuration, Workload
from planner.errors import PlannerError
from planner.measurement import Figure, Measurement
from planner.memory_model.coefficients import Coefficients
from planner.memory_model.estimator import MemoryModel
from planner.memory_model.formulas import CUBLAS_WORKSPACE_BYTES, SCALAR, encoder_features

CONTEXT_BYTES = 512 * 2**20
"""Stated, not fitted: 426 MiB on first touch (RTX 6000 Ada, torch 2.10, CUDA 13: unsloth-zoo pull request 1053),
about 400 MB with lazy loading (pytorch issue 109888), and the kernels that SAM 2 then loads."""
SIGNIFICANT_DIGITS = 6


@dataclass(frozen=True)
class Row:
    """A measurement that the memory model can be fitted to or judged by."""

    id: str
    configuration: Configuration
    workload: Workload
    metric: str
    figure: Figure

    @property
    def groups(self) -> dict[str, str]:
        """What the row can be held out by."""
        height, width = self.configuration.resolution
        return {
            "row": self.id,
            "variant": self.configuration.variant,
            "resolution": f"{height}x{width}",
        }


class ActivationRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Non-negative linear regression with relative errors: a row of 240 MB counts as much as one of 1626 MB."""

    coef_: np.ndarray

    def fit(self, features: np.ndarray, activation_bytes: np.ndarray, scale_bytes: np.ndarray) -> ActivationRegressor:
        """features: (n, 4); activation_bytes: (n,); scale_bytes: (n,), what errors are relative to."""
        scale = np.abs(features).max(axis=0).clip(min=1e-12)
        inner = LinearRegression(fit_intercept=False, positive=True)
        inner.fit(features / scale, activation_bytes, sample_weight=1 / scale_bytes**2)
        self.coef_ = inner.coef_ / scale
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Activation bytes, (n,)."""
        result: np.ndarray = features @ self.coef_
        return result


def rows_of(measurements: Iterable[Measurement]) -> list[Row]:
    """The peaks that may be fitted to, with what their source leaves open filled in and their metric decided."""
    rows = []
    for m in measurements:
        for figure in m.figures:
            metric = figure.metric or figure.read_as
            usable = m.use == "fit" and figure.of == "peak" and figure.relation == "equal"
            if not usable or metric not in ("allocated", "total") or not (m.variant and m.resolution and m.precision):
                continue
            configuration = Configuration(
                variant=m.variant,
                version=m.version or "2.1",
                resolution=m.resolution,
                precision=m.precision,
                attention=m.attention or "auto",
                object_batch=m.object_batch or 1,
                bounded_memory_bank=m.bounded_memory_bank is not False,
            )
            # A source that names no frame size is taken to have worked at the resolution's own size.
            workload = Workload(
                task=m.task, objects=m.objects or 1, frames=m.frames, frame_size=m.frame_size or m.resolution
            )
            rows.append(Row(m.id, configuration, workload, metric, figure))
    return rows


def fit(rows: Sequence[Row], catalog: Catalog, profiles: Sequence[str], name: str) -> Coefficients:
    """Coefficients with their margins, from all rows. Raises PlannerError where the rows do not suffice."""
    fitted = _fit_values(rows, catalog, profiles, name)
    return _with_margins(fitted, rows, catalog)


def _fit_values(rows: Sequence[Row], catalog: Catalog, profiles: Sequence[str], name: str) -> Coefficients:
    images = [row for row in rows if row.metric == "allocated"]
    totals = [row for row in rows if row.metric == "total"]
    if len(images) < 4 or not totals:
        raise PlannerError(
            f"{len(images)} allocated and {len(totals)} total rows are too few to fit to.",
            "At least 4 allocated rows and 1 total row with use: fit are needed.",
        )
    resolutions = sorted({_oriented(row) for row in images}, key=lambda side: side[0] * side[1])
    pixels = [height * width for height, width in resolutions]
    draft = Coefficients(
        constant_bytes=0.0,
        step_bytes=0.0,
        per_pixel_bytes=0.0,
        per_pixel_channel_bytes=0.0,
        step_pixels=(pixels[0], pixels[1]) if len(pixels) > 1 else (0, pixels[0]),
        measured_resolutions=tuple(resolutions),
        # bfloat16 has the widths of float16.
        measured_precisions=("float16", "bfloat16"),
        reserve_ratio=0.0,
        context_bytes=CONTEXT_BYTES,
        margin_measured=0.0,
        margin_unmeasured=0.0,
        margin_beyond=0.0,
        margin_overhead=0.0,
        profiles=tuple(profiles),
        memory_model=name,
    )
    features = np.array([_features(row, catalog, draft) for row in images])
    peaks = np.array([float(row.figure.bytes) for row in images])
    known = np.array([float(_resident(row, catalog)) for row in images])
    coef = ActivationRegressor().fit(features, peaks - known, peaks).coef_
    draft = replace(
        draft,
        constant_bytes=_rounded(coef[0]),
        step_bytes=_rounded(coef[1]),
        per_pixel_bytes=_rounded(coef[2]),
        per_pixel_channel_bytes=_rounded(coef[3]),
    )
    return replace(draft, reserve_ratio=_reserve_ratio(totals, catalog, draft))


def _reserve_ratio(rows: Sequence[Row], catalog: Catalog, draft: Coefficients) -> float:
    """Reserve per byte of weights and activations, from rows of the whole process, context taken off."""
    unit = MemoryModel(replace(draft, reserve_ratio=1.0), catalog)
    totals = [unit.totals(row.configuration, row.workload) for row in rows]
    slack = np.array([[float(t.reserve)] for t in totals])
    peaks = np.array([float(row.figure.bytes) for row in rows])
    rest = peaks - np.array([float(t.allocated + t.context) for t in totals])
    inner = LinearRegression(fit_intercept=False, positive=True).fit(slack, rest, sample_weight=1 / peaks**2)
    return _rounded(float(inner.coef_[0]))


def _with_margins(fitted: Coefficients, rows: Sequence[Row], catalog: Catalog) -> Coefficients:
    """The coefficients with relative margins from groups held out in turn; never from rows that were fitted."""
    measured, beyond, unmeasured, overhead = 0.0, 0.0, 0.0, 0.0
    for row, model in _held_out(rows, catalog, "variant"):
        if row.metric == "allocated":
            measured = max(measured, _activation_error(row, model))
        else:
            totals = model.totals(row.configuration, row.workload)
            truth = row.figure.bytes + row.figure.rounding_bytes - totals.allocated
            overhead = max(overhead, truth / (totals.reserve + totals.context) - 1)
    for row, model in _held_out([row for row in rows if row.metric == "allocated"], catalog, "resolution", rows):
        error = _activation_error(row, model)
        if _oriented(row) == fitted.measured_resolutions[-1]:
            beyond = max(beyond, error)
        else:
            unmeasured = max(unmeasured, error)
    return replace(
        fitted,
        margin_measured=_rounded(measured),
        margin_unmeasured=_rounded(unmeasured),
        margin_beyond=_rounded(beyond),
        margin_overhead=_rounded(overhead),
    )


def _activation_error(row: Row, model: MemoryModel) -> float:
    """How far the truth, rounding included, lies above the predicted activations, relative to these."""
    totals = model.totals(row.configuration, row.workload)
    resident = _resident(row, model.catalog)
    truth = row.figure.bytes + row.figure.rounding_bytes
    return float((truth - resident) / (totals.allocated - resident) - 1)


def _held_out(
    judged: Sequence[Row], catalog: Catalog, by: str, rows: Sequence[Row] | None = None
) -> Iterable[tuple[Row, MemoryModel]]:
    """Each judged row with a memory model fitted without its group."""
    rows = rows if rows is not None else judged
    groups = np.array([row.groups[by] for row in judged])
    # A row is a group of its own, so that one splitter serves all.
    for _, test in LeaveOneGroupOut().split(np.zeros((len(judged), 1)), groups=groups):
        out = {judged[i].groups[by] for i in test}
        # Totals are judged by variant; their single resolution cannot be held out without losing them all.
        rest = [row for row in rows if row.groups[by] not in out or (by == "resolution" and row.metric == "total")]
        model = MemoryModel(_fit_values(rest, catalog, (), "held out"), catalog)
        yield from ((judged[i], model) for i in test)


@dataclass(frozen=True)
class Judged:
    """One row with what was predicted for it."""

    row: Row
    predicted_bytes: int
    upper_bytes: int | None = None

    @property
    def error(self) -> float:
        """Signed and relative: positive is too much."""
        return self.predicted_bytes / self.row.figure.bytes - 1


def judge_fitted(rows: Sequence[Row], model: MemoryModel) -> list[Judged]:
    """The rows the model was fitted to, as it gives them back."""
    return [_judged(row, model) for row in rows]


def judge_held_out(rows: Sequence[Row], catalog: Catalog, by: str) -> list[Judged]:
    """Each row predicted by a model that was fitted without its group ("row", "variant" or "resolution")."""
    if by == "resolution":
        images = [row for row in rows if row.metric == "allocated"]
        return [_judged(row, model) for row, model in _held_out(images, catalog, by, rows)]
    return [_judged(row, model) for row, model in _held_out(rows, catalog, by)]


def _judged(row: Row, model: MemoryModel) -> Judged:
    totals = model.totals(row.configuration, row.workload)
    if row.metric == "allocated":
        return Judged(row, totals.allocated)
    return Judged(row, totals.total, totals.upper)


def _resident(row: Row, catalog: Catalog) -> int:
    """What is on the GPU beside the activations while an image is encoded."""
    per_parameter = 2 if row.configuration.precision in ("float16", "bfloat16") else 4
    return catalog.shapes[row.configuration.variant].parameters * per_parameter + CUBLAS_WORKSPACE_BYTES


def _features(row: Row, catalog: Catalog, draft: Coefficients) -> tuple[float, ...]:
    height, width = row.configuration.resolution
    return encoder_features(height * width, catalog.shapes[row.configuration.variant].embed_dim, draft, SCALAR)


def _oriented(row: Row) -> tuple[int, int]:
    height, width = sorted(row.configuration.resolution)
    return height, width


def _rounded(value: float) -> float:
    """Rounded so that the committed text does not hang on the last bits of a linear algebra library."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def coefficients_text(c: Coefficients) -> str:
    """The YAML text of coefficients, as committed."""
    document = {
        "schema_version": 1,
        "name": c.memory_model,
        "profiles": list(c.profiles),
        "activations": {
            "constant_bytes": c.constant_bytes,
            "step_bytes": c.step_bytes,
            "step_from_pixels": c.step_pixels[0],
            "step_to_pixels": c.step_pixels[1],
            "per_pixel_bytes": c.per_pixel_bytes,
            "per_pixel_channel_bytes": c.per_pixel_channel_bytes,
        },
        "measured_resolutions": [list(resolution) for resolution in c.measured_resolutions],
        "measured_precisions": list(c.measured_precisions),
        "reserve_ratio": c.reserve_ratio,
        "context_bytes": c.context_bytes,
        "margins": {
            "measured": c.margin_measured,
            "unmeasured": c.margin_unmeasured,
            "beyond": c.margin_beyond,
            "overhead": c.margin_overhead,
        },
    }
    header = "# Made by scripts/fit_memory_model.py from the profiles named below; a test remakes and compares it.\n"
    return header + dump(document)
