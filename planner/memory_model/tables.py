"""The memory model over numpy columns: the same formulas, a hundred thousand rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.domain import ATTENTIONS, PRECISIONS, TASKS, VARIANTS
from planner.errors import UsageError
from planner.memory_model import formulas
from planner.memory_model.formulas import Operations, Quantities

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


def predict(
    model: MemoryModel, columns: Mapping[str, Any], task: str, objects: Any, frames: Any, frame_pixels: Any
) -> dict[str, np.ndarray]:
    """See MemoryModel.predict."""
    from planner.memory_model.estimator import ENDLESS_FRAMES, workspace_bytes

    if task not in TASKS:
        raise UsageError(f"{task!r} is not a task.", f"Use one of: {', '.join(TASKS)}.")
    table = _table(columns)
    shapes = [model.catalog.shapes[variant] for variant in VARIANTS]
    variant = _codes(table["variant"], VARIANTS, "variant")
    precision = _codes(table["precision"], PRECISIONS, "precision")
    count = np.asarray(ENDLESS_FRAMES if frames is None else frames)
    q = Quantities(
        parameters=np.array([float(shape.parameters) for shape in shapes])[variant],
        embed_dim=np.array([float(shape.embed_dim) for shape in shapes])[variant],
        heads=np.array([float(shape.global_attention_heads) for shape in shapes])[variant],
        height=_sides(table["height"]),
        width=_sides(table["width"]),
        half_weights=_flags(PRECISIONS, ("float16", "bfloat16"))[precision],
        autocast=_flags(PRECISIONS, ("autocast_bfloat16", "autocast_float16"))[precision],
        measured_precision=_flags(PRECISIONS, model.coefficients.measured_precisions)[precision],
        math_attention=_flags(ATTENTIONS, ("math",))[_codes(table["attention"], ATTENTIONS, "attention")],
        object_batch=_counts(table["object_batch"], "object_batch"),
        bounded=np.asarray(table["bounded_memory_bank"], dtype=bool),
        stock=~np.asarray(table["bounded_memory_bank"], dtype=bool),
        offload_video=np.asarray(table["offload_video"], dtype=bool),
        offload_state=np.asarray(table["offload_state"], dtype=bool),
        objects=_counts(objects, "objects"),
        frames=_counts(np.where(count == 0, ENDLESS_FRAMES, count), "frames"),
        frame_pixels=_counts(frame_pixels, "frame_pixels"),
        workspace=float(workspace_bytes(None)),
    )
    if task == "video" and np.any(~q.bounded & (q.frames >= ENDLESS_FRAMES)):
        raise UsageError("A clip without end has no peak on an unbounded memory bank.", "Give a number of frames.")
    totals = model._totals(list(formulas.phases(task, q, model.coefficients, VECTOR)), VECTOR)
    result = {
        "allocated_bytes": totals.allocated,
        "reserved_bytes": totals.allocated + totals.reserve,
        "total_bytes": totals.total,
        "upper_bytes": totals.upper,
    }
    if any(np.any(value >= 2.0**63) for value in result.values()):
        raise UsageError("Some rows need more bytes than 64 bits can say.", "Ask for fewer objects or frames.")
    arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.int64) for value in result.values()))
    return {name: np.atleast_1d(array).copy() for name, array in zip(result, arrays, strict=True)}


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
