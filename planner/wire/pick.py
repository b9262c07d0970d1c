"""What `sam2-plan pick` prints: the GPUs that were picked, and what the others lack."""

from __future__ import annotations

from planner.wire.kinds import SIGNED, SOME_TEXT, TEXT, List, Maybe, Word
from planner.wire.parts import GPU
from planner.wire.shapes import Answer, Key, Shape

OFFER = Shape(
    "offer",
    gpu=GPU,
    slice=Maybe(TEXT),
    status=Key(Word("pass", "warn", "fail"), of=lambda offer: offer.check.status),
    found=Key(TEXT, of=lambda offer: offer.check.found),
    left_bytes=SIGNED,
)

PICK = Answer(
    "pick",
    "What sam2-plan pick prints",
    value=Key(SOME_TEXT, "for CUDA_VISIBLE_DEVICES"),
    picked=List(OFFER, least=1),
    others=List(OFFER),
)
