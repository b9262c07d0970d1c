"""Why not the others: every candidate class in order of preference, and what decided about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from planner.catalog import Catalog
from planner.catalog.figures import accuracy, worth
from planner.nouns.answers import Explained
from planner.nouns.estimate import Component
from planner.nouns.plan import Choice
from planner.nouns.request import Budget, Request
from planner.nouns.run import Workload
from planner.nouns.words import LostBy, Standing
from planner.planning.candidates import TIGHT, CandidateClass, Member
from planner.planning.ranking import lost_by, speed
from planner.planning.rejections import EstimateOf, what_it_needs
from planner.planning.weighing import Weighed
from planner.text.units import format_size

REASONS: dict[LostBy, str] = {
    "balance": "farther from the knee between accuracy and speed",
    "published": "an estimate of accuracy never outranks a published one",
    "speed": "slower",
    "bytes": "the same otherwise, and more bytes",
    "order": "the same otherwise, and listed later",
}


def explain_all(
    weighed: Weighed,
    chosen: Choice | None,
    request: Request,
    budget: Budget,
    catalog: Catalog,
    estimate_of: EstimateOf,
    strict: bool = False,
) -> tuple[Explained, ...]:
    """All classes, first what would be preferred if everything surely fitted."""
    within, keys = weighed.within, weighed.keys
    ordered = sorted(weighed.classes, key=lambda candidate: weighed.ideal[id(candidate)])
    best = weighed.best
    compared = _compared_with(chosen, ordered, estimate_of)
    card = budget.gpu.name if budget.gpu else None
    explained = []
    for rank, candidate in enumerate(ordered, 1):
        member = within.get(id(candidate))
        component = excess = lost = None
        outcome: Standing
        if candidate.unsupported:
            outcome, reason = "unsupported", candidate.unsupported
        elif member is None:
            outcome = "does_not_fit"
            component, excess = _difference(estimate_of(candidate).components, compared)
            reason = _why_it_breaks(candidate, component, excess, chosen is not None, budget)
        elif best is None or candidate is best:
            outcome, reason = "chosen", "the most preferred of those that fit"
        else:
            outcome, lost = "fits", lost_by(request.prefer, strict, keys[id(best)], keys[id(candidate)])
            if lost == "certainty":
                reason = _how_tightly(member, budget.usable_bytes)
            else:
                reason = _why_it_lost(lost, (candidate, member), (best, within[id(best)]), request.workload, catalog)
        shown = member or candidate.smallest()
        known = worth(candidate.configuration(shown), request.workload, catalog, card)
        explained.append(
            Explained(
                rank=rank,
                outcome=outcome,
                configuration=candidate.configuration(shown),
                quality=known["quality"],
                quality_is_estimate=known["quality_is_estimate"],
                quality_reason=known["quality_reason"],
                frames_per_second=known["frames_per_second"],
                frames_per_second_reason=known["frames_per_second_reason"],
                need_bytes=None if candidate.unsupported else shown.least_bytes,
                total_bytes=None if candidate.unsupported else shown.total_bytes,
                upper_bytes=None if candidate.unsupported else shown.upper_bytes,
                limit_bytes=budget.usable_bytes,
                component=_missing(candidate) or (component.name if component else None),
                component_bytes=component.bytes if component else None,
                excess_bytes=excess,
                lost_by=lost,
                reason=reason,
            )
        )
    return tuple(explained)


def _missing(candidate: CandidateClass) -> str | None:
    """What lacks entirely: a capability of the GPU, or memory of the host."""
    if candidate.over_host_bytes is not None:
        return "host"
    return "capability" if candidate.unsupported else None


def _compared_with(
    chosen: Choice | None, candidates: Sequence[CandidateClass], estimate_of: EstimateOf
) -> dict[str, int]:
    """The bytes by component of the choice, or where nothing fits of the nearest miss."""
    if chosen:
        return {part.name: part.bytes for part in chosen.estimate.components}
    runnable = [candidate for candidate in candidates if not candidate.unsupported]
    if not runnable:
        return {}
    nearest = min(runnable, key=lambda candidate: candidate.smallest().least_bytes)
    return {part.name: part.bytes for part in estimate_of(nearest).components}


def _difference(components: Sequence[Component], compared: Mapping[str, int]) -> tuple[Component, int | None]:
    """The component that takes most more than in what it is compared with, and how much; where none does, the largest.

    None does in the nearest miss itself and what needs the same. What is short of the budget needs more than the
    choice, so some component does.
    """
    found = max(components, key=lambda part: part.bytes - compared.get(part.name, 0))
    excess = found.bytes - compared.get(found.name, 0)
    return (found, excess) if excess > 0 else (max(components, key=lambda part: part.bytes), None)


def _how_tightly(member: Member, usable_bytes: int) -> str:
    if member.certainty(usable_bytes) == TIGHT:
        return f"fits only by giving cache back: with room to spare it takes {format_size(member.total_bytes)}"
    return f"fits only tightly: its upper bound is {format_size(member.upper_bytes)}"


def _why_it_breaks(
    candidate: CandidateClass, component: Component, excess: int | None, is_chosen: bool, budget: Budget
) -> str:
    smallest = candidate.smallest()
    missing = format_size(smallest.least_bytes - budget.usable_bytes)
    short = f"{what_it_needs(smallest)}, {missing} more than the usable"
    if excess is None:
        return f"{short}; the largest part is {component.name} ({format_size(component.bytes)})"
    other = "the choice" if is_chosen else "the nearest miss"
    return f"{short}; {component.name}: {format_size(excess)} more than in {other}"


def _why_it_lost(
    lost: LostBy,
    loser: tuple[CandidateClass, Member],
    winner: tuple[CandidateClass, Member],
    workload: Workload,
    catalog: Catalog,
) -> str:
    if lost == "accuracy":
        one, other = (accuracy(c.configuration(m), workload, catalog) for c, m in (loser, winner))
        if workload.task != "video" or one.value is None or other.value is None:
            return "lower in the order of accuracy"
        return f"lower accuracy: J&F {one.value} against {other.value}"
    if lost == "precision":
        return f"{loser[0].precision} comes after {winner[0].precision}"
    if lost == "speed" and workload.task == "video":
        slow, fast = (speed(*pair, workload, catalog) for pair in (loser, winner))
        return f"slower: a frame takes about {fast / slow:.1f} times as long"
    return REASONS[lost]
