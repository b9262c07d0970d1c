"""How far a choice carries: most objects, frames and pixels, and the smallest card that would do."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from math import inf
from typing import NamedTuple

from planner.catalog.capability import why_unsupported
from planner.memory_model import MemoryModel
from planner.nouns.plan import Choice, Limits
from planner.nouns.request import Budget, Request
from planner.nouns.run import Configuration, Workload
from planner.nouns.words import Attention, Precision, Task, Variant
from planner.planning.candidates import (
    FLOOR_STEPS,
    Member,
    leanest_ways,
    members,
    one_of_each_width,
    open_precisions,
    within_host,
)
from planner.planning.unnamed import smallest_budget
from planner.text.units import MAXIMUM_COUNT, MAXIMUM_SIDE, MINIMUM_SIDE, RESOLUTION_STEP, format_size

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
SMALLEST_STEPS, MOST_STEPS = MINIMUM_SIDE // RESOLUTION_STEP, MAXIMUM_SIDE // RESOLUTION_STEP
STEPS = 1.2
"""Relative: what is needed steps up and down by less than this from one resolution, or width of weights, to the next.
Rehearsed pictures of the own runtime reserve 178, 218 and 193 MB at 512, 576 and 640."""
ANY_OBJECTS: dict[Task, str] = {
    "image": "objects of an image are predicted one by one: any number",
    "automask": "automatic masks are found, not asked for",
}
"""Tasks whose memory does not depend on the number of objects, and why."""


class Span(NamedTuple):
    """One variant in some precisions, in every way of running it, on a workload and within a budget."""

    variant: Variant
    precisions: tuple[Precision, ...]
    """Those that are open and that the GPU runs."""
    attention: Attention
    workload: Workload
    budget: Budget
    model: MemoryModel

    def ways(self, resolution: tuple[int, int], objects: int | None = None) -> Iterator[list[Member]]:
        """For each width of precisions, narrowest first, the ways that may take least and that the host holds.

        None other fits where none of these does.
        """
        workload = self.workload if objects is None else replace(self.workload, objects=objects)
        most = self.budget.host_bytes
        for precision in one_of_each_width(self.precisions):
            found = members(
                self.variant, resolution, precision, self.attention, workload, self.model, self.budget,
                leanest_ways(workload), host=most is not None,
            )  # fmt: skip
            yield list(within_host(found, most))

    def fits(self, resolution: tuple[int, int], objects: int | None = None) -> bool:
        """Whether planning finds a way."""
        return self._need(lambda way: way.least_bytes, resolution, objects) <= self.budget.usable_bytes

    def surely_fits(self, resolution: tuple[int, int], objects: int | None = None) -> bool:
        """Whether planning finds a way that fits with its upper bound."""
        return self._need(lambda way: way.upper_bytes, resolution, objects) <= self.budget.usable_bytes

    def fits_on_gpu(self, resolution: tuple[int, int], objects: int) -> bool:
        """Whether it fits with the memory bank on the GPU."""
        need = self._need(lambda way: inf if way.offload_state else way.least_bytes, resolution, objects)
        return need <= self.budget.usable_bytes

    def _need(self, need: Callable[[Member], float], resolution: tuple[int, int], objects: int | None = None) -> float:
        """The smallest need of any way, or one of those that settle whether any fits."""
        usable, least = self.budget.usable_bytes, inf
        for ways in self.ways(resolution, objects):
            least = min(least, min(map(need, ways), default=inf))
            # Wider weights take more, but for the steps.
            if least <= usable or least > usable * STEPS:
                break
        return least

    def most_objects(self, resolution: tuple[int, int]) -> tuple[int | None, int | None, int | None]:
        """The most objects, those that surely fit, and those with the memory bank on the GPU; None: not even one."""
        tests, most = (self.fits, self.surely_fits, self.fits_on_gpu), max(MAXIMUM_OBJECTS, self.workload.objects)
        return tuple(  # type: ignore[return-value]  # three tests, three figures
            largest_if_any(lambda objects, fits=fits: fits(resolution, objects), 1, most)  # type: ignore[misc]
            for fits in tests
        )

    def most_frames(self, resolution: tuple[int, int]) -> tuple[int | None, bool]:
        """The most frames, given that those asked for fit, or None and True: any number.

        A bounded memory bank, and planning proposes no other, holds the same for any clip that fills it.
        """

        def fits(frames: int | None) -> bool:
            return self._replace(workload=replace(self.workload, frames=frames)).fits(resolution)

        if self.workload.frames is None or fits(None):
            return None, True
        return largest(fits, self.workload.frames, MAXIMUM_COUNT), False

    def largest_resolution(self, shape: tuple[int, int]) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """The largest resolution of a shape, and the largest that surely fits; None: not even the smallest."""
        # Reserved bytes step with the resolution, so that one may fit above one that does not: down from where not even
        # the tensors fit, which hardly take less of more pixels.
        usable = self.budget.usable_bytes
        most_floor = usable * FLOOR_STEPS
        high = last(lambda n: self._need(lambda way: way.floor_bytes, scaled(shape, n)) <= most_floor, MOST_STEPS)
        most = last(lambda n: self.fits(scaled(shape, n)), high)
        if not self._smooth(shape, most):
            most = next((n for n in range(high, SMALLEST_STEPS - 1, -1) if self.fits(scaled(shape, n))), 0)
        sure = self._surest_steps(shape, most)
        return scaled(shape, most) if most else None, scaled(shape, sure) if sure else None

    def _smooth(self, shape: tuple[int, int], steps: int) -> bool:
        """Whether needs step no more from there on: beyond what was run laws are straight lines."""
        height, width = scaled(shape, max(steps, SMALLEST_STEPS))
        return height * width > self.model.stepping_pixels("own", self.workload.task)

    def _surest_steps(self, shape: tuple[int, int], most: int) -> int:
        """The most steps of a shape, up to `most`, that surely fit; 0 where none do.

        The bound lies far above the tensors, so by halving, and from there up as far as needs may step.
        """
        usable = self.budget.usable_bytes
        sure = last(lambda n: self.surely_fits(scaled(shape, n)), most)
        for n in range(max(sure + 1, SMALLEST_STEPS), most + 1):
            need = self._need(lambda way: way.upper_bytes, scaled(shape, n))
            if need > usable * STEPS or (need > usable and self._smooth(shape, n)):
                break
            sure = n if need <= usable else sure
        return sure


def limits(
    choice: Choice | None, request: Request, budget: Budget, model: MemoryModel, smallest_need_bytes: int | None
) -> Limits:
    """The limits of a choice; without one, only the smallest budget that would give one."""
    workload = request.workload
    reasons: dict[str, str] = {}
    smallest = None
    if smallest_need_bytes is None:
        lacking = "the GPU cannot run what is asked for"
        if budget.host_bytes is not None:
            lacking += ", or the host has too little memory"
        reasons["smallest_total_bytes"] = f"no budget helps: {lacking}"
    else:
        smallest = smallest_budget(smallest_need_bytes, budget, model)
    card = card_size(smallest) if smallest else None
    if choice is None:
        names = ("max_objects", "sure_objects", "gpu_objects", "max_frames", "max_resolution", "sure_resolution")
        return Limits(
            max_objects=None,
            sure_objects=None,
            gpu_objects=None,
            max_frames=None,
            unlimited_frames=False,
            max_resolution=None,
            sure_resolution=None,
            smallest_total_bytes=smallest,
            smallest_card=card,
            reasons=reasons | dict.fromkeys(names, "nothing fits"),
        )
    span = span_of(choice.configuration, request, budget, model)
    frames, unlimited = None, False
    if workload.task == "video":
        frames, unlimited = span.most_frames(choice.configuration.resolution)
    else:
        reasons["max_frames"] = f"the task {workload.task} has no frames"
    objects = objects_of(span, choice.configuration.resolution, reasons)
    largest_size, sure_size = span.largest_resolution(choice.configuration.resolution)
    if sure_size is None:
        reasons["sure_resolution"] = "the upper bound of the smallest resolution lies above the budget"
    found = Limits(
        max_objects=objects[0],
        sure_objects=objects[1],
        gpu_objects=objects[2],
        max_frames=frames,
        unlimited_frames=unlimited,
        max_resolution=largest_size,
        sure_resolution=sure_size,
        smallest_total_bytes=smallest,
        smallest_card=card,
        reasons=reasons,
    )
    return found if choice.estimate.exact is None else _with_choice(found, choice, workload, budget)


def _with_choice(limits: Limits, choice: Choice, workload: Workload, budget: Budget) -> Limits:
    """Limits that reach to the choice itself: its bytes were found, those of what lies around it are predicted."""
    one, estimate, reasons = choice.configuration, choice.estimate, dict(limits.reasons)
    sure = estimate.upper_bytes <= budget.usable_bytes
    reached: dict[str, int | tuple[int, int] | None] = {}
    objects = {"max_objects": True, "sure_objects": sure, "gpu_objects": not one.offload_state}
    counted = workload.task == "video" or budget.host_bytes is not None
    for name, holds in objects.items():
        if counted and holds and workload.task != "automask":
            reached[name] = max(getattr(limits, name) or 0, workload.objects)
    for name, holds in (("max_resolution", True), ("sure_resolution", sure)):
        if holds:
            reached[name] = max(getattr(limits, name) or one.resolution, one.resolution)
    smallest = budget.headroom.budget_for(estimate.least_bytes)
    if limits.smallest_total_bytes is None or smallest < limits.smallest_total_bytes:
        reached["smallest_total_bytes"] = smallest
    for name in reached:
        reasons.pop(name, None)
    card = card_size(smallest) if "smallest_total_bytes" in reached else limits.smallest_card
    return replace(limits, **reached, smallest_card=card, reasons=reasons)  # type: ignore[arg-type]  # by name


def span_of(configuration: Configuration, request: Request, budget: Budget, model: MemoryModel) -> Span:
    """The variant of a configuration in every precision that the pins leave open and the GPU runs."""
    attention = configuration.attention
    able = [p for p in open_precisions(request.pins) if why_unsupported(p, attention, budget.capability) is None]
    return Span(configuration.variant, tuple(able), attention, request.workload, budget, model)


def objects_of(
    span: Span, resolution: tuple[int, int], reasons: dict[str, str]
) -> tuple[int | None, int | None, int | None]:
    """The most objects, the most that surely fit, and the most with the memory bank on the GPU; else the reasons."""
    task = span.workload.task
    # The host holds the masks of every object of an image, so that one that is known sets a limit.
    if task in ANY_OBJECTS and (task == "automask" or span.budget.host_bytes is None):
        reasons |= dict.fromkeys(("max_objects", "sure_objects", "gpu_objects"), ANY_OBJECTS[task])
        return None, None, None
    most, sure, on_gpu = span.most_objects(resolution)
    usable, ways = span.budget.usable_bytes, list(chain.from_iterable(span.ways(resolution, 1)))
    if most is None:
        reasons["max_objects"] = f"one object {how_short((way.least_bytes for way in ways), usable)}"
    if sure is None:
        reasons["sure_objects"] = f"the bound of one object {how_short((way.upper_bytes for way in ways), usable)}"
    return most, sure, on_gpu or 0


def how_short(needs: Iterable[int], usable_bytes: int) -> str:
    """By how much the least need is; no way is left where the host holds none."""
    least = min(needs, default=None)
    return "is too much for the host" if least is None else f"is short by {format_size(least - usable_bytes)}"


def card_size(budget_bytes: int, *, old: bool = False) -> str | None:
    """The smallest nominal size of card that has so much, such as "2 GB"; None beyond the largest.

    old: whether OLD_SIZES count, where torch has code for such a card; looking that up takes milliseconds.
    """
    enough = (size for size, mib in CARD_SIZES.items() if mib * 2**20 >= budget_bytes)
    return next((f"{size} GB" for size in enough if size not in OLD_SIZES or (old and _is_run(size))), None)


def _is_run(size: int) -> bool:
    from planner.catalog.torch_builds import why_no_code

    return why_no_code(OLD_SIZES[size]) is None


def scaled(shape: tuple[int, int], steps: int) -> tuple[int, int]:
    """The resolution of that shape whose longer side is so many steps."""
    height, width = shape
    side = steps * RESOLUTION_STEP
    short = round(min(shape) * side / max(shape) / RESOLUTION_STEP) * RESOLUTION_STEP
    short = max(MINIMUM_SIDE, short)
    return (short, side) if height < width else (side, short)


def last(fits: Callable[[int], bool], most: int) -> int:
    """The last of SMALLEST_STEPS to `most` that fits, by halving; 0 where the first does not."""
    found = bisect_left(range(SMALLEST_STEPS, most + 1), True, key=lambda steps: not fits(steps))
    return SMALLEST_STEPS + found - 1 if found else 0


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


def largest_if_any(fits: Callable[[int], bool], least: int, most: int) -> int | None:
    """The largest number from `least` up to `most` that fits; None where not even `least` does."""
    return largest(fits, least, most) if fits(least) else None
