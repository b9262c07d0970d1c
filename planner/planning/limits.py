"""How far a choice carries: most objects, frames and pixels, and the smallest card that would do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from planner.domain import Budget, Choice, Configuration, Limits, Workload
from planner.memory_model import MemoryModel
from planner.units import MAXIMUM_SIDE, MINIMUM_SIDE, RESOLUTION_STEP

CARD_SIZES = {
    1: 1024, 2: 2047, 3: 3072, 4: 4094, 5: 5120, 6: 6141, 8: 8140, 10: 10235, 11: 11264, 12: 12211, 16: 15356,
    20: 19190, 24: 23028, 32: 32563, 40: 40960, 48: 46068, 64: 65126, 72: 73267, 80: 81408, 94: 95830, 96: 97689,
    141: 143771, 180: 183359, 288: 275040,
}  # fmt: skip
"""Nominal sizes of NVIDIA cards in GB, with the MiB that the driver reports of the one that has least of that size and
is of Turing or newer. From the catalogue (a test holds them equal), because reading that takes as long as a plan."""
OLD_SIZES = {1: (5, 0), 3: (6, 1), 5: (6, 1)}
"""Sizes that only older cards have, which not every torch has code for: the newest capability of one."""
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
        reasons["smallest_total_bytes"] = "no budget helps: the GPU cannot run what is asked for"
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


def card_size(budget_bytes: int, *, old: bool = False) -> str | None:
    """The smallest nominal size of card that has so much, such as "2 GB"; None beyond the largest.

    old: whether OLD_SIZES count, where torch has code for such a card; looking that up takes milliseconds.
    """
    enough = (size for size, mib in CARD_SIZES.items() if mib * 2**20 >= budget_bytes)
    return next((f"{size} GB" for size in enough if size not in OLD_SIZES or (old and _is_run(size))), None)


def _is_run(size: int) -> bool:
    from planner.catalog.torch_builds import why_no_code

    return why_no_code(OLD_SIZES[size]) is None


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
    """Whether the predicted total lies within what is usable."""
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
