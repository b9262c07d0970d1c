"""What `sam2-plan confirm` prints: what was predicted beside what a run took."""

from __future__ import annotations

from typing import Any

from planner.wire import words
from planner.wire.kinds import BYTES, FLAG, SIGNED, SIZE, TEXT, Endless, List, Maybe, Number, Table, Whole, Word
from planner.wire.parts import CONFIGURATION
from planner.wire.shapes import Answer, Key, Shape

COMPARED = Shape(
    "compared",
    name=TEXT,
    predicted_bytes=Key(Maybe(BYTES), of="predicted"),
    found_bytes=Key(Maybe(SIGNED), of="found"),
    difference_bytes=Key(Maybe(SIGNED), of="difference"),
)


def _measured(kind: Any, name: str) -> Key:
    return Key(kind, of=lambda found: getattr(found.measured, name))


CONFIRMATION = Answer(
    "confirmation",
    "What sam2-plan confirm prints",
    confirmed=FLAG,
    exit_code=Word(0, 5),
    truth=words.TRUTH,
    summary=TEXT,
    cap_bytes=Whole(1),
    gpu=Maybe(TEXT),
    configuration=CONFIGURATION,
    task=Key(TEXT, of=lambda found: found.workload.task),
    objects=Key(Whole(1), of=lambda found: found.workload.objects),
    frames=Endless(Whole(1)),
    frame_size=Key(SIZE, of=lambda found: found.workload.frame_size),
    weights=TEXT,
    outcome=_measured(Word("ran", "out_of_memory"), "outcome"),
    message=_measured(Maybe(TEXT), "error"),
    failed_phase=_measured(Maybe(TEXT), "phase"),
    alone=_measured(Maybe(FLAG), "alone"),
    seconds_per_frame=_measured(Maybe(Number()), "seconds_per_frame"),
    upper_bytes=Key(BYTES, of=lambda found: found.predicted.upper_bytes),
    within_upper_bound=Maybe(FLAG),
    unaccounted_bytes=Maybe(SIGNED),
    components=List(COMPARED),
    phases=List(COMPARED),
    versions=_measured(Table(Maybe(TEXT)), "versions"),
    recorded=Maybe(TEXT),
)
