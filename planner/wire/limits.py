"""What `sam2-plan limits` prints: how far a budget carries."""

from __future__ import annotations

from typing import Any

from planner.nouns.plan import Stock
from planner.wire import words
from planner.wire.kinds import (
    BYTES,
    FLAG,
    RESOLUTION,
    TEXT,
    UNLIMITED,
    List,
    Maybe,
    Table,
    Whole,
    Word,
)
from planner.wire.parts import BUDGET, CONFIGURATION, REQUEST
from planner.wire.shapes import Answer, Key, Shape

REACH = Shape(
    "reach",
    configuration=CONFIGURATION,
    need_bytes=Key(Maybe(BYTES), "the least that it completes in there, in the way that takes least"),
    total_bytes=Key(Maybe(BYTES), "what it takes with room to spare"),
    upper_bytes=Key(Maybe(BYTES), "bound of the preferred way"),
    limit_bytes=BYTES,
    short_by_bytes=Maybe(Whole(1)),
    max_objects=Maybe(Whole()),
    sure_objects=Maybe(Whole()),
    gpu_objects=Key(Maybe(Whole()), "of max_objects, those with the memory bank on the GPU"),
    host_bytes=Key(Maybe(BYTES), "what the host holds of the request; null where reasons says why"),
    max_frames=Key(Word(UNLIMITED, None), of=lambda reach: UNLIMITED if reach.unlimited_frames else None),
    max_square=Maybe(RESOLUTION),
    sure_square=Maybe(RESOLUTION),
    max_shaped=Maybe(RESOLUTION),
    sure_shaped=Maybe(RESOLUTION),
    extrapolated=List(Word("max_objects", "max_square", "max_shaped")),
    reasons=Key(Table(TEXT), "why a figure is null, by its name"),
)


def _longest(stock: Stock) -> int | None:
    first = stock.first_frame_out_of_memory
    return None if first is None else first - 1


def _fits(stock: Stock) -> bool:
    longest = _longest(stock)
    return stock.fits if longest is None else longest > 0


_PREDICTOR: dict[str, Any] = dict(
    configuration=CONFIGURATION,
    max_frames=Key(Maybe(Whole()), "of the longest clip that fits; null for other tasks than video", of=_longest),
    total_bytes=Maybe(BYTES),
    least_bytes=Key(Maybe(BYTES), "what it completes in, all cache given back"),
    fits=Key(FLAG, "of a video: with at least one frame", of=_fits),
    tight=Key(FLAG, "whether it completes only by giving cache back"),
    reason=TEXT,
)

STOCK = Shape("stock", **_PREDICTOR)
OTHER = Shape(
    "other",
    runtime=words.DRIVEN_RUNTIME,
    streaming=Key(FLAG, "of transformers: whether frames are given one by one, instead of the whole clip at first"),
    **_PREDICTOR,
)

LIMITS = Answer(
    "limits",
    "What sam2-plan limits prints",
    exit_code=Word(0, 3),
    request=REQUEST,
    budget=BUDGET,
    reach=List(REACH),
    stock=List(STOCK),
    others=Key(List(OTHER), "the same of the other runtimes that were asked for"),
    warnings=List(TEXT),
)
