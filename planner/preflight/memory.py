"""Does the plan fit into the memory that there is, by what is predicted now, and who holds the rest?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from planner.commands import describe, planning_command
from planner.domain import EXIT_DOES_NOT_FIT, Budget, Choice, Estimate, Plan
from planner.measure.devices import PresentGpu
from planner.measure.machine import Machine
from planner.planning.candidates import why_unsupported
from planner.preflight.nouns import FAIL, PASS, WARN, Check
from planner.units import format_size

MOST_HOLDERS = 5
"""Processes named in the text; the figures have all."""


def check_memory(plan: Plan, choice: Choice, estimate: Estimate, budget: Budget, holders: Mapping[str, int]) -> Check:
    """The estimate against the usable part of the budget: as planning judges it."""
    usable = budget.usable_bytes
    short = estimate.total_bytes - usable
    figures = {
        "free_bytes": budget.total_bytes,
        "usable_bytes": usable,
        "total_bytes": estimate.total_bytes,
        "upper_bytes": estimate.upper_bytes,
        "short_by_bytes": max(0, short),
        "holders": [{"holder": name, "bytes": size} for name, size in holders.items()],
    }
    what = f"{describe(choice.configuration)} needs {format_size(estimate.total_bytes)}"
    room = f"{format_size(usable)} usable of {format_size(budget.total_bytes)}{_where(budget)}"
    if short > 0:
        status, found = FAIL, f"{what}, {format_size(short)} more than the {room}{_held(holders)}"
        action: str | None = _what_to_do(plan, budget, holders)
    elif estimate.upper_bytes > usable:
        status = WARN
        found = f"{what}, within the {room}, but its upper bound is {format_size(estimate.upper_bytes)}"
        action = (
            f"{format_size(estimate.upper_bytes - usable)} more would cover the bound, as would a smaller configuration"
        )
    else:
        status, action = PASS, None
        found = f"{what}, at most {format_size(estimate.upper_bytes)}; {room}"
    return Check(name="memory", status=status, found=found, action=action, exit_code=EXIT_DOES_NOT_FIT, figures=figures)


def check_capability(choice: Choice, budget: Budget) -> Check | None:
    """Whether the GPU can run the configuration at all; None where it can, or is not known."""
    reason = why_unsupported(choice.configuration.precision, choice.configuration.attention, budget.capability)
    if reason is None:
        return None
    return Check(
        name="gpu",
        status=FAIL,
        found=f"{budget.gpu.name if budget.gpu else 'this GPU'} cannot run {describe(choice.configuration)}: {reason}",
        action="Plan for this GPU (--device), or use one of a newer generation",
        exit_code=EXIT_DOES_NOT_FIT,
    )


def check_prediction(planned: Estimate, now: Estimate) -> Check:
    """Whether what is predicted today, of the same workload on this GPU, is no worse than what the plan says."""
    figures = {
        "planned_total_bytes": planned.total_bytes,
        "planned_upper_bytes": planned.upper_bytes,
        "total_bytes": now.total_bytes,
        "upper_bytes": now.upper_bytes,
    }
    said = f"{format_size(now.total_bytes)} (at most {format_size(now.upper_bytes)})"
    if (now.total_bytes, now.upper_bytes) == (planned.total_bytes, planned.upper_bytes):
        return Check(name="prediction", status=PASS, found=f"{said}, as in the plan", figures=figures)
    beside = f"{said}; the plan says {format_size(planned.total_bytes)} (at most {format_size(planned.upper_bytes)})"
    if now.total_bytes <= planned.total_bytes and now.upper_bytes <= planned.upper_bytes:
        return Check(name="prediction", status=PASS, found=beside, figures=figures)
    return Check(
        name="prediction",
        status=WARN,
        found=beside,
        action="Make the plan again: this GPU, this release or your own fit is not what it was made with",
        figures=figures,
    )


def no_gpu(reason: str) -> Check:
    """The check of memory where there is no GPU to ask."""
    return Check(
        name="memory",
        status=FAIL,
        found=f"no GPU was found on this machine ({reason})",
        action="Say what there is with --vram SIZE or --gpu NAME, or check where the GPU is",
    )


def holders_of(gpu: PresentGpu, names: Mapping[int, str]) -> dict[str, int]:
    """What is not free of a GPU, by who holds it, the largest first; what no process accounts for is named so."""
    used: dict[str, int] = {}
    for process in gpu.processes or ():
        if process.bytes:
            name = names.get(process.pid)
            used[f"process {process.pid}{f' ({name})' if name else ''}"] = process.bytes
    used = dict(sorted(used.items(), key=lambda item: -item[1]))
    if gpu.total_bytes is not None and gpu.free_bytes is not None:
        rest = gpu.total_bytes - gpu.free_bytes - sum(used.values())
        if rest > 0:
            used["the driver, the display and what it does not tell"] = rest
    return used


def process_names(gpu: PresentGpu, machine: Machine, root: Path = Path("/")) -> dict[int, str]:
    """Names of the processes on a GPU; of another machine, and in a container, whose numbers are its own, none."""
    if machine.replayed is not None or machine.container is not None:
        return {}
    names: dict[int, str] = {}
    for process in gpu.processes or ():
        try:
            text = (root / "proc" / str(process.pid) / "comm").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        names[process.pid] = "".join(letter for letter in text.strip() if letter.isprintable())
    return names


def _where(budget: Budget) -> str:
    if budget.source == "device" and budget.gpu:
        return f" free on {budget.gpu.name}"
    return f" ({budget.gpu.name})" if budget.source == "gpu" and budget.gpu else ""


def _held(holders: Mapping[str, int]) -> str:
    if not holders:
        return ""
    named = [f"{name} {format_size(size)}" for name, size in list(holders.items())[:MOST_HOLDERS]]
    more = len(holders) - len(named)
    return f"; held by {', '.join(named)}{f' and {more} more' if more > 0 else ''}"


def _what_to_do(plan: Plan, budget: Budget, holders: Mapping[str, int]) -> str:
    """Free memory, where somebody holds it; else what the request has a plan for."""
    smallest = plan.limits.smallest_total_bytes
    if smallest is not None and smallest <= budget.total_bytes:
        words = f"plan for what there is: {planning_command(plan.request, budget, '-o', 'plan.yaml')}"
    elif smallest is None:
        words = "use a GPU that can run the plan's pins"
    else:
        words = f"give it {format_size(smallest)}, the least that this request has a plan for"
    if holders and budget.source == "device":
        return f"Free its memory (--wait 60s waits for that), or {words}"
    return words[0].upper() + words[1:]
