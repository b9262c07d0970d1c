"""This project's predictions: no run and no trace."""

from __future__ import annotations

import planner
from estimators.cases import CPU, FRAME_SIZE, Answer, Case
from planner.nouns.words import TASKS
from planner.text.spelling import check_word


def sam2_plan(case: Case) -> Answer:
    """Allocated bytes of the stock predictors by the memory model."""
    if case.device == CPU:
        return Answer(reason="predicts GPUs only")
    if case.run == "encoder":
        return Answer(reason="predicts whole tasks; the encoder alone is none")
    found = planner.predict(
        variant=case.variant,
        version=case.version,
        resolution=case.side,
        task=check_word(case.run, "task", TASKS),
        precision=case.precision,
        frames=case.frames if case.run == "video" else None,
        frame_size=FRAME_SIZE,
        runtime="stock",
    )
    parts = {component.name: component.bytes for component in found.components}
    return Answer(
        peak_bytes=found.allocated_bytes,
        headline_bytes=found.total_bytes,
        parts=parts,
        note=f"its total adds the allocator's cache (reserved {found.reserved_bytes:,} B) and the CUDA context",
    )
