"""What one process is allotted, and on which card."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from planner.catalog.capability import what_it_lacks, why_unsupported
from planner.catalog.gpus import find_gpu, same_card
from planner.errors import UsageError
from planner.memory_model.current import known_model
from planner.nouns.estimate import Estimate
from planner.nouns.plan import Plan
from planner.nouns.request import Gpu
from planner.nouns.run import Configuration
from planner.nouns.words import SHARES, ShareKind
from planner.placement.placement import Card, Share, ShareTooLarge
from planner.text.spelling import check_word
from planner.text.units import check_size, exact_size, format_size, parse_size

CAPABILITIES = ((7, 5), (8, 0), (9, 0))
"""One of each kind that estimates differ between; older GPUs run no current torch."""


def chosen_of(plan: Plan) -> tuple[Configuration, Estimate]:
    """What is to run and what it takes. Raises DoesNotFit, or UsageError, where the plan chose nothing.

    That a choice is tight is no obstacle, strict or not: the share is a cap, and whoever was to be warned has been.
    """
    if plan.chosen is None:
        require: Any = getattr(plan, "require", None)
        if require is not None:
            require()
        raise UsageError("Nothing fits this plan's budget, so there is nothing to place.", "See its suggestions.")
    return plan.chosen.configuration, plan.chosen.estimate


def allot(plan: Plan, kind: ShareKind, gpu: str | int | None) -> tuple[Configuration, Share, Card | None]:
    """What is to run, the share of one process, and the card, which has room for it.

    Raises as chosen_of, share_of, card_of; ShareTooLarge where one process needs more than the card has.
    """
    configuration, _ = chosen_of(plan)
    card = card_of(plan, gpu)
    share = share_of(plan, kind, card)
    if card is not None:
        _require_room(share, card)
    return configuration, share, card


def share_of(plan: Plan, kind: ShareKind, card: Card | None = None) -> Share:
    """The share of one process, to the byte: on that card, or on any that runs the choice.

    Raises UsageError for a word that is none of SHARES, as chosen_of, and ShareTooLarge where a card that is named
    is predicted to take more than the budget.
    """
    check_word(kind, "share", SHARES)
    _, planned = chosen_of(plan)
    budget_bytes = plan.budget.total_bytes
    estimates = _on(plan, card)
    least = min(estimate.least_bytes for estimate in estimates)
    if least > budget_bytes:
        name = card.name if card and card.name else "any GPU that runs it"
        raise ShareTooLarge(
            f"On {name} one process is predicted to take at least {format_size(least)}, more than the plan's budget of "
            f"{format_size(budget_bytes)}.",
            "Plan for that GPU: sam2-plan --gpu NAME, or with a larger budget.",
        )
    if kind == "budget":
        return Share(kind=kind, bytes=budget_bytes, reason="the plan's budget, headroom included")
    bound = max(planned.upper_bytes, *(estimate.upper_bytes for estimate in estimates))
    if bound > budget_bytes:
        reason = f"the plan's budget: the upper bound, {format_size(bound)}, exceeds it"
        if planned.upper_bytes <= budget_bytes:
            where = card.name if card and card.name else "the GPU generation that takes most"
            reason = (
                f"the plan's budget: it holds the plan's own upper bound, {format_size(planned.upper_bytes)}, "
                f"but on {where} that would be {format_size(bound)}"
            )
        return Share(kind=kind, bytes=budget_bytes, reason=reason)
    of = "" if card and card.capability else ", on any GPU that runs it"
    return Share(kind=kind, bytes=bound, reason=f"the upper bound of the prediction{of}, CUDA context included")


def _on(plan: Plan, card: Card | None) -> list[Estimate]:
    """What the choice is predicted to take on the card; where its generation is not known, on each that runs it."""
    configuration, planned = chosen_of(plan)
    known = card.capability if card else None
    gpu = Gpu(name=card.name, total_bytes=card.total_bytes, capability=known) if card and card.name else None
    model = known_model().on(gpu, card.total_bytes if card else plan.budget.total_bytes)
    found = [
        model.estimate(configuration, plan.request.workload, capability)
        for capability in ((known,) if known else CAPABILITIES)
        if why_unsupported(configuration.precision, configuration.attention, capability) is None
    ]
    return found or [planned]  # a plan that says of its own GPU what that cannot run


def card_of(plan: Plan, gpu: str | int | None) -> Card | None:
    """The card: by name or size ("24GB", or bytes), else the plan's; None where neither says any.

    Raises UsageError for a GPU that is not known, a size that cannot be read, and a card that cannot run the choice.
    """
    if gpu is None:
        planned = plan.budget.gpu
        if planned is None:
            return None
        return Card(name=planned.name, total_bytes=planned.total_bytes, capability=planned.capability)
    if isinstance(gpu, int):
        return Card(name=None, total_bytes=check_size(gpu))
    if (size := _size(gpu)) is not None:
        return Card(name=None, total_bytes=size)
    found = find_gpu(gpu).gpu
    configuration, _ = chosen_of(plan)
    reason = why_unsupported(configuration.precision, configuration.attention, found.capability)
    if reason:
        helps = what_it_lacks(configuration.precision, configuration.attention, found.capability) == reason
        plan_for_it = f'Plan for it: sam2-plan --gpu "{found.name}"'
        raise UsageError(
            f"The plan cannot run on {found.name}: {reason}.",
            plan_for_it if helps else "Install that torch where it is to run, or name another GPU.",
        )
    return Card(name=found.name, total_bytes=found.total_bytes, capability=found.capability)


def _size(text: str) -> int | None:
    """Bytes of a size; None for a name, some of which begin with digits ("4090"). Raises UsageError for neither."""
    if not (text[:1].isdigit() or text[:1] in (".", "-")):
        return None
    try:
        return parse_size(text)
    except UsageError:
        with suppress(UsageError):
            find_gpu(text)
            return None
        raise


def _require_room(share: Share, card: Card) -> None:
    """Raises ShareTooLarge where one process needs more than the card has."""
    if share.bytes <= card.total_bytes:
        return
    name = card.name or "a GPU"
    raise ShareTooLarge(
        f"One process is allotted {format_size(share.bytes)} ({share.reason}), and {name} has "
        f"{format_size(card.total_bytes)}.",
        f"Place it on a larger GPU, or plan for this one: sam2-plan --vram {exact_size(card.total_bytes)}",
    )


def cautions(plan: Plan, card: Card | None, gpu: str | int | None) -> tuple[str, ...]:
    """What to say where the card is not the one that was planned for, or its name means several."""
    planned = plan.budget.gpu
    found = []
    if card is not None and card.name and planned is not None and not same_card(planned.name, card.name):
        found.append(f"the plan was made for {planned.name}; the share is what is predicted for {card.name}")
    if isinstance(gpu, str) and card is not None and card.name:
        others = ", ".join(f"{other.name} ({format_size(other.total_bytes)})" for other in find_gpu(gpu).also)
        if others:
            found.append(f"{gpu} may also be {others}; placed on {card.name} ({format_size(card.total_bytes)})")
    return tuple(found)
