"""Several streams on several GPUs: the best configuration that fits so often, and how many run where.

Each stream is a process with a CUDA context of its own, so a GPU holds as many as its usable bytes divided by the
total of one. The least that one completes in counts for a single stream, as in a plan, but not for several: where
memory runs out an allocator gives back its own cache and not its neighbours', so that without the cap of the commands
whoever started first would starve the others, and with it all would give cache back all the time.

Where one process tracks several clips (Workload.streams), such processes are packed, and all else is the same.

The most room that each of them can have is the budget that one process is planned for. The host's memory is shared as
well, all GPUs' processes alike: the budgets here have the whole of it, and one process has its share.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from planner.memory_model import MemoryModel
from planner.memory_model.terms import Totals
from planner.nouns.answers import PackedGpu, Packing
from planner.nouns.plan import Plan, Suggestion
from planner.nouns.request import Budget, Gpu, Headroom, Request
from planner.nouns.run import Configuration
from planner.planning.candidates import leanest_ways, smallest_host_need, smallest_need
from planner.planning.choice_limits import largest_if_any
from planner.planning.decide import choose
from planner.text.command_lines import SAVED, describe, packing_command, run_command
from planner.text.units import MAXIMUM_SIZE_BYTES, exact_size, format_size, rounded_up_size

MIXED_CARDS = "the cards differ, and speeds are published card by card"

ModelOf = Callable[[Budget], MemoryModel]
"""The memory model for the GPU of a budget, which has all of it: a process takes the context of the whole card."""
PlanWith = Callable[[Budget, MemoryModel], Plan]
"""Makes the plan of one process for a budget."""


def make_packing(
    budgets: Sequence[Budget],
    streams: int,
    request: Request,
    model_of: ModelOf,
    plan_with: PlanWith,
    warnings: Sequence[str] = (),
    strict: bool = False,
) -> Packing:
    """The best configuration of which `streams` processes fit, laid out evenly, so that they surely fit if they can.

    strict: as of make_plan, and of the plans that `plan_with` makes.

    The GPU of the lowest compute capability decides what can be run, or one that torch has no code for. That nothing
    fits is a Packing, not an error.
    """
    own, laid = _laid_out(budgets, streams, request, model_of, strict)
    plan = plan_with(own, model_of(decides_among(budgets)))
    most = _most(budgets, request, model_of)
    if laid is None:
        smallest = _most_laid_out(budgets, min(most, streams - 1), request, model_of, strict)
        return _nothing_fits(budgets, streams, request, model_of, plan, smallest, warnings)
    smallest = max(streams, _most_laid_out(budgets, most, request, model_of, strict))
    return _packed(budgets, streams, request, model_of, plan, *laid, smallest, warnings)


def _laid_out(
    budgets: Sequence[Budget], streams: int, request: Request, model_of: ModelOf, strict: bool
) -> tuple[Budget, tuple[list[int], list[Totals]] | None]:
    """What one process is planned for; how many run on each GPU and what one takes there, or None: nothing fits."""
    usable = [budget.usable_bytes for budget in budgets]
    shared = _shared(budgets, streams)
    decides = decides_among(shared)
    # Where another GPU takes less for the same, its processes leave room: begin with what the one that decides would
    # have with theirs, and shrink until all fit.
    room = most_room(usable, streams) + _dearest(shared, decides, request, model_of)
    while True:
        own = replace(decides, total_bytes=room, headroom=Headroom())  # which was held back of each GPU
        _, chosen = choose(request, own, model_of(decides), strict)
        if chosen is None:
            return own, None
        needs = [_need(budget, chosen.configuration, request, model_of) for budget in budgets]
        # Certain before even: where all of them surely fit in some layout, they do in this one.
        figures, here = [need.upper for need in needs], chosen.estimate.upper_bytes
        counts = lay_out(usable, figures, streams)
        if counts is None:
            figures, here = [need.total for need in needs], chosen.estimate.total_bytes
            counts = lay_out(usable, figures if streams > 1 else [need.least for need in needs], streams)
        if counts is None:
            # A GPU of another generation takes more for the same, so it fits on the one that decides only.
            room = min(room, chosen.estimate.total_bytes) - 1
            continue
        # By the figures it was laid out by: it is then no less certain on the GPU that decides than on the others.
        extra = [figure - here for figure in figures]
        given = min(size // count - more for size, count, more in zip(usable, counts, extra, strict=True) if count)
        if given >= room:
            return own, (counts, needs)
        # Laid out evenly each has less than that, and fits as well: plan for what it has.
        room = given


def _most_laid_out(budgets: Sequence[Budget], most: int, request: Request, model_of: ModelOf, strict: bool) -> int:
    """The most processes, of at most `most`, for which a layout is found.

    On cards that differ, what is smallest on one of them need not be on another, and all run the same.
    """
    if len({_kind(budget) for budget in budgets}) == 1:
        return most

    def fails(streams: int) -> bool:
        return _laid_out(budgets, streams, request, model_of, strict)[1] is None

    # Mostly but a few too many: step down ever faster, then look between.
    low, high, step = most, most + 1, 1
    while low >= 1 and fails(low):
        low, high, step = low - step, low, step * 2
    return bisect_left(range(high), True, lo=max(low, 0) + 1, key=fails) - 1


def _shared(budgets: Sequence[Budget], streams: int) -> list[Budget]:
    """The same for one of so many processes, with what it has of the host."""
    return [
        replace(
            budget,
            shared=streams > 1,
            host_bytes=None if budget.host_bytes is None else budget.host_bytes // streams,
        )
        for budget in budgets
    ]


def _dearest(budgets: Sequence[Budget], decides: Budget, request: Request, model_of: ModelOf) -> int:
    """What a process takes at most more on the GPU that decides than on another."""
    need = smallest_need(request, decides, model_of(decides))
    needs = _smallest_needs(budgets, request, model_of)
    return max((need - other for other in needs if other is not None), default=0) if need is not None else 0


def most_room(usable_bytes: Sequence[int], streams: int) -> int:
    """The most bytes that each of so many processes can have, none of them split over two GPUs; at least 1."""

    def enough(room: int) -> bool:
        return sum(size // room for size in usable_bytes) >= streams

    return largest_if_any(enough, 1, max(usable_bytes)) or 1


def lay_out(usable_bytes: Sequence[int], needs: Sequence[int], streams: int) -> list[int] | None:
    """How many processes run on each GPU, as evenly as they fit; None where not all do.

    Streams of one GPU share its time, so the next goes where fewest are, among equals where it leaves most to each.
    """
    most = [size // need for size, need in zip(usable_bytes, needs, strict=True)]
    if sum(most) < streams:
        return None
    counts = [0] * len(most)
    waiting = [(0, -usable_bytes[place], place) for place in range(len(most)) if most[place]]
    heapq.heapify(waiting)
    for _ in range(streams):
        count, _, place = heapq.heappop(waiting)
        counts[place] = count + 1
        if counts[place] < most[place]:
            heapq.heappush(waiting, (count + 1, -(usable_bytes[place] // (count + 2)), place))
    return counts


def _packed(
    budgets: Sequence[Budget],
    streams: int,
    request: Request,
    model_of: ModelOf,
    plan: Plan,
    counts: Sequence[int],
    needs: Sequence[Totals],
    smallest: int,
    warnings: Sequence[str],
) -> Packing:
    assert plan.chosen is not None
    speed, no_speed = _speed(plan, budgets)
    # A single one may run where there is no room for its cache.
    most = [max(n, one.usable_bytes // need.total) for one, n, need in zip(budgets, counts, needs, strict=True)]
    held = _held(budgets, plan.chosen.estimate.host_bytes, sum(most))
    gpus = tuple(
        PackedGpu(
            budget=budget,
            streams=count,
            process_bytes=need.total,
            upper_bytes=need.upper,
            more_streams=min(room - count, held - streams),
            frames_per_second=None if speed is None or not count else round(speed / count, 2),
        )
        for budget, count, room, need in zip(budgets, counts, most, needs, strict=True)
    )
    certain = all(gpu.streams * (gpu.upper_bytes or 0) <= gpu.budget.usable_bytes for gpu in gpus)
    kept = _command(request, budgets, streams, plan.strict, "-o", SAVED)
    command = f"{kept} && {run_command(request, plan.chosen.configuration)}"
    return Packing(
        streams=streams,
        plan=_of_one_process(plan, budgets, command, _fewer_for_better(budgets, streams, request, model_of, plan)),
        gpus=gpus,
        verdict="fits" if certain else "tight",
        max_streams=held,
        max_streams_smallest=smallest,
        frames_per_second=None if speed is None else round(speed * sum(gpu.streams > 0 for gpu in gpus), 2),
        frames_per_second_reason=no_speed,
        warnings=tuple(warnings),
    )


def _held(budgets: Sequence[Budget], host_bytes: int | None, most: int) -> int:
    """How many processes run of as many as the GPUs have room for, where each holds so much of the host."""
    whole = budgets[0].host_bytes
    return most if whole is None or not host_bytes else min(most, whole // host_bytes)


def _speed(plan: Plan, budgets: Sequence[Budget]) -> tuple[float | None, str | None]:
    """The published speed of one stream, where it is that of every GPU; else None and why."""
    chosen = plan.chosen
    if chosen is None or chosen.frames_per_second is None:
        return None, chosen.frames_per_second_reason if chosen else "nothing fits"
    if len({budget.gpu.name if budget.gpu else None for budget in budgets}) > 1:
        return None, MIXED_CARDS
    return chosen.frames_per_second, None


def _nothing_fits(
    budgets: Sequence[Budget],
    streams: int,
    request: Request,
    model_of: ModelOf,
    plan: Plan,
    smallest: int,
    warnings: Sequence[str],
) -> Packing:
    return Packing(
        streams=streams,
        plan=_of_one_process(
            plan, budgets, None, _what_helps(budgets, streams, request, model_of, plan.strict, smallest)
        ),
        gpus=tuple(
            PackedGpu(
                budget=budget,
                streams=0,
                process_bytes=None,
                upper_bytes=None,
                more_streams=0,
                frames_per_second=None,
            )
            for budget in budgets
        ),
        verdict="does_not_fit",
        max_streams=0,
        max_streams_smallest=smallest,
        frames_per_second=None,
        frames_per_second_reason="nothing fits",
        warnings=tuple(warnings),
    )


def _need(budget: Budget, configuration: Configuration, request: Request, model_of: ModelOf) -> Totals:
    """What one process takes on a GPU."""
    return model_of(budget).totals(configuration, request.workload, budget.capability)


def decides_among(budgets: Sequence[Budget]) -> Budget:
    """The budget of the GPU whose compute capability is the lowest, or which torch has no code for."""
    from planner.catalog.torch_builds import why_no_code  # sizes alone need it not

    known = [(budget.capability, budget) for budget in budgets if budget.capability]
    return min(known, key=lambda one: (why_no_code(one[0]) is None, one[0]), default=((), budgets[0]))[1]


def _smallest_needs(budgets: Sequence[Budget], request: Request, model_of: ModelOf) -> list[int | None]:
    """What the smallest configuration takes on each GPU; worked out once for those that are alike."""
    alike = {_kind(budget): budget for budget in budgets}
    needs = {kind: smallest_need(request, budget, model_of(budget)) for kind, budget in alike.items()}
    return [needs[_kind(budget)] for budget in budgets]


def _kind(budget: Budget) -> Gpu | int:
    """What a process's bytes depend on: the GPU, or the size of one that is not named."""
    return budget.gpu or budget.total_bytes


