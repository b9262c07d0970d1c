"""What `sam2-plan compare` prints: two plans side by side."""

from __future__ import annotations

from planner.nouns.plan import Plan
from planner.wire import words
from planner.wire.kinds import BYTES, FLAG, SIGNED, TEXT, Kind, List, Maybe, Word
from planner.wire.parts import CONFIGURATION
from planner.wire.shapes import Answer, Key, Shape

ANYTHING = Kind(type=["string", "number", "boolean", "null", "array"], items={"type": ["string", "number"]})


def _configuration(plan: Plan) -> object:
    return plan.chosen.configuration if plan.chosen else None


SIDE = Shape(
    "side",
    verdict=words.VERDICT,
    configuration=Key(Maybe(CONFIGURATION), of=_configuration),
    total_bytes=Key(Maybe(BYTES), of=lambda plan: plan.estimate.total_bytes if plan.estimate else None),
    usable_bytes=Key(BYTES, of=lambda plan: plan.budget.usable_bytes),
)

DIFFERENCE = Shape(
    "difference",
    section=Word("request", "budget", "decision", "chosen", "limits", "provenance"),
    name=TEXT,
    first=ANYTHING,
    second=ANYTHING,
)

BESIDE = Shape(
    "beside",
    name=TEXT,
    first_bytes=Maybe(SIGNED),
    second_bytes=Maybe(SIGNED),
    difference_bytes=Key(Maybe(SIGNED), "the second less the first"),
)

COMPARISON = Answer(
    "comparison",
    "What sam2-plan compare prints",
    equal=FLAG,
    first=SIDE,
    second=SIDE,
    differences=List(DIFFERENCE),
    figures=List(BESIDE),
    components=List(BESIDE),
    elsewhere=Key(List(TEXT), "other keys of the plans that differ"),
)
