"""The memory model over numpy columns: the same laws, a hundred thousand rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.domain import ATTENTIONS, PRECISIONS, TASKS, VARIANTS
from planner.errors import UsageError
from planner.memory_model import arrays
from planner.memory_model.beyond import Scores, bound_extra, math_scores
from planner.memory_model.coefficients import WIDTHS, Group, Law
from planner.memory_model.contexts import context_on
from planner.memory_model.estimator import (
    ENDLESS_FRAMES,
    WIDTH_OF,
)
from planner.memory_model.features import Operations, Quantities, features

if TYPE_CHECKING:
    from planner.memory_model.contexts import context_on
from planner.memory_model.estimator import MemoryModel

VECTOR = Operations(np.maximum, np.minimum, np.where, np.ceil)
_DEFAULTS: dict[str, Any] = {
    "attention": "auto",
    "object_batch": 1,
    "bounded_memory_bank": True,
    "offload_video": False,
    "offload_state": False,
}
_REQUIRED = ("variant", "precision", "height", "width")
FIGURES = ("allocated_bytes", "reserved_bytes", "total_bytes", "upper_bytes", "least_bytes")


def predict(
    model: MemoryModel, columns: Mapping[str, Any], task: str, objects: Any, frames: Any, frame_pixels: Any
) -> dict[str, np.ndarray]:
    """See MemoryModel.predict."""
    if task not in TASKS:
        raise UsageError(f"{task!r} is not a task.", f"Use one of: {', '.join(TASKS)}.")
    table = _table(columns)
    count = np.asarray(ENDLESS_FRAMES if frames is None else frames)
    parts = {
        "variant": _codes(table["variant"], VARIANTS, "variant"),
        "width": _widths()[_codes(table["precision"], PRECISIONS, "precision")],
        "math": _flags(ATTENTIONS, ("math",))[_codes(table["attention"], ATTENTIONS, "attention")],
        "own": np.atleast_1d(np.asarray(table["bounded_memory_bank"], dtype=bool)),
        "pixels": _sides(table["height"]) * _sides(table["width"]),
        "object_batch": _counts(table["object_batch"], "object_batch"),
        "offload_video": np.atleast_1d(np.asarray(table["offload_video"], dtype=bool)),
        "offload_state": np.atleast_1d(np.asarray(table["offload_state"], dtype=bool)),
        "objects": _counts(objects, "objects"),
        "frames": _counts(np.where(count == 0, ENDLESS_FRAMES, count), "frames"),
        "frame_pixels": _counts(frame_pixels, "frame_pixels"),
    }
    rows = dict(zip(parts, np.broadcast_arrays(*parts.values()), strict=True))
    if task == "video" and np.any(~rows["own"] & (rows["frames"] >= ENDLESS_FRAMES)):
        raise UsageError("A clip without end has no peak on an unbounded memory bank.", "Give a number of frames.")
    found = {name: np.zeros(len(rows["pixels"])) for name in FIGURES}
    for runtime, own in (("own", True), ("stock", False)):
        for code, width in enumerate(WIDTHS):
            chosen = np.flatnonzero((rows["own"] == own) & (rows["width"] == code))
            if len(chosen):
                group = model.coefficients.groups[runtime, task, width]
                part = {name: column[chosen] for name, column in rows.items()}
                for name, values in _figures(model, group, part).items():
                    found[name][chosen] = values
    if any(np.any(values >= 2.0**63) for values in found.values()):
        raise UsageError("Some rows need more bytes than 64 bits can say.", "Ask for fewer objects or frames.")
    return {name: values.astype(np.int64) for name, values in found.items()}


def _figures(model: MemoryModel, group: Group, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns of the figures of rows that share a group. The arithmetic is that of estimator.Terms, in its order."""
    q = Quantities(**{name: rows[name] for name in Quantities._fields})
    shapes = [model.catalog.shapes[variant] for variant in VARIANTS]
    parameters = np.array([float(shape.parameters) for shape in shapes])[rows["variant"]]
    heads = np.array([float(shape.global_attention_heads) for shape in shapes])[rows["variant"]]
    weights = arrays.weights(group.runtime, group.task, parameters, 2 if group.width == "half" else 4)
    grown = features(group.runtime, group.task, q, VECTOR)
    scores = Scores(*(np.zeros(1) for _ in Scores._fields))
    if rows["math"].any():
        held = math_scores(group.task, q, heads, VECTOR)
        scores = Scores(*(np.where(rows["math"], column, 0.0) for column in held))
    extra = {"encode": scores.encode, "track": scores.track}
    of_task = group.runtime, group.task, group.width
    casts, casts_reserved = np.array([model.releases.casts(*of_task, name) for name in VARIANTS]).T[:, rows["variant"]]
    workspace = model.releases.workspace_bytes(None)
    places = _Places(group.reserved, rows["variant"], q.pixels)

    def value(law: Law) -> np.ndarray:
        result = places.at(law)
        for name, coefficient in law.growth.items():
            if coefficient:
                result = result + coefficient * grown[name]
        return result

    correction = model.corrections.get(group.runtime)
    ratios = (correction.allocated_ratio, correction.reserved_ratio) if correction else (1.0, 1.0)
    allocated = np.zeros(len(weights))
    for name, law in group.phases.items():
        apart = 0.0 if name == "load" else workspace + (0.0 if name == "init" else casts)
        beside = np.maximum(0.0, value(law) + (apart + extra.get(name, 0.0)))
        allocated = np.maximum(allocated, np.ceil((weights + beside) * ratios[0]))
    reserved = weights + value(group.reserved) + workspace + casts_reserved
    reserved = np.ceil((reserved + np.maximum(scores.encode, scores.track)) * ratios[1])
    reserved = np.maximum(allocated, reserved)
    on_total, on_reserved = model.widening(group, q, VECTOR)
    context = model.context or context_on()
    total = reserved + context.bytes
    widened = total * on_total + reserved * on_reserved
    widened = widened + bound_extra(group, q, grown, scores, VECTOR)
    upper = np.ceil(widened) + reserved + context.high_bytes
    return dict(zip(FIGURES, (allocated, reserved, total, upper, allocated + context.bytes), strict=True))


