"""`planner.plot`: the pictures of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.errors import UsageError
from planner.nouns.plan import Plan

if TYPE_CHECKING:
    from planner.page.pictures import Picture


def plot(plan: Plan) -> Picture:
    """The two main pictures of a plan: memory against the budget, and accuracy against memory of all candidates.

    Returns a Picture, which notebooks show, with `save(path)` for .svg or .png and `svg()`. Raises UsageError for
    anything but a plan, EnvironmentFailure without matplotlib (the extra `plot`).

    Example:
        planner.plot(plan).save("plan.svg")
    """
    from planner.page.answers import answer_of
    from planner.page.pictures import Picture

    if not isinstance(plan, Plan):
        raise UsageError(f"A {type(plan).__name__} is nothing to plot.", "Give a plan; of a packing its plan.")
    return Picture(answer_of(plan, "plan"))
