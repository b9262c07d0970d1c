"""What a request needs: the smallest budgets under which it has a plan, and the cards that have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from planner.catalog.capability import why_unsupported
from planner.catalog.runtimes import check_run
from planner.catalog.ultralytics import PRECISIONS
from planner.errors import UsageError
from planner.memory_model import MemoryModel
from planner.memory_model.terms import AS_USUAL, Totals
from planner.nouns.answers import Cards, Need, Needed
from planner.nouns.request import Budget, Gpu, Headroom, Pins, Request
from planner.nouns.run import NATIVE, Configuration, Run, Transformers, bounds_memory
from planner.nouns.words import VARIANTS, VERSIONS, Precision, Purpose, Runtime, Verdict
from planner.planning.candidates import (
    SQUARE_SIDES,
    SURE,
    CandidateClass,
    Member,
    candidate_classes,
    larger_passes,
    open_precisions,
    resolutions,
)
from planner.planning.choice_limits import card_size
from planner.planning.others import batch_on, configuration_on
from planner.planning.ranking import PRECISION_RANK
from planner.planning.stock import OFFICIAL_PRECISION
from planner.planning.unnamed import smallest_for
from planner.text.command_lines import planning_command
from planner.text.units import MAXIMUM_SIZE_BYTES, format_size


def needed(
    request: Request,
    headroom: Headroom,
    runtime: Runtime,
    model: MemoryModel,
    gpus: Sequence[Gpu],
    top: int,
    transformers: Transformers = AS_USUAL,
) -> Needed:
    """The budgets for the smallest class that the pins leave open and for all at the native resolution.

    gpus: the cards that are known; top: how many groups of them to list; transformers: how that runtime is called.
    Raises UsageError for what has no answer: a clip without end on a runtime that keeps everything, or a resolution
    that it does not run.
    """
    if runtime != "own":
        _check(request, runtime, transformers)
        headroom = Headroom()  # it stops where the whole card is used up; headroom is our own caution
    whose = Whose(runtime, transformers)
    classes = _at_native(request, whose, model)
    smallest = min(_open_classes(request, whose, model), key=_by_need)
    needs = [_need(candidate, request, headroom, whose, model) for candidate in classes]
    if len(needs) > 1 or classes[0].resolution != smallest.resolution:
        needs.insert(0, _need(smallest, request, headroom, whose, model, "smallest"))
    official = [need for need in needs if need.purpose == "official"]
    shown = official[0] if request.pins.variant and official else needs[0]
    groups = _cards(shown, request, headroom, whose, model, gpus)
    return Needed(
        request=request,
        headroom=headroom,
        runtime=runtime,
        needs=tuple(needs),
        cards_for=shown,
        cards=tuple(groups[:top]),
        further_cards=sum(len(group.names) for group in groups[top:]),
    )


class Whose(NamedTuple):
    """Whose code runs, and how it is called."""

    runtime: Runtime
    transformers: Transformers

    def configuration(self, candidate: CandidateClass, member: Member) -> Configuration:
        """What it runs of a class in one way."""
        return replace(candidate.configuration(member), bounded_memory_bank=bounds_memory(self.runtime))

    def sizes(self, request: Request) -> Sequence[tuple[int, int]]:
        """The resolutions at which it can run."""
        if self.runtime == "own":
            return resolutions(request)
        return [NATIVE] if self.runtime == "transformers" else [(side, side) for side in SQUARE_SIDES]

    def precisions(self, pins: Pins) -> Sequence[Precision]:
        """Those that the pins leave open and that it has."""
        return [one for one in open_precisions(pins) if self.runtime != "ultralytics" or one in PRECISIONS]


def _check(request: Request, runtime: Runtime, transformers: Transformers) -> None:
    workload, resolution = request.workload, request.pins.resolution
    if runtime != "stock":
        configuration = configuration_on(runtime, request, None, None)
        check_run(Run(runtime=runtime, configuration=configuration, workload=workload, transformers=transformers))
        return
    if workload.task == "video" and workload.frames is None:
        raise UsageError(
            "No budget is enough for a clip without end on the stock predictor: it keeps every frame.",
            "Give a number of frames, or ask for the own runtime, which bounds its memory bank.",
        )
    if resolution and resolution[0] != resolution[1]:
        raise UsageError(
            f"The stock predictor runs square resolutions only, not {resolution[0]}x{resolution[1]}.",
            "Pin a square one, or ask for the own runtime.",
        )


def _at_native(request: Request, whose: Whose, model: MemoryModel) -> list[CandidateClass]:
    """Every open variant and precision at the pinned resolution, else the native one, in order."""
    at = replace(request.pins, resolution=request.pins.resolution or NATIVE)
    variants = (at.variant,) if at.variant else VARIANTS
    return [
        candidate
        for variant in variants
        for candidate in sorted(
            _classes(request, whose, model, replace(at, variant=variant)),
            key=lambda candidate: PRECISION_RANK[candidate.precision],
        )
    ]


def _open_classes(request: Request, whose: Whose, model: MemoryModel) -> Iterator[CandidateClass]:
    """Every class that the pins leave open: bytes step with the resolution, so the smallest picture need not do."""
    pins = request.pins
    sizes = whose.sizes(request)
    for variant in (pins.variant,) if pins.variant else VARIANTS:
        for size in (pins.resolution,) if pins.resolution else sizes:
            yield from _classes(request, whose, model, replace(pins, variant=variant, resolution=size))


def _by_need(candidate: CandidateClass) -> tuple[int, int, int]:
    smallest = candidate.smallest()
    return smallest.least_bytes, smallest.total_bytes, PRECISION_RANK[candidate.precision]


def _classes(
    request: Request, whose: Whose, model: MemoryModel, pins: Pins, gpu: Gpu | None = None
) -> list[CandidateClass]:
    """The classes under these pins, of one version. Other runtimes run each in one way."""
    pins = replace(pins, version=pins.version or VERSIONS[0])
    if whose.runtime == "own":
        budget = Budget(total_bytes=1, headroom=Headroom(), source="gpu", gpu=gpu)
        return candidate_classes(replace(request, pins=pins), budget, model)
    assert pins.variant is not None
    assert pins.version is not None
    assert pins.resolution is not None
    capability = gpu.capability if gpu else None
    attention = pins.attention or "auto"
    found = []
    for precision in whose.precisions(pins):
        empty = CandidateClass(pins.variant, pins.version, pins.resolution, precision, attention, (), None)
        member = Member(batch_on(whose.runtime, request.workload), False, 0, 0, 0, 0)
        configuration = whose.configuration(empty, member)
        totals = model.totals(configuration, request.workload, capability, *whose)
        member = member._replace(least_bytes=totals.least, total_bytes=totals.total, upper_bytes=totals.upper)
        unsupported = why_unsupported(precision, attention, capability)
        found.append(empty._replace(members=(member,), unsupported=unsupported))
    return found


def _need(
    candidate: CandidateClass,
    request: Request,
    headroom: Headroom,
    whose: Whose,
    model: MemoryModel,
    purpose: Purpose | None = None,
) -> Need:
    smallest, sure = candidate.smallest(), candidate.surest()
    official = candidate.resolution == NATIVE and candidate.precision == OFFICIAL_PRECISION

    def totals(member: Member, total_bytes: int) -> Totals:
        """Under a budget of so many bytes, which says what the context takes."""
        return model.on(None, total_bytes).totals(
            whose.configuration(candidate, member), request.workload, None, *whose
        )

    preferred = _preferred(candidate, request, whose)
    budgets = {
        "budget_bytes": smallest_for(lambda size: int(totals(smallest, size).least), headroom),
        "sure_budget_bytes": smallest_for(lambda size: int(totals(sure, size).upper), headroom),
        "preferred_budget_bytes": smallest_for(
            lambda size: max(int(totals(way, size).upper) for way in preferred), headroom
        ),
    }
    budget = budgets["budget_bytes"]
    of_smallest = totals(smallest, budget)
    need_bytes, total_bytes = int(of_smallest.least), int(of_smallest.total)
    upper_bytes = int(totals(sure, budgets["sure_budget_bytes"]).upper)
    reasons = {name: f"no card has {format_size(size)}" for name, size in budgets.items() if size > MAXIMUM_SIZE_BYTES}
    given = {name: None if name in reasons else size for name, size in budgets.items()}
    command = None
    if whose.runtime != "own":
        reasons["command"] = "plans are for the own runtime"
    elif budget > MAXIMUM_SIZE_BYTES:
        reasons["command"] = reasons["budget_bytes"]
    else:
        pinned = replace(request, pins=_pins_of(candidate, request.pins))
        command = planning_command(pinned, Budget(total_bytes=budget, headroom=headroom, source="vram"))
    return Need(
        purpose=purpose or ("official" if official else "other"),
        configuration=whose.configuration(candidate, smallest),
        need_bytes=need_bytes,
        total_bytes=total_bytes,
        budget_bytes=given["budget_bytes"],
        card=card_size(budget, old=True),
        sure_configuration=whose.configuration(candidate, sure),
        upper_bytes=upper_bytes,
        sure_budget_bytes=given["sure_budget_bytes"],
        sure_card=card_size(budgets["sure_budget_bytes"], old=True),
        preferred_budget_bytes=given["preferred_budget_bytes"],
        command=command,
        reasons=reasons,
    )


def _preferred(candidate: CandidateClass, request: Request, whose: Whose) -> list[Member]:
    """The way that planning prefers, and of our video the largest pass, which it takes once that surely fits."""
    first = candidate.members[0]
    if whose.runtime != "own":
        return [first]
    passes = larger_passes(request.workload, first.offload_state)
    return [first, *(first._replace(object_batch=batch) for batch, _ in passes[:1])]


def _pins_of(candidate: CandidateClass, pins: Pins) -> Pins:
    return Pins(
        variant=candidate.variant,
        version=candidate.version,
        resolution=candidate.resolution,
        precision=candidate.precision,
        attention=pins.attention,
    )


def _cards(
    need: Need, request: Request, headroom: Headroom, whose: Whose, model: MemoryModel, gpus: Sequence[Gpu]
) -> list[Cards]:
    """The cards on which this class has a plan, by memory and verdict."""
    one = need.configuration
    pins = replace(
        request.pins,
        variant=one.variant,
        version=one.version,
        resolution=one.resolution,
        precision=one.precision,
    )
    known: dict[object, CandidateClass] = {}
    groups: dict[tuple[str, Verdict], list[Gpu]] = {}
    for gpu in gpus:
        on = model.on(gpu)
        key = gpu.capability, on.context, on.corrections.get(whose.runtime)
        if key not in known:
            known[key] = _classes(request, whose, on, pins, gpu)[0]
        verdict = _verdict(known[key], Budget(total_bytes=gpu.total_bytes, headroom=headroom, source="gpu", gpu=gpu))
        if verdict:
            # Drivers keep a few MiB more of one card than of another: sizes that read the same are one.
            groups.setdefault((format_size(gpu.total_bytes), verdict), []).append(gpu)
    found = [
        Cards(
            total_bytes=min(gpu.total_bytes for gpu in alike),
            verdict=verdict,
            names=tuple(gpu.name for gpu in _newest_first(alike)),
        )
        for (_, verdict), alike in groups.items()
    ]
    return sorted(found, key=lambda cards: (cards.total_bytes, cards.verdict))


def _verdict(candidate: CandidateClass, budget: Budget) -> Verdict | None:
    usable = budget.usable_bytes
    member = candidate.best_within(usable)
    if member is None or candidate.unsupported:
        return None
    return "fits" if member.certainty(usable) == SURE else "tight"


def _newest_first(gpus: Sequence[Gpu]) -> list[Gpu]:
    newest = sorted(gpus, key=lambda gpu: gpu.name.lower())
    return sorted(newest, key=lambda gpu: gpu.capability or (0, 0), reverse=True)
