"""What `sam2-plan rehearse` prints, of a plan or of a command."""

from __future__ import annotations

from typing import Any

from planner.wire import words
from planner.wire.confirmation import COMPARED
from planner.wire.kinds import BYTES, FLAG, RELEASE, SIZE, TEXT, List, Maybe, Number, Table, Whole, Word
from planner.wire.parts import CONFIGURATION
from planner.wire.shapes import Answer, Key, Shape

IMAGINARY_GPU = Shape(
    "gpu",
    name=TEXT,
    capability=RELEASE,
    multiprocessors=Whole(1),
    memory_bytes=Key(Whole(1), of="total_bytes"),
    context_bytes=BYTES,
)

PREDICTED = Shape(
    "predicted",
    allocated_bytes=BYTES,
    reserved_bytes=BYTES,
    context_bytes=BYTES,
    total_bytes=BYTES,
    upper_bytes=BYTES,
    within_upper_bound=Maybe(FLAG),
)


def _predicted(found: Any) -> dict[str, Any] | None:
    one = found.predicted
    return None if one is None else PREDICTED.write(one, within_upper_bound=found.within_upper_bound)


REHEARSED_PLAN = Shape(
    "plan",
    runtime=words.DRIVEN_RUNTIME,
    configuration=CONFIGURATION,
    task=Key(words.TASK, of=lambda found: found.workload.task),
    objects=Key(Whole(1), of=lambda found: found.workload.objects),
    frames=Maybe(Whole(1)),
    frame_size=Key(SIZE, of=lambda found: found.workload.frame_size),
    steps=List(TEXT),
)

MOMENT = Shape(
    "moment",
    requested_bytes=BYTES,
    places=List(Shape("place", file=TEXT, line=Whole(), function=TEXT)),
)

PROCESS = Shape(
    "process",
    pid=Whole(1),
    device=Whole(),
    allocated_bytes=BYTES,
    reserved_bytes=BYTES,
    retries=Whole(),
    out_of_memory=Whole(),
)

COMMAND = Shape(
    "command",
    words=Key(List(TEXT, least=1), of="command"),
    peak=Maybe(MOMENT),
    ran_out_at=Maybe(MOMENT),
    processes=List(PROCESS),
)

REHEARSAL = Answer(
    "rehearsal",
    "What sam2-plan rehearse prints",
    completed=FLAG,
    exit_code=Word(0, 1, 5),
    gpu=Key(TEXT, of=lambda found: found.gpus[0].name),
    gpus=List(IMAGINARY_GPU, least=1, most=8),
    memory_bytes=Whole(1),
    versions=Table(Maybe(TEXT)),
    ran_out=FLAG,
    out_of_memory=Maybe(Whole()),
    retries=Maybe(Whole()),
    allocated_bytes=Maybe(BYTES),
    reserved_bytes=Maybe(BYTES),
    context_bytes=BYTES,
    total_bytes=Maybe(BYTES),
    least_bytes=Maybe(Whole(1)),
    kernels=Whole(),
    kernels_per_frame=Maybe(Number(0)),
    milliseconds_per_frame=Maybe(Number(0)),
    components=List(COMPARED),
    phases=List(COMPARED),
    predicted=Key(Maybe(PREDICTED), of=_predicted),
    plan=Key(Maybe(REHEARSED_PLAN), of=lambda found: found if found.predicted is not None else None),
    command=Key(Maybe(COMMAND), of=lambda found: found if found.command else None),
    exit_status=Maybe(Whole()),
    message=Maybe(TEXT),
    notes=List(TEXT),
)
