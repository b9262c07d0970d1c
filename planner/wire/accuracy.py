"""What `sam2-plan accuracy` prints; errors are relative and signed, positive for too much."""

from __future__ import annotations

from planner.wire.kinds import BYTES, FLAG, SIGNED, TEXT, List, Maybe, Number, Pair, Table, Whole, Word
from planner.wire.shapes import Answer, Key, Shape

TRUTH = Word("published", "measured", "rehearsed")
SHARE = Number(0, 1)

SCORE = Shape(
    "score",
    rows=Whole(1),
    median_error=Number(0),
    p95_error=Number(0),
    within=SHARE,
    worst_under_bytes=BYTES,
    worst_under=Number(most=0),
    covered=Maybe(Whole()),
    coverage=Key(Maybe(Pair(SHARE)), "Clopper-Pearson, 95 %"),
    over_provision=Maybe(Number()),
    failing=SHARE,
    conserved_bytes=SIGNED,
)

GROUP = Shape(
    "group",
    by=TEXT,
    name=TEXT,
    truth=TRUTH,
    score=Maybe(SCORE),
    reason=Key(Maybe(TEXT), of=lambda group: group.reason or None),
)

PUBLIC = Shape(
    "public",
    what=TEXT,
    gpu=TEXT,
    torch=TEXT,
    at_most=FLAG,
    published_bytes=BYTES,
    simulated_bytes=BYTES,
    source=TEXT,
    error=Number(),
)

OTHER = Shape("other", estimator=TEXT, name=TEXT, truth=TRUTH, score=SCORE)

PUBLISHED = Shape(
    "published",
    id=TEXT,
    truth=Word("published"),
    metric=Word("allocated", "total"),
    runtime=TEXT,
    published_bytes=BYTES,
    predicted_bytes=BYTES,
    error=Number(),
    left_out_bytes=BYTES,
    left_out_error=Number(),
)

MARGIN = Shape("margin", runtime=TEXT, task=TEXT, kind=Word("usual", "other"), ratio=Number(0), rows=Whole())

ACCURACY = Answer(
    "accuracy",
    "What sam2-plan accuracy prints",
    memory_model=TEXT,
    profiles=List(TEXT),
    versions=Table(TEXT),
    public=List(PUBLIC),
    whole=List(GROUP),
    unnamed=List(GROUP),
    allocated=List(GROUP),
    held_out=List(GROUP),
    others=List(OTHER),
    published=List(PUBLISHED),
    upper_bound=Shape("upper_bound", margins=List(MARGIN), beyond=Number(0)),
)