class _Places:
    """Where columns of pixels lie on the curves of a group, which all have the same knots; as Curve.at."""

    def __init__(self, law: Law, variant: np.ndarray, pixels: np.ndarray) -> None:
        known = np.array(next(iter(law.curves.values())).pixels, dtype=np.float64)
        place = np.searchsorted(known, pixels, side="right")
        self._first, self._last = place == 0, place == len(known)
        self._edges = bool(self._first.any() or self._last.any())
        below, above = np.maximum(place - 1, 0), np.minimum(place, len(known) - 1)
        apart = np.where(above > below, known[above] - known[below], 1.0)
        self._variant = variant
        self._beyond = pixels - known[below]
        self._share = self._beyond / apart
        self._low, self._high = variant * len(known) + below, variant * len(known) + above

    def at(self, law: Law) -> np.ndarray:
        """Bytes of a law's curves."""
        curves = [law.curves[name] for name in VARIANTS]
        sizes = np.array([curve.bytes for curve in curves])
        flat = sizes.ravel()
        low = flat[self._low]
        result: np.ndarray = low + self._share * (flat[self._high] - low)
        if self._edges:
            slopes = np.array([curve.slope for curve in curves])
            result = np.where(self._last, low + self._beyond * slopes[self._variant], result)
            result = np.where(self._first, sizes[self._variant, 0], result)
        return result


def _table(columns: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(columns) - set(_REQUIRED) - set(_DEFAULTS)
    missing = set(_REQUIRED) - set(columns)
    if unknown or missing:
        names = ", ".join(sorted(unknown or missing))
        raise UsageError(
            f"{'Unknown' if unknown else 'Missing'} columns: {names}.",
            f"Columns are {', '.join((*_REQUIRED, *_DEFAULTS))}.",
        )
    return {**_DEFAULTS, **columns}


def _widths() -> np.ndarray:
    """The width of each precision, as its place in WIDTHS."""
    return np.array([WIDTHS.index(WIDTH_OF[precision]) for precision in PRECISIONS])


def _codes(words: Any, known: Sequence[str], what: str) -> np.ndarray:
    """Each word's place in `known`."""
    unique, inverse = np.unique(np.atleast_1d(np.asarray(words, dtype=str)), return_inverse=True)
    for word in unique:
        if word not in known:
            raise UsageError(f"{str(word)!r} is not a {what}.", f"Use one of: {', '.join(known)}.")
    codes: np.ndarray = np.array([known.index(str(word)) for word in unique])[inverse]
    return codes


def _flags(known: Sequence[str], true: Sequence[str]) -> np.ndarray:
    return np.array([word in true for word in known])


def _sides(values: Any) -> np.ndarray:
    sides = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if np.any((sides <= 0) | (sides % 32 != 0)):
        raise UsageError("A height or width is not a positive multiple of 32.", "Correct the column.")
    return sides


def _counts(values: Any, what: str) -> np.ndarray:
    counts = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if np.any(~(counts >= 1)):
        raise UsageError(f"{what} holds a value below 1.", "Correct the column.")
    return counts
