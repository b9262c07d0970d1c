"""The decision: weigh every candidate, choose, and say why not the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from planner.memory_model import MemoryModel
from planner.nouns.estimate import Estimate
from planner.nouns.plan import Choice, Plan, Provenance
from planner.nouns.request import Budget, Request
from planner.nouns.run import Workload
from planner.nouns.words import Runtime, Verdict
from planner.planning.alternatives import alternatives
from planner.planning.candidates import candidate_classes, smallest_need
from planner.planning.choice_limits import limits
from planner.planning.hosting import host_warnings
from planner.planning.passes import ways_within, with_largest_pass
from planner.planning.ranking import choice
from planner.planning.rejections import reject_all, smallest_estimates
from planner.planning.stock import stock
from planner.planning.suggestions import suggestions
from planner.planning.unnamed import context_warnings
from planner.planning.weighing import Weighed, weigh
from planner.text.command_lines import describe, running_command
from planner.text.units import format_size

if TYPE_CHECKING:
    from planner.nouns.elsewhere import Elsewhere

DEFAULT_ALTERNATIVES = 6


def choose(request: Request, budget: Budget, model: MemoryModel, strict: bool = False) -> tuple[Weighed, Choice | None]:
    """Every candidate class weighed against a budget, and the best that fits; strict as of make_plan."""
    classes = candidate_classes(request, budget, model)
    weighed = weigh(classes, request, budget.usable_bytes, model.catalog, strict)
    weighed = with_largest_pass(weighed, request, budget, model)
    best = weighed.best
    if best is None:
        return weighed, None
    return weighed, choice(best, weighed.within[id(best)], request.workload, model, budget)


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
    runtimes: Sequence[Runtime] = (),
) -> Plan:
    """The best configuration that fits, with what supports the decision. The same input gives the same Plan.

    strict: a plan that fits tightly is a failure, so what surely fits is preferred to all else. explain: say of every
    candidate class why it was or was not chosen. runtimes: others to say the same of. Raises UsageError only for a
    request that contradicts itself; that nothing fits is a Plan, not an error.
    """
    workload, exact = request.workload, provenance.exact is not None
    usable = budget.usable_bytes
    weighed, chosen = choose(request, budget, model, strict)

    found = alternatives(weighed, request, top, ways_within(request, budget, model))
    others = tuple(choice(*option, workload, model, budget) for option in found)
    smallest = smallest_need(request, budget, model)
    verdict = _verdict(chosen, usable)
    estimate_of = smallest_estimates(workload, budget, model)
    explained = None
    if explain:
        from planner.planning.explain import explain_all  # its import is a fortieth of the command

        explained = explain_all(weighed, chosen, request, budget, model.catalog, estimate_of, strict)
    return Plan(
        request=request,
        budget=budget,
        verdict=verdict,
        strict=strict,
        chosen=chosen,
        alternatives=others,
        rejected=reject_all(weighed.turned_down, budget, estimate_of),
        limits=limits(chosen, request, budget, model, smallest),
        stock=stock(request, budget, chosen.configuration if chosen else None, model),
        others=_elsewhere(runtimes, request, budget, chosen, model),
        suggestions=suggestions(request, budget, model, weighed, others, smallest, strict),
        warnings=(
            *warnings,
            *_warnings(chosen, verdict, budget, workload),
            *context_warnings(chosen, smallest, budget, model),
            *host_warnings(chosen, budget),
        ),
        command=running_command(request, budget, chosen.configuration, strict, exact) if chosen else None,
        command_reason=None if chosen else "nothing fits",
        candidates=sum(len(candidate.members) for candidate in weighed.classes),
        provenance=provenance,
        explained=explained,
    )


def _elsewhere(
    runtimes: Sequence[Runtime], request: Request, budget: Budget, chosen: Choice | None, model: MemoryModel
) -> tuple[Elsewhere, ...]:
    if not runtimes:
        return ()
    from planner.planning.others import others  # few ask

    return others(runtimes, request, budget, chosen.configuration if chosen else None, model)


def _verdict(chosen: Choice | None, usable_bytes: int) -> Verdict:
    if chosen is None:
        return "does_not_fit"
    return "fits" if chosen.estimate.upper_bytes <= usable_bytes else "tight"


def _how_tight(estimate: Estimate, usable_bytes: int) -> str:
    total, usable, upper = map(format_size, (estimate.total_bytes, usable_bytes, estimate.upper_bytes))
    if estimate.total_bytes <= usable_bytes:
        return f"predicted {total} of {usable} usable, but the upper bound is {upper}"
    return (
        f"completes in {format_size(estimate.least_bytes)} of {usable} usable by giving cache back, which costs time; "
        f"with room to spare it takes {total}, and the upper bound is {upper}"
    )


def _warnings(chosen: Choice | None, verdict: Verdict, budget: Budget, workload: Workload) -> list[str]:
    if chosen is None:
        return []
    found = []
    estimate = chosen.estimate
    if verdict == "tight":
        found.append(f"tight: {_how_tight(estimate, budget.usable_bytes)}")
    if estimate.extrapolated:
        because = "; ".join(estimate.extrapolated_because)
        found.append(f"extrapolated: {because}; the upper bound is wider for it")
    if chosen.quality_is_estimate:
        name = describe(chosen.configuration)
        found.append(f"the accuracy of {name} is an estimate: checkpoints are published for 1024x1024 only")
    elif chosen.quality is None and workload.task == "video":
        found.append(f"the accuracy of {describe(chosen.configuration)} is not known: {chosen.quality_reason}")
    return found
