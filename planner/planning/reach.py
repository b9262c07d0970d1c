"""How far a budget carries: the most objects and the largest resolutions of each variant, and the stock predictor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from planner.answers import Carried, Reach
from planner.domain import VARIANTS, VERSIONS, Budget, Configuration, Request, Workload
from planner.memory_model import MemoryModel
from planner.planning.candidates import CandidateClass, Member, candidate_classes, members
from planner.planning.limits import ANY_OBJECTS, MAXIMUM_OBJECTS, largest, scaled
from planner.planning.ranking import PRECISION_RANK
from planner.planning.stock import NATIVE, stock
from planner.units import MAXIMUM_SIDE, MINIMUM_SIDE, RESOLUTION_STEP, format_size

SQUARE = (1, 1)
SMALLEST_STEPS, MOST_STEPS = MINIMUM_SIDE // RESOLUTION_STEP, MAXIMUM_SIDE // RESOLUTION_STEP

Reasons = dict[str, str]


def carried(request: Request, budget: Budget, model: MemoryModel, warnings: Sequence[str] = ()) -> Carried:
    """What the budget carries of the request, for each variant that its pins leave open."""
    variants = (request.pins.variant,) if request.pins.variant else VARIANTS
    requests = [replace(request, pins=replace(request.pins, variant=variant)) for variant in variants]
    endless = replace(request.workload, frames=None if request.workload.task == "video" else 1)
    return Carried(
        request=request,
        budget=budget,
        reach=tuple(
            _reach(candidate, request.workload, budget, model)
            for one in requests
            for candidate in _shown_classes(one, budget, model)
        ),
        stock=tuple(stock(replace(one, workload=endless), budget, None, model) for one in requests),
        warnings=tuple(warnings),
    )


def _shown_classes(request: Request, budget: Budget, model: MemoryModel) -> list[CandidateClass]:
    """Of one variant the first precision in order of preference that the GPU runs, and the one that takes least."""
    pins = request.pins
    pins = replace(pins, version=pins.version or VERSIONS[0], resolution=pins.resolution or NATIVE)
    classes = candidate_classes(replace(request, pins=pins), budget, model)
    classes.sort(key=lambda candidate: PRECISION_RANK[candidate.precision])
    runnable = [candidate for candidate in classes if not candidate.unsupported]
    if not runnable:
        return classes[:1]
    leanest = min(runnable, key=lambda candidate: candidate.smallest().total_bytes)
    return [runnable[0]] if leanest is runnable[0] else [runnable[0], leanest]


class _Case(NamedTuple):
    """One class on a workload, within a budget."""

    configuration: Configuration
    """In the preferred way of running it."""
    workload: Workload
    budget: Budget
    model: MemoryModel

    def ways(self, resolution: tuple[int, int]) -> Iterator[Member]:
        """Bytes of each way of running it at a resolution, the preferred first."""
        one, capability = self.configuration, self.budget.capability
        asked = (one.variant, resolution, one.precision, one.attention, self.workload, self.model, capability)
        return members(*asked, host=self.budget.host_bytes is not None)

    def fits_at(self, resolution: tuple[int, int]) -> bool:
        """Whether some way of running it fits."""
        usable, limit = self.budget.usable_bytes, self.budget.host_bytes
        return any(
            way.total_bytes <= usable and (limit is None or way.host_bytes <= limit) for way in self.ways(resolution)
        )

    def surely_fits_at(self, resolution: tuple[int, int]) -> bool:
        """Whether the preferred way fits with its upper bound."""
        way, limit = next(self.ways(resolution)), self.budget.host_bytes
        return way.upper_bytes <= self.budget.usable_bytes and (limit is None or way.host_bytes <= limit)

    def bytes_of(self, objects: int, on_host: bool = False) -> tuple[int, int]:
        """Total and upper bound with so many objects."""
        configuration = replace(self.configuration, offload_state=on_host)
        workload = replace(self.workload, objects=objects)
        found = self.model.totals(configuration, workload, self.budget.capability)
        return found.total, found.upper

    def on_host(self, objects: int, on_host: bool = False) -> bool:
        """Whether the host holds its part of so many objects; so it does where nothing is known of it."""
        if self.budget.host_bytes is None:
            return True
        configuration = replace(self.configuration, offload_state=on_host)
        held = self.model.host_bytes(configuration, replace(self.workload, objects=objects))
        return (held or 0) <= self.budget.host_bytes

    def extrapolated(self, resolution: tuple[int, int], objects: int) -> bool:
        """Whether the estimate goes beyond what was measured or simulated."""
        configuration = replace(self.configuration, resolution=resolution)
        workload = replace(self.workload, objects=objects)
        return self.model.estimate(configuration, workload, self.budget.capability).extrapolated


def _reach(candidate: CandidateClass, workload: Workload, budget: Budget, model: MemoryModel) -> Reach:
    configuration = candidate.configuration(candidate.members[0])
    case = _Case(configuration, workload, budget, model)
    reasons: Reasons = {}
    if candidate.unsupported:
        return _unsupported(configuration, budget, candidate.unsupported)
    most, sure = _objects(case, reasons)
    square, sure_square = _resolution(case, SQUARE, "square", reasons)
    shaped, sure_shaped = _resolution(case, workload.frame_size, "shaped", reasons)
    if workload.task != "video":
        reasons["max_frames"] = f"the task {workload.task} has no frames"
    elif square is None:
        reasons["max_frames"] = reasons["max_square"]
    reached = {"max_objects": (configuration.resolution, most) if most else None}
    reached["max_square"] = (square, workload.objects) if square else None
    reached["max_shaped"] = (shaped, workload.objects) if shaped else None
    return Reach(
        configuration=configuration,
        need_bytes=candidate.smallest().total_bytes,
        upper_bytes=candidate.members[0].upper_bytes,
        limit_bytes=budget.usable_bytes,
        max_objects=most,
        sure_objects=sure,
        more_on_host=workload.task == "video"
        and case.bytes_of(MAXIMUM_OBJECTS, True)[0] <= budget.usable_bytes
        and case.on_host((most or 0) + 1, True),
        host_bytes=model.host_bytes(configuration, workload),
        unlimited_frames=workload.task == "video" and square is not None,
        max_square=square,
        sure_square=sure_square,
        max_shaped=shaped,
        sure_shaped=sure_shaped,
        extrapolated=tuple(name for name, at in reached.items() if at and case.extrapolated(*at)),
        reasons=reasons,
    )


def _unsupported(configuration: Configuration, budget: Budget, reason: str) -> Reach:
    """All figures of a class that the GPU cannot run."""
    names = ("need_bytes", "host_bytes", "max_objects", "sure_objects", "max_frames")
    sizes = ("max_square", "sure_square", "max_shaped", "sure_shaped")
    return Reach(
        configuration=configuration,
        need_bytes=None,
        upper_bytes=None,
        limit_bytes=budget.usable_bytes,
        max_objects=None,
        sure_objects=None,
        more_on_host=False,
        host_bytes=None,
        unlimited_frames=False,
        max_square=None,
        sure_square=None,
        max_shaped=None,
        sure_shaped=None,
        extrapolated=(),
        reasons=dict.fromkeys((*names, *sizes), reason),
    )


def _objects(case: _Case, reasons: Reasons) -> tuple[int | None, int | None]:
    """The most objects, and the most that surely fit, with the memory bank on the GPU."""
    usable = case.budget.usable_bytes
    if case.workload.task in ANY_OBJECTS:
        reasons["max_objects"] = reasons["sure_objects"] = ANY_OBJECTS[case.workload.task]
        return None, None
    total, upper = case.bytes_of(1)
    most = _most(lambda objects: case.on_host(objects) and case.bytes_of(objects)[0] <= usable, 1, MAXIMUM_OBJECTS)
    sure = _most(lambda objects: case.on_host(objects) and case.bytes_of(objects)[1] <= usable, 1, MAXIMUM_OBJECTS)
    if most is None:
        reasons["max_objects"] = f"one object {_short(total - usable)}"
    if sure is None:
        reasons["sure_objects"] = f"the bound of one object {_short(upper - usable)}"
    return most, sure


def _resolution(
    case: _Case, shape: tuple[int, int], name: str, reasons: Reasons
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """The largest resolution of a shape, and the largest that surely fits."""
    most = _most(lambda steps: case.fits_at(scaled(shape, steps)), SMALLEST_STEPS, MOST_STEPS)
    sure = _most(lambda steps: case.surely_fits_at(scaled(shape, steps)), SMALLEST_STEPS, MOST_STEPS)
    usable, smallest = case.budget.usable_bytes, scaled(shape, SMALLEST_STEPS)
    if most is None:
        short = min(way.total_bytes for way in case.ways(smallest)) - usable
        reasons[f"max_{name}"] = f"at the smallest resolution it {_short(short)}"
    if sure is None:
        short = next(case.ways(smallest)).upper_bytes - usable
        reasons[f"sure_{name}"] = f"the bound at the smallest resolution {_short(short)}"
    return scaled(shape, most) if most else None, scaled(shape, sure) if sure else None


def _most(fits: Callable[[int], bool], least: int, most: int) -> int | None:
    return largest(fits, least, most) if fits(least) else None


def _short(missing_bytes: int) -> str:
    return f"is short by {format_size(missing_bytes)}" if missing_bytes > 0 else "is too much for the host"
