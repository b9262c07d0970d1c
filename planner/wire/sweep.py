"""What `sam2-plan measure` prints: the rows that ran, or were collected elsewhere."""

from __future__ import annotations

from typing import Any

from planner.nouns.measurement import Measurement
from planner.wire import words
from planner.wire.kinds import BYTES, FLAG, TEXT, List, Maybe, Number, Whole
from planner.wire.shapes import Answer, Key, Shape

PHASE_PEAK = Shape("phase_peak", name=TEXT, allocated_bytes=BYTES)

ROW = Shape(
    "row",
    id=TEXT,
    runtime=TEXT,
    outcome=words.OUTCOME,
    error=Maybe(TEXT),
    alone=Maybe(FLAG),
    seconds_per_frame=Maybe(Number()),
    allocated_bytes=Maybe(BYTES),
    reserved_bytes=Maybe(BYTES),
    context_bytes=Maybe(BYTES),
    process_bytes=Maybe(BYTES),
    phases=List(PHASE_PEAK),
    gpu=Maybe(TEXT),
    torch=Maybe(TEXT),
)
SIZES = ("allocated", "reserved", "context", "process")


def _row(row: Measurement) -> dict[str, Any]:
    peaks: dict[str | None, int] = {figure.metric: figure.bytes for figure in row.figures if figure.phase is None}
    phases = (figure for figure in row.figures if figure.phase and figure.metric == "allocated")
    return ROW.write(
        row,
        **{f"{metric}_bytes": peaks.get(metric) for metric in SIZES},
        phases=[{"name": figure.phase, "allocated_bytes": figure.bytes} for figure in phases],
        gpu=row.environment.gpu,
        torch=row.environment.torch,
    )


REFUSED = Shape("refused", line=Whole(1), label=TEXT, reason=TEXT)

SWEEP = Answer(
    "sweep",
    "What sam2-plan measure prints",
    truth=Key(Maybe(words.TRUTH), of=lambda swept: swept.measurements[0].kind if swept.measurements else None),
    ran=Whole(),
    rows=Key(List(ROW), of=lambda swept: [_row(row) for row in swept.measurements]),
    refused=Key(List(REFUSED), of=lambda _: ()),
    profiles=List(TEXT),
)
