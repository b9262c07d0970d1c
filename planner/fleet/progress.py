"""How far a fleet is. Values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AtWork:
    """An input that a worker has."""

    name: str
    host: str
    """The node's name."""
    done: int | None
    """Frames (points) that are, as the worker last said; None before it did."""
    total: int | None
    """None where nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetProgress:
    """Counts of this call; clips that an earlier one had done count as done."""

    done: int
    """Clips that are finished."""
    failed: int
    total: int
    workers: int
    """That are ready or at work."""
    nodes: int
    """On so many nodes."""
    frames: int
    """Frames that this call did, those of clips at work included as far as is known."""
    frames_per_second: float | None
    """None before there are any."""
    clips_per_second: float | None
    """None before there are any."""
    seconds_left: float | None
    """At that speed; None where it cannot be said."""
    at_work: tuple[AtWork, ...] = ()
