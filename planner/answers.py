"""The nouns of questions: why not another, how far a budget carries, what it takes, what differs, how many at once.

Frozen values like those of the domain, which they are made of. Bytes are integers.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.domain import Configuration

OUTCOMES = ("chosen", "fits", "does_not_fit", "unsupported")
LOST_BY = ("balance", "published", "accuracy", "precision", "speed", "bytes", "order")
"""In what a class that fits loses to the choice. balance: its distance from the knee; published: its accuracy is an
estimate, the choice's is not; order: all else is the same, and the choice stands first in the domain's lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One candidate class in the order of preference, and why it is or is not the choice."""

    rank: int
    """1 is what would be preferred to all others."""
    outcome: str
    """One of OUTCOMES."""
    configuration: Configuration
    """What it would run as where it fits, else the smallest of the class."""
    quality: float
    quality_is_estimate: bool
    frames_per_second: float | None
    """As of a Choice; None for other tasks than video."""
    need_bytes: int | None
    """Its predicted total; None where the GPU cannot run it."""
    upper_bytes: int | None
    limit_bytes: int
    """What may be used."""
    component: str | None
    """Of what does not fit, the component that takes most more than in the choice. Where nothing fits: than in the
    nearest miss; and of the nearest miss itself the largest. Of what the GPU cannot run: "capability"."""
    component_bytes: int | None
    """How large that component is."""
    excess_bytes: int | None
    """How much more that is than in what it is compared with; None of the nearest miss, compared with nothing."""
    lost_by: str | None
    """Of what fits, one of LOST_BY."""
    reason: str
    """All of this in a sentence."""

    @property
    def short_by_bytes(self) -> int | None:
        """What is missing; None where nothing is, or the GPU cannot run it."""
        missing = None if self.need_bytes is None else self.need_bytes - self.limit_bytes
        return missing if missing is not None and missing > 0 else None

    @property
    def left_bytes(self) -> int | None:
        """What it leaves; None where it does not fit."""
        if self.need_bytes is None or self.need_bytes > self.limit_bytes:
            return None
        return self.limit_bytes - self.need_bytes
