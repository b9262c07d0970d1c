"""What planning for several streams prints."""

from __future__ import annotations

from planner.wire import words
from planner.wire.kinds import BYTES, TEXT, List, Maybe, Number, Whole, Word
from planner.wire.parts import BUDGET
from planner.wire.plan import PLAN
from planner.wire.shapes import Answer, Key, Shape

PACKED_GPU = Shape(
    "packed_gpu",
    budget=BUDGET,
    streams=Whole(),
    process_bytes=Maybe(BYTES),
    upper_bytes=Maybe(BYTES),
    used_bytes=BYTES,
    left_bytes=BYTES,
    cap_bytes=Key(Maybe(BYTES), "what each process there is held to"),
    more_streams=Whole(),
    frames_per_second=Key(Maybe(Number(0)), "of each stream at most"),
    command=Key(Maybe(TEXT), "starts one of its processes"),
    reason=Key(Maybe(TEXT), "why there is no command"),
)

PACKING = Answer(
    "packing",
    "What planning for several streams prints",
    streams=Whole(1),
    verdict=words.VERDICT,
    exit_code=Word(0, 3, 4),
    gpus=List(PACKED_GPU, least=1),
    max_streams=Key(Whole(), "of this configuration"),
    max_streams_smallest=Key(Whole(), "of the smallest configuration"),
    frames_per_second=Key(Maybe(Number(0)), "of all streams together at most"),
    frames_per_second_reason=Maybe(TEXT),
    warnings=List(TEXT),
    plan=Key(PLAN, "the plan of one process"),
)
