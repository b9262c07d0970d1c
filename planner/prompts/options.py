"""Prompts as the command line writes them: --point 2:640,360 --box 10,20,300,400 --mask 3:cat.png, all on one frame.

Only text becomes data here; whether a point lies within the picture is seen where the picture is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from planner.errors import UsageError

POINT_FORMS = "Write --point X,Y or --point OBJECT:X,Y in source pixels, such as 640,360 or 2:640,360."
BOX_FORMS = "Write --box X0,Y0,X1,Y1 or --box OBJECT:X0,Y0,X1,Y1: left, top, right, bottom, in source pixels."
MASK_FORMS = (
    "Write --mask FILE or --mask OBJECT:FILE, such as cat.png or 3:cat.png; a name like 3:cat.png as ./3:cat.png."
)
END_FORMS = "Write --end OBJECT:FRAME, such as 2:120: from frame 120 on object 2 has no mask."
_PREFIX = re.compile(r"\s*(\d+)\s*:(.*)", re.ASCII | re.DOTALL)
_NUMBER = re.compile(r"\s*[-+]?(\d{1,12}(\.\d{0,12})?|\.\d{1,12})\s*", re.ASCII)
_LARGEST_DIGITS = 9


class Unnumbered(int):
    """An object's number that nobody chose, and which hence means nothing in a label picture."""


def prompts_from_options(
    points: Sequence[str], boxes: Sequence[str], masks: Sequence[str], ends: Sequence[str] = (), start: int = 0
) -> list[dict[str, Any]]:
    r"""Entries for `prompts_from`: [OBJECT:]X,Y, [OBJECT:]X0,Y0,X1,Y1 and [OBJECT:]FILE on frame `start`, OBJECT:FRAME.

    Without a prefix each is a new object, numbered from 1 past the numbers that are given; points and a box of one
    object are put together. Only digits before a colon are an object, so C:\x.png is a file. Raises UsageError.
    """
    read = [
        *(("points", *_numbers(text, 2, "point", POINT_FORMS)) for text in points),
        *(("box", *_numbers(text, 4, "box", BOX_FORMS)) for text in boxes),
        *(("mask", *_file(text)) for text in masks),
    ]
    free = _free_numbers({number for _, number, _ in read if number is not None})
    entries: dict[int, dict[str, Any]] = {}
    for key, given, value in read:
        number = Unnumbered(next(free)) if given is None else given
        entry = entries.setdefault(number, {"frame": start, "object": number})
        if key == "points":
            entry.setdefault("points", []).append(value)
        elif key in entry:
            raise UsageError(f"Object {number} has two of --{key}.", "Give each object one box or one mask.")
        else:
            entry[key] = value
    return [*entries.values(), *map(_end, ends)]


def _end(text: str) -> dict[str, Any]:
    given, rest = _split(text, END_FORMS)
    if given is None or not rest.strip().isdecimal() or len(rest.strip()) > _LARGEST_DIGITS:
        raise UsageError(f"{text!r} is not the end of an object.", END_FORMS)
    return {"frame": int(rest), "object": given, "end": True}


def _free_numbers(taken: set[int]) -> Iterator[int]:
    number = 0
    while True:
        number += 1
        if number not in taken:
            yield number


def _numbers(text: str, count: int, option: str, forms: str) -> tuple[int | None, list[float]]:
    given, rest = _split(text, forms)
    parts = rest.split(",")
    if len(parts) != count or not all(_NUMBER.fullmatch(part) for part in parts):
        raise UsageError(f"{text!r} is not a {option}.", forms)
    return given, [float(part) for part in parts]


def _file(text: str) -> tuple[int | None, str]:
    given, rest = _split(text, MASK_FORMS)
    if not rest.strip():
        raise UsageError(f"{text!r} names no file.", MASK_FORMS)
    return given, rest


def _split(text: str, forms: str) -> tuple[int | None, str]:
    match = _PREFIX.fullmatch(text)
    if match is None:
        return None, text
    digits = match[1].lstrip("0")
    if not digits or len(digits) > _LARGEST_DIGITS:
        raise UsageError(f"{text!r} has no object of that number.", f"Number objects from 1. {forms}")
    return int(digits), match[2]
