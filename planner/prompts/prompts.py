"""What the user points at: points, boxes and masks of objects on frames, checked once, where they enter.

Coordinates are source pixels, x to the right and y down. Knows neither the resolution that SAM 2 computes at
nor how prompts are written in files and options.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import FileError, PlannerError, UsageError
from planner.prompts.masks import Mask, MaskSize, mask_from
from planner.prompts.options import Unnumbered
from planner.prompts.places import PromptWarning, listed, part_inside, pixels_of_shares, reaches_far
from planner.text.spelling import remedy
from planner.text.strict_yaml import Mapping as DocumentMapping
from planner.text.units import counted

KEYS = ("frame", "object", "points", "labels", "box", "mask", "end")
PROMPT_FORMS = (
    'Write {"frame": 0, "object": 1, "points": [[x, y]], "labels": [1]}, or "box": [x0, y0, x1, y1], or "mask".'
)
LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prompt:
    """One object on one frame: points, a box, points and a box, or a mask."""

    frame: int
    """From 0."""
    object: int
    """From 1; 0 is the background of indexed masks."""
    points: tuple[tuple[float, float], ...] = ()
    """(x, y) in source pixels."""
    labels: tuple[int, ...] = ()
    """One per point: 1 object, 0 background."""
    box: tuple[float, float, float, float] | None = None
    """x0, y0, x1, y1 in source pixels."""
    mask: Mask | None = None
    """Height × width of the source, read-only."""
    end: bool = False
    """The object is not there from this frame on; nothing else is given then."""

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Prompt):
            return NotImplemented
        if self._geometry() != other._geometry() or (self.mask is None) != (other.mask is None):
            return False
        return self.mask is None or other.mask is None or np.array_equal(self.mask, other.mask)

    def __hash__(self) -> int:
        return hash(self._geometry())

    def _geometry(self) -> tuple[Any, ...]:
        return self.frame, self.object, self.points, self.labels, self.box, self.end

    @property
    def only_points(self) -> bool:
        """True where more points may be added."""
        return self.box is None and self.mask is None and not self.end


def prompts_from(
    items: Iterable[Mapping[str, Any] | Prompt], size: tuple[int, int], length: int | None, orientation: str = ""
) -> tuple[Prompt, ...]:
    """Prompts of mappings with the keys frame (default 0), object, points, labels (default 1), box, mask, end.

    An entry without an object is a new one, numbered after the largest given. `size` is the picture's (height, width),
    `length` the clip's frames if known; `orientation` is said with places that lie outside. Points for the same frame
    and object are put together. A box that reaches out by at most 2 pixels or 1 % of the side is clipped, with a
    PromptWarning. Raises UsageError that names the entry, counted from 1, and FileError for a mask's file.
    """
    return checked(items, size, length, None, orientation)


def checked(
    items: Iterable[Mapping[str, Any] | Prompt],
    size: tuple[int, int],
    length: int | None,
    file: Path | None,
    orientation: str = "",
) -> tuple[Prompt, ...]:
    """As `prompts_from`; of a file, faults name it with their line, and masks are looked for beside it."""
    if isinstance(items, (str, bytes, Mapping, Prompt)) or not isinstance(items, Iterable):
        raise UsageError(f"Prompts must be a list, not {_shown(items)}.", f"{PROMPT_FORMS} Put it in a list.")
    entries = [_Entry(item, number, file, orientation) for number, item in enumerate(items, 1)]
    objects = [entry.given_object() for entry in entries]
    free = max((number for number in objects if number is not None), default=0)
    prompts: dict[tuple[int, int], Prompt] = {}
    for entry, number in zip(entries, objects, strict=True):
        if number is None:
            free = number = free + 1
        prompt = entry.prompt(number, size, length)
        place = prompt.frame, prompt.object
        prompts[place] = entry.joined(prompts[place], prompt) if place in prompts else prompt
    return tuple(prompts.values())


def _empty(value: object) -> bool:
    """No points, no labels, no end. A mask is an array, which does not compare with ()."""
    return value is False or (isinstance(value, tuple) and not value)


class _Entry:
    """One entry of the list and where it stands."""

    def __init__(self, item: object, number: int, file: Path | None, orientation: str = "") -> None:
        if isinstance(item, Prompt):
            given = {key: getattr(item, key) for key in KEYS}
            values: Mapping[Any, Any] = {
                key: value for key, value in given.items() if value is not None and not _empty(value)
            }
        elif isinstance(item, Mapping):
            values = item
        else:
            values = {}
        self._values, self._number, self._file, self._orientation = values, number, file, orientation
        if not isinstance(item, (Mapping, Prompt)):
            raise self.fault(f"is {_shown(item)}, not a mapping", PROMPT_FORMS)
        for key in values:
            if key not in KEYS:
                raise self.fault(f"has an unknown {key!r}", remedy(key, KEYS, "Known here"), key)

    def fault(self, message: str, hint: str, key: str | None = None) -> PlannerError:
        """The error for this entry: of a file with its line."""
        fault = UsageError if self._file is None else FileError
        return fault(f"{self._named(key)} {message}.", hint)

    def _named(self, key: str | None = None) -> str:
        """What messages call this entry."""
        if self._file is None:
            return f"Prompt {self._number}"
        line = ""
        if isinstance(self._values, DocumentMapping):
            line = f", line {self._values.lines.get(key or '', self._values.line)}"
        return f"{self._file}{line}: prompt {self._number}"

    def given_object(self) -> int | None:
        """The object's number, or None for a new one."""
        return self._whole("object", 1, "Number objects from 1; 0 is the background.") if self._has("object") else None

    def prompt(self, number: int, size: tuple[int, int], length: int | None) -> Prompt:
        """The whole entry, checked against the clip."""
        frame = self._whole("frame", 0, "Count frames from 0.") if self._has("frame") else 0
        if length is not None and frame >= length:
            raise self.fault(
                f"is on frame {frame}, but the clip has {counted(length, 'frame')}",
                f"Use frames 0 to {length - 1}." if length > 1 else "Use frame 0.",
                "frame",
            )
        points = self._points(size)
        labels = self._labels(len(points))
        box = self._box(size) if self._has("box") else None
        if self._has("mask") and (points or box is not None):
            raise self.fault(
                "has a mask together with points or a box", "SAM 2 takes one or the other: make it two frames.", "mask"
            )
        mask = self._mask(size) if self._has("mask") else None
        if self._end():
            if points or box is not None or mask is not None or not self._has("object"):
                hint = 'Write the end alone: {"frame": 40, "object": 2, "end": true}.'
                raise self.fault("is an end, which takes a frame and an object and nothing else", hint, "end")
            return Prompt(frame=frame, object=number, end=True)
        if not points and box is None and mask is None:
            raise self.fault("is empty: it has no points, no box and no mask", PROMPT_FORMS)
        return Prompt(frame=frame, object=number, points=points, labels=labels, box=box, mask=mask)

    def joined(self, before: Prompt, prompt: Prompt) -> Prompt:
        """Both entries for one frame and object as one."""
        if not (before.only_points and prompt.only_points):
            raise self.fault(
                f"is the second for object {prompt.object} on frame {prompt.frame}",
                "Put box and points into one entry; a mask stands alone.",
            )
        return replace(before, points=before.points + prompt.points, labels=before.labels + prompt.labels)

    def _end(self) -> bool:
        value = self._values.get("end")
        if value is not None and not isinstance(value, (bool, np.bool_)):
            raise self.fault(f"has the end {_shown(value)}", 'Write "end": true, or leave it out.', "end")
        return bool(value)

    def _has(self, key: str) -> bool:
        return self._values.get(key) is not None

    def _whole(self, key: str, least: int, hint: str) -> int:
        value = self._values[key]
        try:
            number = operator.index(value)
        except TypeError:
            number = -1
        if isinstance(value, (bool, np.bool_)) or not least <= number <= LARGEST:
            raise self.fault(f"has {key} {_shown(value)}, not a whole number from {least}", hint, key)
        return number

    def _points(self, size: tuple[int, int]) -> tuple[tuple[float, float], ...]:
        height, width = size
        points = []
        for pair in self._list("points", "Write points as a list of pairs: [[x, y], [x, y]]."):
            numbers = self._numbers(pair, 2, "points", "Write points as a list of pairs: [[x, y], [x, y]].")
            x, y = numbers
            self._check_relative(numbers, size, "points")
            if not (0 <= x <= width and 0 <= y <= height):
                hint = f"x goes from 0 to {width}, y from 0 to {height}, in pixels of the source. {self._orientation}"
                raise self.fault(
                    f"has the point ({x:g}, {y:g}) outside the picture of {width} × {height} pixels (width × height)",
                    hint.rstrip(),
                    "points",
                )
            points.append((x, y))
        return tuple(points)

    def _labels(self, points: int) -> tuple[int, ...]:
        hint = "Give one label per point: 1 for the object, 0 for background."
        if not self._has("labels"):
            return (1,) * points
        labels = self._list("labels", hint)
        if len(labels) != points:
            raise self.fault(f"has {counted(len(labels), 'label')} for {counted(points, 'point')}", hint, "labels")
        for label in labels:
            if isinstance(label, (bool, np.bool_)) or not isinstance(label, (int, np.integer)) or label not in (0, 1):
                raise self.fault(f"has the label {_shown(label)}", hint, "labels")
        return tuple(int(label) for label in labels)

    def _box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        hint = "Write a box as [x0, y0, x1, y1]: left, top, right, bottom, in pixels of the source."
        x0, y0, x1, y1 = box = self._numbers(self._values["box"], 4, "box", hint)
        shown = f"[{x0:g}, {y0:g}, {x1:g}, {y1:g}]"
        if x1 <= x0 or y1 <= y0:
            raise self.fault(
                f"has the box {shown}, whose right or bottom does not lie beyond its left or top", hint, "box"
            )
        self._check_relative(box, size, "box")
        inside = part_inside((x0, y0, x1, y1), size)
        if inside == box:
            return inside
        pixels = f"{size[1]} × {size[0]} pixels (width × height)"
        reach = f"has the box {shown}, which reaches out of the picture of {pixels}"
        if inside is None or reaches_far((x0, y0, x1, y1), size):
            rest = hint if inside is None else f"The part inside is [{listed(inside)}]."
            raise self.fault(reach, f"{rest} {self._orientation}".rstrip(), "box")
        warnings.warn(f"{self._named()} {reach}: clipped to [{listed(inside)}].", PromptWarning, stacklevel=5)
        return inside

    def _check_relative(self, numbers: Sequence[float], size: tuple[int, int], key: str) -> None:
        """Raise for shares of the picture in place of pixels."""
        pixels = pixels_of_shares(numbers, size)
        if pixels is not None:
            raise self.fault(
                f"has {key} ({listed(numbers)}), which look like shares of the picture, not pixels",
                f"Coordinates are in pixels of the source: here ({listed(pixels)}), of {size[1]} × {size[0]} "
                "(width × height).",
                key,
            )

    def _mask(self, size: tuple[int, int]) -> Mask:
        folder = self._file.parent if self._file is not None else None
        try:
            given = self._values.get("object")
            label = None if given is None or isinstance(given, Unnumbered) else int(given)
            return mask_from(self._values["mask"], size, folder, label)
        except PlannerError as error:
            text = error.message[:1].lower() + error.message[1:].rstrip(".")
            hint = f"{error.hint} {self._orientation}".rstrip() if isinstance(error, MaskSize) else error.hint
            fault = self.fault(f"cannot be used: {text}", hint, "mask")
            raise (FileError(fault.message, fault.hint) if isinstance(error, FileError) else fault) from None

    def _list(self, key: str, hint: str) -> Sequence[Any]:
        value = self._values.get(key)
        if value is None:
            return ()
        if isinstance(value, np.ndarray) and value.ndim:
            value = list(value)
        if not isinstance(value, (list, tuple)):
            raise self.fault(f"has {key} {_shown(value)}, not a list", hint, key)
        return value

    def _numbers(self, value: Any, count: int, key: str, hint: str) -> tuple[float, ...]:
        parts = (
            list(value) if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim) else []
        )
        numbers = [_number(part) for part in parts]
        if len(numbers) != count or not all(number is not None and math.isfinite(number) for number in numbers):
            raise self.fault(f"has {key} {_shown(value)}, not {count} finite numbers", hint, key)
        return tuple(number for number in numbers if number is not None)


def _number(value: object) -> float | None:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _shown(value: object) -> str:
    """A value short enough for a message, whatever it is."""
    if value is None:
        return "nothing"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and {value.dtype}"
    if isinstance(value, int) and abs(value) > 10**30:
        return "a number of more than 30 digits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
