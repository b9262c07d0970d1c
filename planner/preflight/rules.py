"""A plan against the rules of a policy: each breach with what was found, and whether an exception still covers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

from planner.catalog.figures import VIDEO_METRIC
from planner.errors import EXIT_DOES_NOT_FIT
from planner.nouns.estimate import Estimate
from planner.nouns.plan import Choice, Plan
from planner.nouns.request import Budget
from planner.nouns.words import POLICY_RULES, CheckStatus, PolicyRule
from planner.preflight.checks import FAIL, PASS, SKIP, WARN, Check
from planner.preflight.memory import plan_within
from planner.preflight.policy import Policy
from planner.text.units import format_size

Found = tuple[CheckStatus, str, str | None, dict[str, object]]
"""Status, what was found, what to do, figures."""


def check_policy(policy: Policy, plan: Plan, choice: Choice, budget: Budget | None, today: date) -> list[Check]:
    """One check for each rule of the policy: `choice` as of today, which also decides if an exception still holds."""
    estimate = choice.estimate
    held: dict[PolicyRule, Callable[[], Found]] = {
        "minimum_quality": lambda: _quality(policy.minimum_quality or 0.0, choice),
        "maximum_bytes": lambda: _bytes(policy.maximum_bytes or 0, estimate, plan),
        "required_headroom": lambda: _headroom(policy, estimate, budget),
        "allowed_variants": lambda: _allowed("variant", choice.variant, policy.allowed_variants or ()),
        "allowed_precisions": lambda: _allowed("precision", choice.precision, policy.allowed_precisions or ()),
    }
    return [_judged(rule, held[rule](), policy, today) for rule in POLICY_RULES if getattr(policy, rule) is not None]


def _judged(rule: PolicyRule, found: Found, policy: Policy, today: date) -> Check:
    """The check of a rule after the policy's mode and its exceptions."""
    status, text, action, figures = found
    check = Check(
        name=f"policy.{rule}", status=status, found=text, action=action, exit_code=EXIT_DOES_NOT_FIT, figures=figures
    )
    if status != FAIL:
        return check
    exception = policy.exception_for(rule)
    if exception is not None and today <= exception.until:
        text = f"{text}; excepted until {exception.until}: {exception.reason}"
        return replace(check, status=PASS, found=text, action=None, excepted=exception)
    if exception is not None:
        check = replace(check, found=f"{text}; the exception ended on {exception.until} ({exception.reason})")
    return replace(check, status=WARN) if policy.mode == "audit" else check


def _quality(least: float, choice: Choice) -> Found:
    figures: dict[str, object] = {"quality": choice.quality, "minimum_quality": least}
    if choice.quality is None or choice.quality_metric != VIDEO_METRIC:
        # A floor that nobody can show to hold is not kept.
        reason = choice.quality_reason or f"what is published is {choice.quality_metric}"
        text = f"the {VIDEO_METRIC} is not known ({reason}), at least {least:g} is asked"
        return FAIL, text, "Ask for an exception, or for a policy without minimum_quality for this task", figures
    origin = "estimated" if choice.quality_is_estimate else "published"
    text = f"{choice.quality:g} J&F ({origin}), at least {least:g} is asked"
    if choice.quality < least:
        return FAIL, text, "Take a larger variant or resolution, or ask for an exception", figures
    return PASS, text, None, figures


def _bytes(most: int, estimate: Estimate, plan: Plan) -> Found:
    figures: dict[str, object] = {
        "total_bytes": estimate.total_bytes,
        "upper_bytes": estimate.upper_bytes,
        "maximum_bytes": most,
    }
    text = f"{format_size(estimate.total_bytes)}, at most {format_size(most)} are allowed"
    if estimate.total_bytes > most:
        # What a run takes, not what it completes in: nobody makes it give cache back before the GPU is full.
        budget = replace(plan.budget, total_bytes=most, source="vram", gpu=None, shared=True)
        return FAIL, text, plan_within(plan.request, budget, estimate, strict=True), figures
    if estimate.upper_bytes > most:
        return WARN, f"{text}, but the upper bound is {format_size(estimate.upper_bytes)}", None, figures
    return PASS, text, None, figures


def _headroom(policy: Policy, estimate: Estimate, budget: Budget | None) -> Found:
    if budget is None or policy.required_headroom is None:
        return SKIP, "there is no memory to hold it against", None, {}
    wanted = policy.required_headroom.of(budget.total_bytes)
    left = budget.total_bytes - estimate.total_bytes
    sure = budget.total_bytes - estimate.upper_bytes
    figures: dict[str, object] = {"left_bytes": left, "left_at_least_bytes": sure, "required_bytes": wanted}
    text = f"{format_size(left)} of {format_size(budget.total_bytes)} stay free, {format_size(wanted)} are asked"
    if left < wanted:
        return FAIL, text, "Take a smaller configuration, or a larger GPU", figures
    if sure < wanted:
        return WARN, f"{text}, but at the upper bound {format_size(sure)} stay", None, figures
    return PASS, text, None, figures


def _allowed(what: str, found: str, allowed: tuple[str, ...]) -> Found:
    figures: dict[str, object] = {what: found, "allowed": list(allowed)}
    text = f"{found}; allowed: {', '.join(allowed)}"
    if found not in allowed:
        return FAIL, text, f"Plan with --{what} {allowed[0]}", figures
    return PASS, text, None, figures
