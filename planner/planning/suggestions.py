"""What to try: changes of the request, each verified to give a plan before it is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from planner.memory_model import MemoryModel
from planner.nouns.plan import Choice, Suggestion
from planner.nouns.request import Budget, Headroom, Pins, Request
from planner.nouns.run import Configuration, Workload
from planner.nouns.words import Precision
from planner.planning.candidates import (
    SURE,
    CandidateClass,
    Member,
    candidate_classes,
    same_choice,
    smallest_host_need,
    smallest_need,
)
from planner.planning.choice_limits import largest_if_any
from planner.planning.unnamed import smallest_budget, smallest_for
from planner.planning.weighing import Weighed, weigh
from planner.text.command_lines import describe, planning_command
from planner.text.units import MAXIMUM_SIZE_BYTES, format_resolution, format_size, rounded_up_size

MOST = 4
SMALLER_FRAMES = ((1080, 1920), (720, 1280), (480, 854))

Fits = Callable[[Request, Budget], bool]


def suggestions(
    request: Request,
    budget: Budget,
    model: MemoryModel,
    weighed: Weighed,
    alternatives: Sequence[Choice],
    smallest_need_bytes: int | None,
    strict: bool = False,
) -> tuple[Suggestion, ...]:
    """At most four changes, the most useful first; what each promises is what planning makes of its command."""
    best = weighed.best
    if best is None:

        def fits(changed: Request, other: Budget) -> bool:
            need = smallest_need(changed, other, _model_for(other, model))
            return need is not None and need <= other.usable_bytes

        found = _when_nothing_fits(request, budget, fits, smallest_need_bytes, model, strict)
    else:
        found = _when_something_fits(request, budget, model, weighed, best, alternatives, strict)
    return tuple(islice(found, MOST))


def _when_nothing_fits(
    request: Request,
    budget: Budget,
    fits: Fits,
    smallest_need_bytes: int | None,
    model: MemoryModel,
    strict: bool,
) -> Iterator[Suggestion]:
    workload = request.workload
    if budget.host_bytes is not None and fits(request, replace(budget, host_bytes=None)):
        need = smallest_host_need(request, budget, model) or budget.host_bytes
        roomier = replace(budget, host_bytes=rounded_up_size(need), host_source="given")
        if fits(request, roomier):
            change = f"with {format_size(rounded_up_size(need))} of host memory"
            yield Suggestion(change, planning_command(request, roomier, strict=strict))
    without = replace(budget, headroom=Headroom())
    if budget.headroom_bytes and fits(request, without):
        yield Suggestion("hold nothing back", planning_command(request, without, strict=strict))
    for name in request.pins.given():
        freed = replace(request, pins=replace(request.pins, **{name: None}))
        if fits(freed, budget):
            yield Suggestion(f"leave the {name} open", planning_command(freed, budget, strict=strict))
    if workload.task == "video" and workload.objects > 1:
        most = _most_objects(request, budget, fits)
        if most:
            fewer = replace(request, workload=replace(workload, objects=most))
            yield Suggestion(f"track {most} objects at a time", planning_command(fewer, budget, strict=strict))
    for size in SMALLER_FRAMES:
        if size[0] * size[1] < workload.frame_size[0] * workload.frame_size[1]:
            smaller = replace(request, workload=replace(workload, frame_size=size), frame_size_assumed=False)
            if fits(smaller, budget):
                change = f"scale the pictures down to {format_resolution(size)}"
                yield Suggestion(change, planning_command(smaller, budget, strict=strict))
                break
    if smallest_need_bytes is not None:
        anyones = replace(budget, source="vram", gpu=None)
        on_any = _model_for(anyones, model)
        need = (smallest_need(request, anyones, on_any) if budget.gpu else None) or smallest_need_bytes
        larger = _with_vram(budget, smallest_budget(need, anyones, on_any))
        if fits(request, larger):
            change = f"give it {format_size(larger.total_bytes)}"
            yield Suggestion(change, planning_command(request, larger, strict=strict))


def _when_something_fits(
    request: Request,
    budget: Budget,
    model: MemoryModel,
    weighed: Weighed,
    best: CandidateClass,
    alternatives: Sequence[Choice],
    strict: bool,
) -> Iterator[Suggestion]:
    if weighed.certainty(weighed.within[id(best)]) > SURE:
        roomy = next((a for a in alternatives if a.estimate.upper_bytes <= budget.usable_bytes), None)
        if roomy:
            pinned = replace(request, pins=_pinned(roomy.configuration, request.pins))
            change = f"{describe(roomy.configuration)} stays below the budget at its upper bound too"
            yield Suggestion(change, planning_command(pinned, budget, strict=strict))
        pinned = replace(request, pins=_pinned(best.configuration(best.members[0]), request.pins))
        (same,) = _on_any_gpu(pinned, budget, model, weighed)
        needed = _with_vram(budget, _smallest_for(same, same.surest(), request.workload, budget, model, sure=True))
        change = f"with {format_size(needed.total_bytes)} the same choice stays below it at its upper bound too"
        yield Suggestion(change, planning_command(pinned, needed, strict=strict))
    yield from _what_more_of_the_host_would_allow(request, budget, model, weighed, strict)
    yield from _what_more_would_allow(request, budget, model, weighed, best, strict)


def _what_more_would_allow(
    request: Request, budget: Budget, model: MemoryModel, weighed: Weighed, best: CandidateClass, strict: bool
) -> Iterator[Suggestion]:
    """The smallest budget for the best of what does not fit, and what planning makes of that budget."""
    better = next((c for c in weighed.turned_down if not c.unsupported and not same_choice(c, best)), None)
    if better is None:
        return
    asked = _as_supported(request, budget, better.precision)
    classes = _on_any_gpu(asked, budget, model, weighed)
    ways = [(one, member) for one in classes if same_choice(one, better) for member in one.members]
    leanest = min(ways, key=lambda way: way[1].upper_bytes if strict else way[1].least_bytes)
    larger = _with_vram(budget, _smallest_for(*leanest, request.workload, budget, model, sure=strict))
    given = weigh(_on_any_gpu(asked, larger, model), asked, larger.usable_bytes, model.catalog, strict)
    chosen = given.best
    if chosen is None or larger.total_bytes > MAXIMUM_SIZE_BYTES or same_choice(chosen, best):
        return
    configuration = chosen.configuration(given.within[id(chosen)])
    change = f"{format_size(larger.total_bytes)} would allow {describe(configuration)}"
    yield Suggestion(change, planning_command(asked, larger, strict=strict))


def _on_any_gpu(
    request: Request, budget: Budget, model: MemoryModel, weighed: Weighed | None = None
) -> Sequence[CandidateClass]:
    """The classes of a request as `--vram` weighs them, which knows nothing of a GPU that was named.

    weighed: for this budget, so that they need not be worked out again where nothing is pinned.
    """
    if weighed is not None and budget.gpu is None and not request.pins.given():
        return weighed.classes
    anyones = replace(budget, gpu=None, source="vram")
    return candidate_classes(request, anyones, _model_for(anyones, model))


def _model_for(budget: Budget, model: MemoryModel) -> MemoryModel:
    return model if budget.gpu or model.context is None else model.on(None, budget.total_bytes)


def _smallest_for(
    candidate: CandidateClass, member: Member, workload: Workload, budget: Budget, model: MemoryModel, *, sure: bool
) -> int:
    """The smallest budget of no GPU in particular under which a way of running fits, or surely does."""
    configuration = candidate.configuration(member)

    def need(total_bytes: int) -> int:
        anyones = replace(budget, total_bytes=total_bytes, source="vram", gpu=None)
        totals = _model_for(anyones, model).totals(configuration, workload)
        return int(totals.upper if sure else totals.total)

    return smallest_for(need, budget.headroom)


def _what_more_of_the_host_would_allow(
    request: Request, budget: Budget, model: MemoryModel, weighed: Weighed, strict: bool
) -> Iterator[Suggestion]:
    """The host's memory for the best of what it does not hold and the GPU does, and what planning makes of that."""
    for better in weighed.turned_down:
        needs = [way.host_bytes for way in better.members if way.fits(budget.usable_bytes)]
        if better.over_host_bytes is None or not needs:
            continue
        roomier = replace(budget, host_bytes=rounded_up_size(min(needs)), host_source="given")
        given = weigh(candidate_classes(request, roomier, model), request, budget.usable_bytes, model.catalog, strict)
        if given.best is not None:
            configuration = given.best.configuration(given.within[id(given.best)])
            change = f"{format_size(rounded_up_size(min(needs)))} of host memory would allow {describe(configuration)}"
            yield Suggestion(change, planning_command(request, roomier, strict=strict))
        return


def _most_objects(request: Request, budget: Budget, fits: Fits) -> int:
    """The most objects for which anything fits; 0 if not even one does."""

    def fits_objects(objects: int) -> bool:
        return fits(replace(request, workload=replace(request.workload, objects=objects)), budget)

    return largest_if_any(fits_objects, 1, request.workload.objects) or 0


def _pinned(configuration: Configuration, pins: Pins) -> Pins:
    """Pins that fix the choice; the kernel stays as it was asked for."""
    return Pins(
        variant=configuration.variant,
        version=configuration.version,
        resolution=configuration.resolution,
        precision=configuration.precision,
        attention=pins.attention,
    )


def _as_supported(request: Request, budget: Budget, precision: Precision) -> Request:
    """A budget in place of a GPU forgets what the GPU lacks, so the precision is pinned to keep the plan."""
    if budget.gpu is None:
        return request
    return replace(request, pins=replace(request.pins, precision=precision))


def _with_vram(budget: Budget, total_bytes: int) -> Budget:
    """The same headroom on a budget that people would type, of no GPU in particular."""
    return replace(budget, total_bytes=rounded_up_size(total_bytes), source="vram", gpu=None)
