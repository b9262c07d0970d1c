"""What `sam2-plan checkpoints` prints: the official files, and the one that was fetched."""

from __future__ import annotations

from planner.wire import words
from planner.wire.kinds import BYTES, FLAG, TEXT, List, Maybe, Text, Whole
from planner.wire.shapes import Answer, Shape

CHECKPOINT = Shape(
    "checkpoint",
    variant=words.VARIANT,
    version=words.VERSION,
    name=TEXT,
    file_bytes=Whole(1),
    sha256=Maybe(Text(pattern="^[0-9a-f]{64}$")),
    sha256_source=TEXT,
    address=TEXT,
    hub_id=TEXT,
)

FETCHED = Shape("fetched", path=TEXT, already_there=FLAG, resumed_bytes=BYTES)

CHECKPOINTS = Answer(
    "checkpoints",
    "What sam2-plan checkpoints prints",
    checkpoints=List(CHECKPOINT),
    downloaded=Maybe(FETCHED),
)
