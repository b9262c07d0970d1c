"""Places in a picture, in its pixels: what lies a little outside, and what was not meant in pixels.

Knows nothing of where prompts come from; numpy and torch are not needed.
"""

from __future__ import annotations

from collections.abc import Sequence

SLACK_PIXELS, SLACK_SHARE = 2.0, 0.01
"""How far a box may reach out of the picture and is only clipped: detectors round, and predict past the edge."""
SMALLEST_RELATIVE = 16
"""Sides from which on coordinates between 0 and 1 are taken for shares of the picture, not for its corner pixel."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1."""


class PromptWarning(UserWarning):
    """A prompt was changed in a way that its author should know."""


def part_inside(box: Box, size: tuple[int, int]) -> Box | None:
    """The part of a box that lies in a picture of (height, width); None where nothing of it does."""
    height, width = size
    inside = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))
    return inside if inside[0] < inside[2] and inside[1] < inside[3] else None


def reaches_far(box: Box, size: tuple[int, int]) -> bool:
    """Whether a box reaches out of the picture by more than 2 pixels and more than 1 % of the side."""
    inside = part_inside(box, size)
    slack = [max(SLACK_PIXELS, SLACK_SHARE * side) for side in (size[1], size[0])] * 2
    return inside is None or any(abs(a - b) > most for a, b, most in zip(box, inside, slack, strict=True))


def pixels_of_shares(numbers: Sequence[float], size: tuple[int, int]) -> tuple[float, ...] | None:
    """The pixels that shares of a picture (x, y in turn, 0 to 1) would be; None where they are pixels themselves.

    What is meant at a corner is written in whole numbers, so 0 and 1 alone are pixels.
    """
    whole = all(number == int(number) for number in numbers)
    if whole or min(size) < SMALLEST_RELATIVE or not all(0 <= number <= 1 for number in numbers):
        return None
    return tuple(number * size[1 - at % 2] for at, number in enumerate(numbers))


def listed(numbers: Sequence[float]) -> str:
    """Numbers as messages show them: "0.5, 120"."""
    return ", ".join(f"{number:g}" for number in numbers)
