"""What `sam2-plan fit` prints: the corrections of a fit; with --check whether it is what ships."""

from __future__ import annotations

from planner.wire.kinds import BYTES, FLAG, TEXT, List, Maybe, Number, Table, Whole
from planner.wire.shapes import Answer, Either, Key, Shape

CORRECTION = Shape(
    "correction",
    gpu=TEXT,
    runtime=TEXT,
    allocated_ratio=Number(0),
    reserved_ratio=Number(0),
    context_bytes=Maybe(BYTES),
    upper_ratio=Key(Number(1), of=lambda correction: 1 + correction.margin.ratio),
    rows=Key(Whole(), of=lambda correction: correction.margin.rows),
    notes=List(TEXT),
)

FITTED = Answer(
    "fit",
    "What sam2-plan fit prints",
    memory_model=TEXT,
    profiles=List(TEXT),
    own_rows=Table(Whole()),
    corrections=List(CORRECTION),
    path=Maybe(TEXT),
    path_reason=Maybe(TEXT),
)

CHECKED = Answer("fit", "What sam2-plan fit --check prints", same=FLAG)

FIT = Either(FITTED.title, FITTED, CHECKED)