def _most(budgets: Sequence[Budget], request: Request, model_of: ModelOf) -> int:
    """How many processes fit of the smallest configuration that the pins leave open."""

    def room(streams: int, shares: bool = True) -> int:
        """How many fit, each with the share of the host that so many have."""
        shared = [replace(budget, shared=shares) for budget in _shared(budgets, streams)]
        decides = decides_among(shared)
        if smallest_need(request, decides, model_of(decides)) is None:
            return 0
        needs = _smallest_needs(shared, request, model_of)
        return sum(budget.usable_bytes // need for budget, need in zip(shared, needs, strict=True) if need)

    most = room(1)
    if not most:
        return min(1, room(1, shares=False))
    if budgets[0].host_bytes is None:
        return most
    return bisect_left(range(1, most + 1), True, key=lambda streams: room(streams) < streams)


def _of_one_process(plan: Plan, budgets: Sequence[Budget], command: str | None, tips: Iterator[Suggestion]) -> Plan:
    """The plan as one of a packing: for whichever of the GPUs, with commands that make all of it."""
    cards = [budget.gpu for budget in budgets if budget.gpu]
    same = len(cards) == len(budgets) and len({(card.name, card.capability) for card in cards}) == 1
    gpu = Gpu(name=cards[0].name, total_bytes=cards[0].total_bytes, capability=cards[0].capability) if same else None
    budget = replace(plan.budget, source="gpu" if gpu else "vram", gpu=gpu)
    return replace(plan, budget=budget, command=command, suggestions=tuple(tips))


def _fewer_for_better(
    budgets: Sequence[Budget], streams: int, request: Request, model_of: ModelOf, plan: Plan
) -> Iterator[Suggestion]:
    """With how many streams the best of what was turned down would fit."""
    if request.workload.streams > 1:  # fewer would be shared out to the GPUs anew
        return
    better = next((one for one in plan.rejected if one.need_bytes is not None), None)
    # What "balanced" chooses hangs on all that fits, so with other room it may choose anything.
    if better is None or request.prefer == "balanced":
        return
    fewer = 0
    for batch, offload in leanest_ways(request.workload):
        way = replace(better.configuration, object_batch=batch, offload_state=offload)
        room = sum(budget.usable_bytes // _need(budget, way, request, model_of).total for budget in budgets)
        fewer = max(fewer, _held(budgets, model_of(budgets[0]).host_bytes(way, request.workload), room))
    if 1 <= fewer < streams:
        change = f"{_count(fewer)} would allow {describe(better.configuration)}"
        yield Suggestion(change, _command(request, budgets, fewer, plan.strict))


def _what_helps(
    budgets: Sequence[Budget], streams: int, request: Request, model_of: ModelOf, strict: bool, most: int
) -> Iterator[Suggestion]:
    """Changes that were verified to give a packing."""
    yield from _more_of_the_host(budgets, streams, request, model_of, strict)
    whole = [replace(budget, headroom=Headroom()) for budget in budgets]
    if any(budget.headroom_bytes for budget in budgets) and _most(whole, request, model_of) >= streams:
        yield Suggestion("hold nothing back", _command(request, whole, streams, strict))
    for name in request.pins.given():
        freed = replace(request, pins=replace(request.pins, **{name: None}))
        if _most(budgets, freed, model_of) >= streams:
            yield Suggestion(f"leave the {name} open", _command(freed, budgets, streams, strict))
    if most and request.workload.streams == 1:
        yield Suggestion(f"run {_count(most)} at a time", _command(request, budgets, most, strict))


def _more_of_the_host(
    budgets: Sequence[Budget], streams: int, request: Request, model_of: ModelOf, strict: bool
) -> Iterator[Suggestion]:
    """What the host must have, where the GPUs have room for all."""
    if budgets[0].host_bytes is None:
        return
    decides = decides_among(budgets)
    room = most_room([budget.usable_bytes for budget in budgets], streams)
    budget = replace(decides, total_bytes=room, headroom=Headroom(), shared=streams > 1)
    whole = rounded_up_size(streams * (smallest_host_need(request, budget, model_of(decides)) or 0))
    roomier = [replace(budget, host_bytes=whole, host_source="given") for budget in budgets]
    if budgets[0].host_bytes < whole <= MAXIMUM_SIZE_BYTES and _most(roomier, request, model_of) >= streams:
        yield Suggestion(f"with {format_size(whole)} of host memory", _command(request, roomier, streams, strict))


def _command(request: Request, budgets: Sequence[Budget], streams: int, strict: bool, *extra: str) -> str:
    """What makes a packing, with the whole of a host that was given: shares need not add up to it."""
    whole = budgets[0].host_bytes if budgets[0].host_source == "given" else None
    words = [] if whole is None else ["--host-memory", exact_size(whole)]
    without = [replace(budget, host_bytes=None) for budget in budgets]
    return packing_command(request, without, streams, *words, *extra, strict=strict)


def _count(streams: int) -> str:
    return f"{streams} stream{'s' * (streams != 1)}"
