"""What `sam2-plan run` prints: what lies where, how fast it went, what it took beside the plan."""

from __future__ import annotations

from planner.nouns.watched import MemorySample
from planner.wire import words
from planner.wire.kinds import BYTES, FLAG, SIZE, TEXT, List, Maybe, Number, Whole
from planner.wire.parts import CONFIGURATION
from planner.wire.shapes import Answer, Key, Shape

FILES = Shape(
    "files",
    save=words.SAVE,
    path=Key(TEXT, "a file, or the folder of files per frame"),
    files=Whole(),
    size_bytes=Key(BYTES, "on disk, all of them", of="bytes"),
)

SAMPLE = Shape(
    "sample",
    MemorySample,
    seconds=Key(Number(0), "that the run had taken, loading left out"),
    frames=Whole(),
    allocated_bytes=Key(BYTES, "the most since the sample before, as are the others"),
    reserved_bytes=BYTES,
    process_bytes=Key(Maybe(BYTES), "what the driver counts for the process, context included"),
)

MEMORY = Shape(
    "memory",
    allocated_bytes=Key(Maybe(BYTES), "peak"),
    reserved_bytes=Key(Maybe(BYTES), "peak"),
    reason=Key(Maybe(TEXT), "why they are null"),
    planned_allocated_bytes=BYTES,
    planned_reserved_bytes=BYTES,
    planned_total_bytes=Key(BYTES, "reserved + context"),
    samples=Key(List(SAMPLE), "how it went, evenly over time; few, however long the run"),
)

STEP = Shape(
    "step",
    frame=Maybe(Whole()),
    reason=TEXT,
    configuration=CONFIGURATION,
    carried_over=Key(FLAG, "the memory bank went along; else the objects were prompted again by their last masks"),
)

RUN = Answer(
    "run",
    "What sam2-plan run prints",
    already_finished=Key(FLAG, "an earlier call had done it all; this one did nothing"),
    task=words.TASK,
    input=Key(TEXT, of="source"),
    out=Key(TEXT, "the folder"),
    configuration=CONFIGURATION,
    weights=Key(TEXT, "the checkpoint, or random and the seed"),
    device=Key(TEXT, "as torch names it"),
    frame_size=SIZE,
    frames=Key(Whole(), "with masks, those of earlier calls included"),
    frames_before=Key(Whole(), "of these, done by earlier calls"),
    objects=Key(Whole(), "tracked or prompted; automatic masks found"),
    files=Key(List(FILES), of="written"),
    seconds=Key(Number(0), "tracking and writing, loading left out", of=lambda run: round(run.seconds, 3)),
    frames_per_second=Key(
        Maybe(Number(0)),
        of=lambda run: None if run.frames_per_second is None else round(run.frames_per_second, 3),
    ),
    frames_per_second_reason=Key(
        Maybe(TEXT), of=lambda run: "no time was taken" if run.frames_per_second is None else None
    ),
    memory=MEMORY,
    fallback_steps=Key(List(STEP), of="steps"),
    warnings=List(TEXT),
)
