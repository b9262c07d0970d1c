"""What `sam2-plan check` prints: a plan held against a machine."""

from __future__ import annotations

from planner.wire import words
from planner.wire.kinds import BYTES, FLAG, TEXT, Kind, List, Maybe, Number, Text, Whole, Word
from planner.wire.parts import BUDGET, CONFIGURATION, ESTIMATE, WORKLOAD
from planner.wire.shapes import Answer, Key, Shape

FIGURES = Kind(type="object", patternProperties={"_bytes$": Maybe(BYTES).schema({})}, additionalProperties=True)

CHECKED = Shape(
    "checked",
    name=TEXT,
    status=words.STATUS,
    found=TEXT,
    action=Maybe(TEXT),
    exit_code=Key(Word(0, 1, 2, 3), of=lambda check: check.exit_code if check.status == "fail" else 0),
    figures=FIGURES,
    exception=Key(Maybe(Shape("exception", rule=TEXT, until=Text(format="date"), reason=TEXT)), of="excepted"),
)

COUNTS = Shape("counts", **{"pass": Whole()}, warn=Whole(), fail=Whole(), skip=Whole())

CHECK = Answer(
    "check",
    "What sam2-plan check prints",
    sam2_plan=TEXT,
    plan=Key(TEXT, of="name"),
    status=Word("pass", "warn", "fail"),
    exit_code=Whole(0, 255),
    strict=FLAG,
    configuration=Key(
        Maybe(CONFIGURATION), of=lambda found: found.plan.chosen.configuration if found.plan.chosen else None
    ),
    workload=WORKLOAD,
    budget=Maybe(BUDGET),
    budget_reason=Key(
        Maybe(TEXT), of=lambda found: None if found.budget else "no GPU was found, and no budget was given"
    ),
    estimate=Maybe(ESTIMATE),
    policy=Maybe(TEXT),
    policy_mode=Maybe(words.POLICY_MODE),
    waited_seconds=Number(0),
    replayed=Maybe(TEXT),
    checks=List(CHECKED, least=1),
    counts=Key(
        COUNTS,
        of=lambda found: {name: sum(check.status == name for check in found.checks) for name in COUNTS.keys},
    ),
)
