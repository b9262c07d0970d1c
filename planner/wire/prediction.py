"""What `sam2-plan predict` prints."""

from __future__ import annotations

from planner.wire import words
from planner.wire.kinds import BYTES, TEXT, List, Maybe
from planner.wire.parts import ANY_CONFIGURATION, ESTIMATE, WORKLOAD
from planner.wire.shapes import Answer, Key, Shape

BESIDE = Shape(
    "beside",
    runtime=words.RUNTIME,
    origin=words.ORIGIN,
    allocated_bytes=Maybe(BYTES),
    reserved_bytes=Maybe(BYTES),
    total_bytes=Maybe(BYTES),
    least_bytes=Key(Maybe(BYTES), "what it completes in; publications do not say"),
    upper_bytes=Maybe(BYTES),
    host_bytes=Maybe(BYTES),
    note=Key(Maybe(TEXT), "why there are no figures; of a publication what it measured, and where it stands"),
)

PREDICTION = Answer(
    "prediction",
    "What sam2-plan predict prints",
    runtime=Key(words.RUNTIME, "whose code runs"),
    configuration=ANY_CONFIGURATION,
    workload=WORKLOAD,
    estimate=ESTIMATE,
    runtimes=Key(List(BESIDE, least=2), "the same on our runtime and on stock's, and what was published of it"),
)
