"""Why not: each class that was turned down, as its smallest member, with need, limit and binding component."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from planner.memory_model import MemoryModel
from planner.nouns.estimate import Estimate
from planner.nouns.plan import Rejection
from planner.nouns.request import Budget
from planner.nouns.run import Workload
from planner.planning.candidates import CandidateClass, Member
from planner.text.command_lines import describe
from planner.text.units import format_size

EstimateOf = Callable[[CandidateClass], Estimate]


def smallest_estimates(workload: Workload, budget: Budget, model: MemoryModel) -> EstimateOf:
    """The full estimate of a class's smallest member, worked out once for those that share it."""
    # Versions, and the two half precisions, share their members and so their estimates.
    known: dict[tuple[object, ...], Estimate] = {}

    def estimate_of(candidate: CandidateClass) -> Estimate:
        key = id(candidate.members), candidate.variant, candidate.resolution
        if key not in known:
            configuration = candidate.configuration(candidate.smallest())
            known[key] = model.estimate(configuration, workload, budget.capability)
        return known[key]

    return estimate_of


def what_it_needs(member: Member) -> str:
    """What it completes in and, where that reads as another figure, what it takes with room to spare."""
    least, total = format_size(member.least_bytes), format_size(member.total_bytes)
    return f"needs {least}" if least == total else f"needs at least {least} ({total} with room to spare)"


def reject_all(candidates: Sequence[CandidateClass], budget: Budget, estimate_of: EstimateOf) -> tuple[Rejection, ...]:
    """The rejections of classes none of whose members fits, or that the GPU cannot run, in the same order."""
    return tuple(_reject(candidate, budget, estimate_of) for candidate in candidates)


def _reject(candidate: CandidateClass, budget: Budget, estimate_of: EstimateOf) -> Rejection:
    configuration = candidate.configuration(candidate.smallest())
    limit = budget.usable_bytes
    if candidate.over_host_bytes is not None and budget.host_bytes is not None:
        leanest = min(candidate.members, key=lambda member: member.host_bytes)
        return Rejection(
            configuration=candidate.configuration(leanest),
            need_bytes=candidate.over_host_bytes,
            total_bytes=None,
            limit_bytes=budget.host_bytes,
            short_by_bytes=candidate.over_host_bytes - budget.host_bytes,
            component="host",
            reason=f"{describe(configuration)}: {candidate.unsupported}",
        )
    if candidate.unsupported:
        return Rejection(
            configuration=configuration,
            need_bytes=None,
            total_bytes=None,
            limit_bytes=limit,
            short_by_bytes=None,
            component="capability",
            reason=candidate.unsupported,
        )
    estimate = estimate_of(candidate)
    binding = max(estimate.components, key=lambda component: component.bytes)
    smallest = candidate.smallest()
    short = smallest.least_bytes - limit
    return Rejection(
        configuration=configuration,
        need_bytes=smallest.least_bytes,
        total_bytes=smallest.total_bytes,
        limit_bytes=limit,
        short_by_bytes=short,
        component=binding.name,
        reason=(
            f"{describe(configuration)} {what_it_needs(smallest)}, {format_size(short)} more than "
            f"the usable {format_size(limit)}; the largest part is {binding.name} ({format_size(binding.bytes)})"
        ),
    )
