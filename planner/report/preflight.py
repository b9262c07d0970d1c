"""A pre-flight as plain data, and as text for people."""

from __future__ import annotations

import re

from planner.nouns.words import CheckStatus
from planner.preflight.checks import ELSEWHERE, FAIL, NO_GPU_NAMED, PASS, SKIP, WARN, Preflight
from planner.report.layout import Style
from planner.text.command_lines import describe
from planner.text.units import format_size

MARKS: dict[CheckStatus, str] = {PASS: "ok", WARN: "warn", FAIL: "FAIL"}
_COLOURS: dict[CheckStatus, str] = {PASS: "green", WARN: "yellow", FAIL: "red"}
_SUMMARIES: dict[CheckStatus, str] = {
    PASS: "the plan holds",
    WARN: "the plan holds, with warnings",
    FAIL: "the plan does not hold",
}


def summary(found: Preflight) -> str:
    """The outcome in a line: what decided it."""
    chosen = found.plan.chosen
    what = describe(chosen.configuration) if chosen else "nothing chosen"
    bad = ", ".join(check.name for check in found.checks if check.status == found.status)
    reason = "" if found.status == PASS else f": {bad}"
    return f"{found.name}: {_SUMMARIES[found.status]}{reason} ({what})"


def preflight_report(found: Preflight, style: Style) -> str:
    """The pre-flight for people: a line each, and what to do below those that need it."""
    title = style(summary(found), _COLOURS[found.status], bold=True)
    lines = [title]
    if found.budget:
        gpu = found.budget.gpu
        where = f" on {gpu.name}" if gpu and found.budget.source == "device" else ""
        lines.append(f"  held against {format_size(found.budget.total_bytes)}{where}{_whence(found)}")
    lines.append("")
    looked_at = [check for check in found.checks if check.status != SKIP]
    width = max(len(check.name) for check in looked_at)
    for check in looked_at:
        mark = style(f"{MARKS[check.status]:<4}", _COLOURS[check.status], bold=check.status == FAIL)
        lines.append(f"  {mark}  {check.name:<{width}}  {check.found}")
        if check.action:
            lines.append(f"  {'':4}  {'':<{width}}  -> {check.action}")
    lines += _skipped(found)
    if found.policy:
        lines += ["", f"  policy {found.policy} ({found.policy_mode})"]
    return style.page(lines)


def _skipped(found: Preflight) -> list[str]:
    """What was not looked at: in a line what an option would have checked, and those of one reason together."""
    options: dict[str, str] = {}
    reasons: dict[str, list[str]] = {}
    for check in found.checks:
        if check.status != SKIP:
            continue
        option = _OPTION.search(check.found)
        if option:
            options[check.name] = option[1]
        else:
            reasons.setdefault(_BUDGET_ONLY if check.found in _OF_A_BUDGET else check.found, []).append(check.name)
    lines = [f"  not looked at  {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    if options:
        lines.append(f"  not named      {', '.join(options)}: {' '.join(options.values())}")
    return ["", *lines] if lines else []


_OPTION = re.compile(r"\((--\w+)\)$")
_OF_A_BUDGET = (NO_GPU_NAMED, ELSEWHERE)
_BUDGET_ONLY = "only a budget was given, no machine"


def _whence(found: Preflight) -> str:
    parts = []
    if found.replayed:
        parts.append(f"as {found.replayed} reports")
    if found.waited_seconds:
        parts.append(f"after waiting {found.waited_seconds:g} s")
    return f", {', '.join(parts)}" if parts else ""
