"""What `sam2-plan report` prints."""

from __future__ import annotations

from planner.wire import words
from planner.wire.kinds import TEXT, List, Maybe, Whole
from planner.wire.shapes import Answer, Key, Shape

SHOWN = Shape("shown", name=TEXT, kind=TEXT, verdict=Maybe(words.VERDICT))

REPORT = Answer(
    "report",
    "What sam2-plan report prints",
    path=TEXT,
    bytes=Key(Whole(1), "the size of the page"),
    answers=List(SHOWN, least=1),
)
