"""What to try: changes of the request, each verified to give a plan before it is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from planner.commands import describe, planning_command
from planner.domain import Budget, Choice, Headroom, Pins, Request, Suggestion
from planner.memory_model import MemoryModel
from planner.planning.candidates import CandidateClass, smallest_host_need, smallest_need
from planner.units import format_resolution, format_size, rounded_up_size

MOST = 4
SMALLER_FRAMES = ((1080, 1920), (720, 1280), (480, 854))

Fits = Callable[[Request, Budget], bool]


def suggestions(
    request: Request,
    budget: Budget,
    model: MemoryModel,
    chosen: tuple[Choice, CandidateClass] | None,
    verdict: str,
    alternatives: Sequence[Choice],
    preferred: Sequence[CandidateClass],
    smallest_need_bytes: int | None,
) -> tuple[Suggestion, ...]:
    """At most four changes, the most useful first. `preferred`: classes ranked above the choice that did not fit."""

    def fits(changed: Request, other: Budget) -> bool:
        need = smallest_need(changed, other, model)
        return need is not None and need <= other.usable_bytes

    if chosen is None:
        found = _when_nothing_fits(request, budget, fits, smallest_need_bytes, model)
    else:
        found = _when_something_fits(request, budget, chosen, verdict, alternatives, preferred)
    result: list[Suggestion] = []
    for suggestion in found:
        result.append(suggestion)
        if len(result) == MOST:
            break
    return tuple(result)


def _when_nothing_fits(
    request: Request, budget: Budget, fits: Fits, smallest_need_bytes: int | None, model: MemoryModel
) -> Iterator[Suggestion]:
    workload = request.workload
    if budget.host_bytes is not None and fits(request, replace(budget, host_bytes=None)):
        need = smallest_host_need(request, budget, model) or budget.host_bytes
        roomier = replace(budget, host_bytes=rounded_up_size(need), host_source="given")
        if fits(request, roomier):
            change = f"with {format_size(rounded_up_size(need))} of host memory"
            yield Suggestion(change, planning_command(request, roomier))
    without = replace(budget, headroom=Headroom())
    if budget.headroom_bytes and fits(request, without):
        yield Suggestion("hold nothing back", planning_command(request, without))
    for name in request.pins.given():
        freed = replace(request, pins=replace(request.pins, **{name: None}))
        if fits(freed, budget):
            yield Suggestion(f"leave the {name} open", planning_command(freed, budget))
    if workload.task == "video" and workload.objects > 1:
        most = _most_objects(request, budget, fits)
        if most:
            fewer = replace(request, workload=replace(workload, objects=most))
            yield Suggestion(f"track {most} objects at a time", planning_command(fewer, budget))
    for size in SMALLER_FRAMES:
        if size[0] * size[1] < workload.frame_size[0] * workload.frame_size[1]:
            smaller = replace(request, workload=replace(workload, frame_size=size), frame_size_assumed=False)
            if fits(smaller, budget):
                change = f"scale the pictures down to {format_resolution(size)}"
                yield Suggestion(change, planning_command(smaller, budget))
                break
    if smallest_need_bytes is not None:
        larger = _with_vram(budget, budget.headroom.budget_for(smallest_need_bytes))
        if fits(request, larger):
            change = f"give it {format_size(larger.total_bytes)}"
            yield Suggestion(change, planning_command(request, larger))


def _when_something_fits(
    request: Request,
    budget: Budget,
    chosen: tuple[Choice, CandidateClass],
    verdict: str,
    alternatives: Sequence[Choice],
    preferred: Sequence[CandidateClass],
) -> Iterator[Suggestion]:
    if verdict == "tight":
        roomy = next((a for a in alternatives if a.estimate.upper_bytes <= budget.usable_bytes), None)
        if roomy:
            pinned = replace(request, pins=_pinned(roomy, request.pins))
            change = f"{describe(roomy.configuration)} stays below the budget at its upper bound too"
            yield Suggestion(change, planning_command(pinned, budget))
        # With more room the class runs as its first member, so that one's bound has to fit.
        needed = _with_vram(budget, budget.headroom.budget_for(chosen[1].members[0].upper_bytes))
        change = f"with {format_size(needed.total_bytes)} the same choice stays below it at its upper bound too"
        pinned = replace(request, pins=_pinned(chosen[0], request.pins))
        yield Suggestion(change, planning_command(pinned, needed))
    if preferred and preferred[0].over_host_bytes is not None:
        yield from _with_more_host(request, budget, preferred[0])
    supported = [candidate for candidate in preferred if not candidate.unsupported]
    if supported:
        best = supported[0]
        member = best.smallest()
        larger = _with_vram(budget, budget.headroom.budget_for(member.total_bytes))
        if member.total_bytes <= larger.usable_bytes:
            change = f"{format_size(larger.total_bytes)} would allow {describe(best.configuration(member))}"
            yield Suggestion(change, planning_command(_as_supported(request, budget, best.precision), larger))


def _with_more_host(request: Request, budget: Budget, best: CandidateClass) -> Iterator[Suggestion]:
    """What the host lacks for the class that would be chosen, where the GPU holds it."""
    held = [member for member in best.members if member.total_bytes <= budget.usable_bytes]
    if held:
        member = min(held, key=lambda member: member.host_bytes)
        roomier = replace(budget, host_bytes=rounded_up_size(member.host_bytes), host_source="given")
        change = f"with {format_size(rounded_up_size(member.host_bytes))} of host memory"
        yield Suggestion(f"{change}: {describe(best.configuration(member))}", planning_command(request, roomier))


def _most_objects(request: Request, budget: Budget, fits: Fits) -> int:
    """The most objects for which anything fits; 0 if not even one does."""

    def fits_objects(objects: int) -> bool:
        return fits(replace(request, workload=replace(request.workload, objects=objects)), budget)

    if not fits_objects(1):
        return 0
    low, high = 1, request.workload.objects
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits_objects(middle) else (low, middle)
    return low


def _pinned(choice: Choice, pins: Pins) -> Pins:
    """Pins that fix the choice; the kernel stays as it was asked for."""
    configuration = choice.configuration
    return Pins(
        variant=configuration.variant,
        version=configuration.version,
        resolution=configuration.resolution,
        precision=configuration.precision,
        attention=pins.attention,
    )


def _as_supported(request: Request, budget: Budget, precision: str) -> Request:
    """A budget in place of a GPU forgets what the GPU lacks, so the precision is pinned to keep the plan."""
    if budget.gpu is None:
        return request
    return replace(request, pins=replace(request.pins, precision=precision))


def _with_vram(budget: Budget, total_bytes: int) -> Budget:
    """The same headroom on a budget that people would type; the GPU's capability stays known."""
    return replace(budget, total_bytes=rounded_up_size(total_bytes), source="vram")
