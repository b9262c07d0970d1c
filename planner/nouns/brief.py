"""Short texts of large values, for a prompt or a traceback: what is nested is counted, not shown."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

LONGEST_TEXT = 60
MOST_ITEMS = 4
"""Longest list of numbers or words that is shown whole, such as a resolution."""


def brief(value: Any) -> str:
    """A dataclass in a line: `Estimate(total_bytes=1530316138, ..., components=6 entries)`."""
    parts = (f"{field.name}={_shown(getattr(value, field.name))}" for field in fields(value) if field.repr)
    return f"{type(value).__name__}({', '.join(parts)})"


def _shown(value: Any) -> str:
    if is_dataclass(value):
        return f"{type(value).__name__}(...)"
    if isinstance(value, (tuple, list, dict, set, frozenset)):
        plain = all(isinstance(item, (int, float, str)) for item in value)
        if isinstance(value, (tuple, list)) and plain and len(value) <= MOST_ITEMS and len(repr(value)) <= LONGEST_TEXT:
            return repr(value)
        return f"{len(value)} entr{'y' if len(value) == 1 else 'ies'}"
    text = repr(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 3]}..."
