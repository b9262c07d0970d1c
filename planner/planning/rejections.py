"""Why not: each class that was turned down, as its smallest member, with need, limit and binding component."""

from __future__ import annotations

from planner.commands import describe
from planner.domain import Budget, Rejection, Workload
from planner.memory_model import MemoryModel
from planner.planning.candidates import CandidateClass
from planner.units import format_size


def reject(candidate: CandidateClass, workload: Workload, budget: Budget, model: MemoryModel) -> Rejection:
    """The rejection of a class none of whose members fits, or that the GPU cannot run."""
    configuration = candidate.configuration(candidate.smallest())
    limit = budget.usable_bytes
    if candidate.unsupported:
        return Rejection(
            configuration=configuration,
            need_bytes=None,
            limit_bytes=limit,
            short_by_bytes=None,
            component="capability",
            reason=candidate.unsupported,
        )
    estimate = model.estimate(configuration, workload, budget.gpu.capability if budget.gpu else None)
    binding = max(estimate.components, key=lambda component: component.bytes)
    short = estimate.total_bytes - limit
    return Rejection(
        configuration=configuration,
        need_bytes=estimate.total_bytes,
        limit_bytes=limit,
        short_by_bytes=short,
        component=binding.name,
        reason=(
            f"{describe(configuration)} needs {format_size(estimate.total_bytes)}, {format_size(short)} more than "
            f"the usable {format_size(limit)}; the largest part is {binding.name} ({format_size(binding.bytes)})"
        ),
    )
