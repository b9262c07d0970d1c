"""Budgets of no GPU in particular: their CUDA context is that of the cards which have so much, so it follows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from planner.memory_model import MemoryModel
from planner.memory_model.contexts import context_on
from planner.nouns.plan import Choice
from planner.nouns.request import Budget, Headroom
from planner.text.units import format_size

STEP_BYTES = 2**30
"""More than contexts differ by."""
USUALLY = 3
"""Tries that mostly do."""


def smallest_budget(need_bytes: int, budget: Budget, model: MemoryModel) -> int:
    """The smallest budget under which there is room for `need_bytes`, a total that was predicted for this one.

    Of no GPU in particular its context is another under another budget; on a GPU that is named it is not.
    """
    now = model.context
    if budget.gpu is not None or now is None or now != context_on(None, None, budget.total_bytes):
        return budget.headroom.budget_for(need_bytes)
    held = need_bytes - now.bytes
    return smallest_for(lambda total_bytes: held + context_on(None, None, total_bytes).bytes, budget.headroom)


def smallest_for(need_of: Callable[[int], int], headroom: Headroom) -> int:
    """The smallest budget that leaves enough; `need_of` says what is needed under a budget of so many bytes."""

    def enough(total_bytes: int) -> bool:
        return total_bytes - headroom.of(total_bytes) >= need_of(total_bytes)

    about = need_of(headroom.budget_for(need_of(STEP_BYTES)))
    for _ in range(USUALLY):  # most contexts are the same a little further on
        size = headroom.budget_for(about)
        if (about := need_of(size)) <= size - headroom.of(size) and not enough(size - 1):
            return size
    # A larger budget leaves no less beside its context: planner.memory_model.contexts.
    low, high = headroom.budget_for(max(1, about - STEP_BYTES)), headroom.budget_for(about + STEP_BYTES)
    while not enough(high):
        low, high = high, high + high
    while low > 1 and enough(low):
        low, high = low // 2, low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def context_warnings(
    chosen: Choice | None, smallest_need_bytes: int | None, budget: Budget, model: MemoryModel
) -> Iterator[str]:
    """Where the card that a budget is of decides the verdict, as its context is larger or smaller."""
    context, usable = model.context, budget.usable_bytes
    if budget.gpu is not None or context is None:
        return
    band = f"{format_size(context.low_bytes)} to {format_size(context.high_bytes)}"
    ask = f"the CUDA context takes {band}, by the card, which decides here: name yours with --gpu"
    if chosen is None:
        least = None if smallest_need_bytes is None else smallest_need_bytes - context.bytes + context.low_bytes
        if least is not None and least <= usable:
            yield ask
        return
    estimate = chosen.estimate
    least = estimate.upper_bytes - estimate.context_high_bytes + estimate.context_low_bytes
    if least <= usable < estimate.upper_bytes:
        yield ask
