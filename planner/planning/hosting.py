"""What planning has to say about the host's memory beside the GPU's."""

from __future__ import annotations

from planner.nouns.plan import Choice
from planner.nouns.request import Budget
from planner.text.units import format_size

WORTH_A_WORD_BYTES = 64 * 10**9
"""Assumed: what more machines lack than have. A plan that needs more than this says so where the host is not known."""


def host_warnings(chosen: Choice | None, budget: Budget) -> list[str]:
    """A warning for a choice that asks much of a host of which nothing is known."""
    held = chosen.estimate.host_bytes if chosen else None
    if held is None or budget.host_bytes is not None or held <= WORTH_A_WORD_BYTES:
        return []
    return [
        f"the host would hold {format_size(held)}, and what it has is not known: --host-memory SIZE plans within it"
    ]
