"""The decision: weigh every candidate, choose, and say why not the others."""

from __future__ import annotations

from collections.abc import Sequence

from planner.commands import describe, running_command
from planner.domain import Budget, Choice, Plan, Provenance, Request, Workload
from planner.memory_model import MemoryModel
from planner.planning.candidates import CandidateClass, candidate_classes, smallest_need
from planner.planning.hosting import host_warnings
from planner.planning.limits import limits
from planner.planning.ranking import choice, ranker
from planner.planning.rejections import reject_all, smallest_estimates
from planner.planning.stock import stock
from planner.planning.suggestions import suggestions
from planner.units import format_size

DEFAULT_ALTERNATIVES = 5


def make_plan(
    request: Request,
    budget: Budget,
    model: MemoryModel,
    provenance: Provenance,
    *,
    strict: bool = False,
    top: int = DEFAULT_ALTERNATIVES,
    warnings: Sequence[str] = (),
    explain: bool = False,
) -> Plan:
    """The best configuration that fits, with what supports the decision. The same input gives the same Plan.

    explain: say of every candidate class why it was or was not chosen.
    Raises UsageError only for a request that contradicts itself; that nothing fits is a Plan, not an error.
    """
    workload = request.workload
    classes = candidate_classes(request, budget, model)
    usable = budget.usable_bytes
    runnable = [candidate for candidate in classes if not candidate.unsupported]
    within = {id(c): member for c in runnable if (member := c.first_within(usable))}
    fitting = [candidate for candidate in runnable if id(candidate) in within]
    rank = ranker(request.prefer, workload, model.catalog, [(c, within[id(c)]) for c in fitting])
    # What does not fit is ranked as what it would rather run as.
    keys = {id(candidate): rank(candidate, within.get(id(candidate), candidate.members[0])) for candidate in classes}
    fitting.sort(key=lambda candidate: keys[id(candidate)])
    choices = [choice(c, within[id(c)], workload, model, budget) for c in fitting[: top + 1]]
    chosen = choices[0] if choices else None
    turned_down = _turned_down(classes, fitting, keys)
    smallest = smallest_need(request, budget, model)
    verdict = _verdict(chosen, usable)
    estimate_of = smallest_estimates(workload, budget, model)
    explained = None
    if explain:
        from planner.planning.explain import explain_all  # its import is a fortieth of the command

        explained = explain_all(classes, within, keys, chosen, request, budget, model.catalog, estimate_of)
    return Plan(
        request=request,
        budget=budget,
        verdict=verdict,
        strict=strict,
        chosen=chosen,
        alternatives=tuple(choices[1:]),
        rejected=reject_all(turned_down, budget, estimate_of),
        limits=limits(chosen, workload, budget, model, smallest),
        stock=stock(request, budget, chosen.configuration if chosen else None, model),
        suggestions=suggestions(
            request,
            budget,
            model,
            (chosen, fitting[0]) if chosen else None,
            verdict,
            choices[1:],
            turned_down,
            smallest,
        ),
        warnings=(*warnings, *_warnings(chosen, verdict, usable, workload), *host_warnings(chosen, budget)),
        command=running_command(request, budget) if chosen else None,
        command_reason=None if chosen else "nothing fits",
        candidates=sum(len(candidate.members) for candidate in classes),
        provenance=provenance,
        explained=explained,
    )


def _verdict(chosen: Choice | None, usable_bytes: int) -> str:
    if chosen is None:
        return "does_not_fit"
    return "fits" if chosen.estimate.upper_bytes <= usable_bytes else "tight"


def _turned_down(
    classes: Sequence[CandidateClass], fitting: Sequence[CandidateClass], keys: dict[int, tuple[float, ...]]
) -> list[CandidateClass]:
    """What ranks above the choice and does not fit, in order; where nothing fits all of it, nearest miss first."""
    if not fitting:
        return sorted(classes, key=lambda c: (c.need_bytes is None, c.need_bytes or 0, keys[id(c)]))
    within = {id(candidate) for candidate in fitting}
    bar = keys[id(fitting[0])]
    above = [candidate for candidate in classes if keys[id(candidate)] < bar and id(candidate) not in within]
    return sorted(above, key=lambda candidate: keys[id(candidate)])


def _warnings(chosen: Choice | None, verdict: str, usable_bytes: int, workload: Workload) -> list[str]:
    if chosen is None:
        return []
    found = []
    estimate = chosen.estimate
    if verdict == "tight":
        found.append(
            f"tight: predicted {format_size(estimate.total_bytes)} of {format_size(usable_bytes)} usable, but the "
            f"upper bound is {format_size(estimate.upper_bytes)}"
        )
    if estimate.extrapolated:
        because = "; ".join(estimate.extrapolated_because)
        found.append(f"extrapolated: {because}; the upper bound is wider for it")
    if chosen.quality_is_estimate:
        name = describe(chosen.configuration)
        found.append(f"the accuracy of {name} is an estimate: checkpoints are published for 1024x1024 only")
    elif chosen.quality is None and workload.task == "video":
        found.append(f"the accuracy of {describe(chosen.configuration)} is not known: {chosen.quality_reason}")
    return found
