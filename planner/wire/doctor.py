"""What `sam2-plan doctor` prints; its part `machine` is what --simulate-gpu reads."""

from __future__ import annotations

from planner.wire import words
from planner.wire.kinds import BYTES, FLAG, RELEASE, TEXT, List, Maybe, Table, Whole
from planner.wire.shapes import Answer, Shape

PROCESS = Shape("process", pid=Whole(), kind=words.PROCESS_KIND, bytes=Maybe(BYTES))

PRESENT_GPU = Shape(
    "gpu",
    index=Whole(),
    place=Whole(),
    name=Maybe(TEXT),
    card_bytes=Maybe(Whole(1)),
    card_free_bytes=Maybe(BYTES),
    limit_bytes=Maybe(Whole(1)),
    driver=Maybe(TEXT),
    cuda=Maybe(TEXT),
    display_attached=Maybe(FLAG),
    display_active=Maybe(FLAG),
    mig_mode=Maybe(FLAG),
    slice=Maybe(TEXT),
    unified=Maybe(FLAG),
    uuid=Maybe(TEXT),
    capability=Maybe(RELEASE),
    processes=Maybe(List(PROCESS)),
    reasons=Table(TEXT),
)

MACHINE = Shape(
    "machine",
    system=TEXT,
    architecture=TEXT,
    processors=Maybe(Whole(1)),
    python=TEXT,
    container=Maybe(TEXT),
    host_bytes=Maybe(BYTES),
    host_free_bytes=Maybe(BYTES),
    host_limit_bytes=Maybe(BYTES),
    gpus=List(PRESENT_GPU),
    versions=Table(Maybe(TEXT)),
    reasons=Table(TEXT),
)

PREDICTIONS = Shape(
    "predictions",
    memory_model=TEXT,
    profiles=List(TEXT),
    versions=Table(TEXT),
    fitted=FLAG,
    corrected_gpus=List(TEXT),
    measured_rows=Whole(),
)

DOCTOR = Answer(
    "doctor",
    "What sam2-plan doctor prints, and --simulate-gpu replays",
    sam2_plan=TEXT,
    machine=MACHINE,
    environment=Table(TEXT),
    predictions=PREDICTIONS,
    can=Shape("can", plan=FLAG, simulate=FLAG, run=FLAG, measure=FLAG),
    missing=List(TEXT),
    unknown=List(Shape("unknown", of=TEXT, what=TEXT, why=TEXT)),
)
