"""A plan: what planning prints and what is saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.nouns.answers import Explained
from planner.nouns.elsewhere import Elsewhere
from planner.nouns.estimate import Asked, Estimate
from planner.nouns.plan import Choice, Limits, Provenance, Rejection, Stock, Suggestion
from planner.wire import words
from planner.wire.kinds import (
    BYTES,
    FLAG,
    RESOLUTION,
    TEXT,
    UNLIMITED,
    List,
    Maybe,
    Number,
    OrWord,
    Table,
    Text,
    Whole,
    Word,
)
from planner.wire.parts import BUDGET, CONFIGURATION, ESTIMATE, REQUEST
from planner.wire.shapes import Answer, Key, Part, Same, Shape

QUALITY = Maybe(Number(0, 100))

CHOICE = Shape(
    "choice",
    configuration=Part(CONFIGURATION),
    quality=Key(QUALITY, "in percent; null where nothing is published that would say it"),
    quality_is_estimate=FLAG,
    quality_metric=Key(Maybe(TEXT), "such as J&F on SA-V test; null beside a quality of null", before=None),
    quality_reason=Key(Maybe(TEXT), "why quality is null", before=None),
    frames_per_second=Maybe(Number(0)),
    frames_per_second_of=Key(Maybe(TEXT), "whose code, card, mode and source of the speed", before=None),
    frames_per_second_reason=Key(Maybe(TEXT), before=None),
)

REJECTION = Shape(
    "rejection",
    Rejection,
    configuration=CONFIGURATION,
    need_bytes=Key(Maybe(BYTES), "the least that it completes in; or of the host what it would hold"),
    total_bytes=Key(Maybe(BYTES), "what it takes with room to spare", before=Same("need_bytes")),
    limit_bytes=BYTES,
    short_by_bytes=Maybe(BYTES),
    component=TEXT,
    reason=TEXT,
)


def _limits(max_frames: Any, **rest: Any) -> Limits:
    unlimited = max_frames == UNLIMITED
    return Limits(max_frames=None if unlimited else max_frames, unlimited_frames=unlimited, **rest)


LIMITS = Shape(
    "limits",
    _limits,
    max_objects=Maybe(Whole()),
    sure_objects=Maybe(Whole()),
    gpu_objects=Key(Maybe(Whole()), "of max_objects, those with the memory bank on the GPU"),
    max_frames=Key(
        OrWord(Maybe(Whole()), UNLIMITED), of=lambda limits: UNLIMITED if limits.unlimited_frames else limits.max_frames
    ),
    max_resolution=Maybe(RESOLUTION),
    sure_resolution=Maybe(RESOLUTION),
    smallest_total_bytes=Maybe(BYTES),
    smallest_card=Maybe(TEXT),
    reasons=Table(TEXT),
)

_PREDICTOR: dict[str, Any] = dict(
    configuration=CONFIGURATION,
    total_bytes=Maybe(BYTES),
    least_bytes=Key(Maybe(BYTES), "what it completes in, all cache given back", before=Same("total_bytes")),
    host_bytes=Key(
        Maybe(BYTES),
        "what it holds in the host's memory; null of a clip without end and of what it cannot run",
        before=None,
    ),
    fits=FLAG,
    tight=Key(FLAG, "whether it completes only by giving cache back", before=False),
    first_frame_out_of_memory=Key(
        Maybe(Whole(1)), "counted from 1; for an endless clip the shortest length that no longer fits"
    ),
    reason=Text(none_too=True),
)

STOCK = Shape("stock", Stock, **_PREDICTOR)

OTHER = Shape(
    "other",
    Elsewhere,
    runtime=words.DRIVEN_RUNTIME,
    streaming=Key(FLAG, "of transformers: whether frames are given one by one, instead of the whole clip at first"),
    **_PREDICTOR,
)

EXPLAINED = Shape(
    "explained",
    Explained,
    rank=Whole(1),
    outcome=words.STANDING,
    configuration=CONFIGURATION,
    quality=Key(QUALITY, "in percent; null where nothing is published that would say it"),
    quality_is_estimate=FLAG,
    quality_reason=Key(Maybe(TEXT), "why it is null", before=None),
    frames_per_second=Maybe(Number()),
    frames_per_second_reason=Key(Maybe(TEXT), "why it is null", before=None),
    need_bytes=Key(Maybe(BYTES), "the least that it completes in"),
    total_bytes=Key(Maybe(BYTES), "what it takes with room to spare", before=Same("need_bytes")),
    upper_bytes=Maybe(BYTES),
    limit_bytes=BYTES,
    short_by_bytes=Maybe(Whole(1)),
    left_bytes=Maybe(BYTES),
    component=Key(Maybe(TEXT), "what takes most more than in the choice, or the capability that is missing"),
    component_bytes=Maybe(BYTES),
    excess_bytes=Key(Maybe(Whole(1)), "how much more that is"),
    lost_by=Maybe(words.LOST_BY),
    reason=TEXT,
)


def _alternative(chosen: Mapping[str, Any], estimate: Estimate) -> Choice:
    return Choice(**chosen, estimate=estimate)


ALTERNATIVE = Shape("alternative", _alternative, chosen=Key(CHOICE, of=lambda choice: choice), estimate=ESTIMATE)

SUGGESTION = Shape("suggestion", Suggestion, change=TEXT, command=TEXT)

ASKED = Shape("asked", Asked, runs=Whole(), remembered=Whole(), left=Whole())

PROVENANCE = Shape(
    "provenance",
    Provenance,
    profiles=List(TEXT),
    memory_model=TEXT,
    versions=Table(TEXT),
    exact=Key(Maybe(ASKED), "what an exact plan took to make"),
)

PLAN = Answer(
    "plan",
    "A plan of sam2-plan",
    request=REQUEST,
    budget=BUDGET,
    verdict=words.VERDICT,
    strict=FLAG,
    exit_code=Word(0, 3, 4),
    chosen=Maybe(CHOICE),
    estimate=Maybe(ESTIMATE),
    alternatives=List(ALTERNATIVE),
    rejected=List(REJECTION),
    limits=LIMITS,
    stock=STOCK,
    others=Key(List(OTHER), "the same on the other runtimes that were asked for", before=()),
    **{"try": Key(List(SUGGESTION), of="suggestions")},
    warnings=List(TEXT),
    command=Maybe(TEXT),
    command_reason=Maybe(TEXT),
    candidates=Whole(),
    provenance=PROVENANCE,
    explained=Key(Maybe(List(EXPLAINED)), "every candidate class in order of preference"),
)
