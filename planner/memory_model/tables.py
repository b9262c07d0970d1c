"""The memory model over numpy columns: the same laws, a hundred thousand rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import UsageError
from planner.memory_model import arrays
from planner.memory_model.beyond import Scores, is_usual, math_scores, reserved_scores
from planner.memory_model.contexts import context_on
from planner.memory_model.estimator import MOST
from planner.memory_model.features import Operations, Quantities, features
from planner.memory_model.laws import Group, Law, generation_of
from planner.memory_model.terms import ENDLESS_FRAMES, WIDTH_OF, Ranges
from planner.nouns.words import ATTENTIONS, PRECISIONS, SAM2_RUNTIMES, TASKS, VARIANTS, WIDTHS, Task
from planner.text.spelling import check_word

if TYPE_CHECKING:
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
    model: MemoryModel, columns: Mapping[str, Any], task: Task, objects: Any, frames: Any, frame_pixels: Any
) -> dict[str, np.ndarray]:
    """See MemoryModel.predict."""
    check_word(task, "task", TASKS)
    table = _table(columns)
    count = np.asarray(ENDLESS_FRAMES if frames is None else frames)
    parts = {
        "variant": _codes(table["variant"], VARIANTS, "variant"),
        "width": _widths()[_codes(table["precision"], PRECISIONS, "precision")],
        "math": _flags(ATTENTIONS, ("math",))[_codes(table["attention"], ATTENTIONS, "attention")],
        "own": np.atleast_1d(np.asarray(table["bounded_memory_bank"], dtype=bool)),
        "height": _sides(table["height"]),
        "long": _sides(table["width"]),
        "object_batch": _counts(table["object_batch"], "object_batch"),
        "offload_video": np.atleast_1d(np.asarray(table["offload_video"], dtype=bool)),
        "offload_state": np.atleast_1d(np.asarray(table["offload_state"], dtype=bool)),
        "objects": _counts(objects, "objects"),
        "frames": _counts(np.where(count == 0, ENDLESS_FRAMES, count), "frames"),
        "frame_pixels": _counts(frame_pixels, "frame_pixels"),
    }
    rows = dict(zip(parts, np.broadcast_arrays(*parts.values()), strict=True))
    rows["pixels"] = rows["height"] * rows["long"]
    if task == "video" and np.any(~rows["own"] & (rows["frames"] >= ENDLESS_FRAMES)):
        raise UsageError("A clip without end has no peak on an unbounded memory bank.", "Give a number of frames.")
    found = {name: np.zeros(len(rows["pixels"])) for name in FIGURES}
    for runtime in SAM2_RUNTIMES:
        for code, width in enumerate(WIDTHS):
            chosen = np.flatnonzero((rows["own"] == (runtime == "own")) & (rows["width"] == code))
            if len(chosen):
                usual, most = (
                    model.coefficients.group(runtime, task, width, name) for name in (generation_of(None), MOST)
                )
                assert usual is not None  # both runtimes have laws for every task and width
                assert most is not None
                part = {name: column[chosen] for name, column in rows.items()}
                for name, values in _figures(model, usual, most, part).items():
                    found[name][chosen] = values
    if any(np.any(values >= 2.0**63) for values in found.values()):
        raise UsageError("Some rows need more bytes than 64 bits can say.", "Ask for fewer objects or frames.")
    return {name: values.astype(np.int64) for name, values in found.items()}


def _figures(model: MemoryModel, group: Group, most: Group, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns of the figures of rows that share a group, with the bound of the generation that takes most.

    The arithmetic is that of estimator.Terms, in its order.
    """
    q = Quantities(**{name: rows[name] for name in Quantities._fields if name in rows})  # the rest is of others
    shapes = [model.catalog.shapes[variant] for variant in VARIANTS]
    parameters = np.array([float(shape.parameters) for shape in shapes])[rows["variant"]]
    heads = np.array([float(shape.global_attention_heads) for shape in shapes])[rows["variant"]]
    weights = arrays.weights(group.runtime, group.task, parameters, group.item_bytes)
    grown = features(group.runtime, group.task, q, VECTOR)
    scores = Scores(*(np.zeros(1) for _ in Scores._fields))
    if rows["math"].any():
        held = math_scores(group.task, q, heads, VECTOR)
        scores = Scores(*(np.where(rows["math"], column, 0.0) for column in held))
    extra = {"encode": scores.encode, "track": scores.track}
    correction = model.corrections.get(group.runtime)
    ratios = (correction.allocated_ratio, correction.reserved_ratio) if correction else (1.0, 1.0)
    most_scores = reserved_scores(scores, VECTOR)
    of_task = group.runtime, group.task, group.width
    casts, casts_reserved = np.array([model.releases.casts(*of_task, name) for name in VARIANTS]).T[:, rows["variant"]]

    def apart_of(phase: str, workspace: float) -> Any:
        """See Terms.extra."""
        apart = 0.0 if phase == "load" else workspace + (0.0 if phase == "init" else casts)
        return apart + extra.get(phase, 0.0)

    def allocated_of(of: Group, places: _Places) -> np.ndarray:
        """What is allocated at the peak of the highest phase."""
        workspace, highest = model.releases.workspace_bytes(None, of.generation), np.zeros(len(weights))
        for name, law in of.phases.items():
            beside = np.maximum(0.0, _value(law, places, grown) + apart_of(name, workspace))
            highest = np.maximum(highest, np.ceil((weights + beside) * ratios[0]))
        return highest

    def reserved_of(of: Group, places: _Places, least: Any = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """What is reserved, at least so much, and its bound."""
        workspace, ranges = model.releases.workspace_bytes(None, of.generation), None
        if of.reserved is None:
            assert of.small is not None  # one or the other
            beside = np.full(len(weights), -np.inf)
            for name, law in of.extents.items():
                beside = np.maximum(beside, _value(law, places, grown) + apart_of(name, workspace))
            ranges = Ranges(weights + beside, _value(of.small, places, grown))
            held = ranges.reserved(VECTOR)
        else:
            held = weights + _value(of.reserved, places, grown) + (workspace + casts_reserved) + most_scores
        held = np.ceil(held * ratios[1])
        most = of.most_reserved * ratios[1] / ratios[0]
        above = (held > allocated * most) & (rows["math"] == 0)
        if above.any():  # no law says more than any run reserved
            highest = allocated if of is group else np.maximum(allocated, allocated_of(of, places))
            held = np.where(above, np.minimum(held, np.ceil(highest * most)), held)
        held = np.maximum(least, held)
        usual = is_usual(of.task, of.runtime, q, grown, places.run, rows["math"])
        share = model.widening(of, q, usual, VECTOR)
        if ranges is not None and correction is None:
            return held, np.maximum(held, ranges.reserved(VECTOR, share))
        return held, held + np.ceil(held * share)

    places = _Places(group, rows)
    allocated = allocated_of(group, places)
    reserved, upper = reserved_of(group, places, allocated)
    if most is not group:
        upper = np.maximum(upper, reserved_of(most, _Places(most, rows))[1])
    needed = np.ceil((reserved - allocated) * model.coefficients.least[group.whose, group.task])
    least = np.minimum(allocated + needed, reserved)
    context = model.context or context_on()
    columns = (allocated, reserved, reserved + context.bytes, upper + context.high_bytes, least + context.bytes)
    return dict(zip(FIGURES, columns, strict=True))


def _value(law: Law, places: _Places, grown: Mapping[str, np.ndarray]) -> np.ndarray:
    curve = places.at(law)
    result = _grown(curve, law.growth, grown)
    if law.spill is None:
        return result
    spilt = law.spill.constant + law.spill.share * curve
    larger: np.ndarray = np.maximum(result, _grown(spilt, law.spill.growth, grown))
    return larger


def _grown(size: np.ndarray, growth: Mapping[str, float], grown: Mapping[str, np.ndarray]) -> np.ndarray:
    for name, coefficient in growth.items():
        size = size + coefficient * grown[name]
    return size


class _Places:
    """Where columns of resolutions lie in the tables and on the curves of a group; as Law.at."""

    def __init__(self, group: Group, rows: Mapping[str, np.ndarray]) -> None:
        law, variant, pixels = group.laws[0], rows["variant"], rows["pixels"]
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
        codes = np.array([_code(*shape) for shape in group.places])
        order = np.argsort(codes)
        wanted = _code(np.minimum(rows["height"], rows["long"]), np.maximum(rows["height"], rows["long"]))
        near = np.minimum(np.searchsorted(codes[order], wanted), len(codes) - 1)
        self._known = codes[order][near] == wanted
        self._cell = variant * len(codes) + order[near]
        here = np.zeros((len(VARIANTS), len(codes)), dtype=bool)
        for number, name in enumerate(VARIANTS):
            here[number, list(group.run.get(name, ()))] = True
        self.run = self._known & here.ravel()[self._cell]
        """Whether the resolution of each row was run on this generation."""

    def at(self, law: Law) -> np.ndarray:
        """Bytes of a law's tables, or curves where nothing was run."""
        tables = np.array([law.tables[name] for name in VARIANTS], dtype=np.float64).ravel()
        if self._known.all():
            every: np.ndarray = tables[self._cell]
            return every
        curves = [law.curves[name] for name in VARIANTS]
        sizes = np.array([curve.bytes for curve in curves])
        flat = sizes.ravel()
        low = flat[self._low]
        result: np.ndarray = low + self._share * (flat[self._high] - low)
        if self._edges:
            slopes = np.array([curve.slope for curve in curves])
            result = np.where(self._last, low + self._beyond * slopes[self._variant], result)
            result = np.where(self._first, sizes[self._variant, 0], result)
        found: np.ndarray = np.where(self._known, tables[self._cell], result)
        return found


def _code(short: Any, long: Any) -> Any:
    """A number for each resolution."""
    return short * 1_000_000 + long


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


def _codes(words: Any, known: tuple[str, ...], what: str) -> np.ndarray:
    """Each word's place in `known`."""
    unique, inverse = np.unique(np.atleast_1d(np.asarray(words, dtype=str)), return_inverse=True)
    codes: np.ndarray = np.array([known.index(check_word(str(word), what, known)) for word in unique])[inverse]
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
