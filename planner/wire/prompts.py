"""What `sam2-plan run --prompts` reads: the schema only, since planner.prompts takes the same from Python."""

from __future__ import annotations

from planner.wire.kinds import FLAG, SOME_TEXT, TEXT, Kind, List, Maybe, Number, OneOf, Pair, Whole, Word
from planner.wire.shapes import Either, Key, Shape

LARGEST = 2**31 - 1


def _given(kind: Kind, description: str) -> Key:
    return Key(Maybe(kind), description, optional=True)


RUN_LENGTHS = Shape(
    "run_lengths",
    size=Key(Pair(Whole(1)), "[height, width]"),
    counts=Key(
        OneOf(TEXT, List(Whole())),
        "As pycocotools.mask.encode gives it, or the runs of background and object in turn.",
    ),
)

MASK = OneOf(Kind(type="null"), SOME_TEXT, RUN_LENGTHS)

PROMPT = Shape(
    "prompt",
    frame=_given(Whole(0, LARGEST), "From 0, which is the default."),
    object=_given(Whole(1, LARGEST), "From 1. Without it the entry is a new object, numbered after the largest given."),
    points=_given(List(Pair(Number(0))), "[x, y] in source pixels."),
    labels=_given(List(Word(0, 1)), "One per point: 1 for the object (the default), 0 for background."),
    box=_given(
        List(Number(), least=4, most=4),
        "[x0, y0, x1, y1] in source pixels: left, top, right, bottom. What reaches out by a pixel or two is clipped.",
    ),
    mask=Key(
        MASK,
        "An image file, relative to this one, or COCO run lengths; at the size of the source. Of a label picture the "
        "pixels of the object's number.",
        optional=True,
    ),
    end=_given(FLAG, "The object is gone from this frame on, in the direction of tracking; stands alone."),
).under(
    anyOf=[
        {"properties": {"points": {"type": "array", "minItems": 1}}, "required": ["points"]},
        {"properties": {"box": {"type": "array"}}, "required": ["box"]},
        {"properties": {"mask": {"type": ["string", "object"]}}, "required": ["mask"]},
        {"properties": {"end": {"const": True}, "object": {"type": "integer"}}, "required": ["end", "object"]},
    ]
)

PROMPTS = Either(
    "What sam2-plan run --prompts reads: objects pointed at, in source pixels",
    Shape("file", prompts=List(PROMPT, least=1)),
    List(PROMPT, least=1),
)
