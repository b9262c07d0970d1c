"""Does the plan fit into the memory that there is, by what is predicted now, and who holds the rest?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from planner.catalog.capability import what_it_lacks, why_unsupported
from planner.catalog.torch_builds import TorchBuild
from planner.errors import EXIT_DOES_NOT_FIT
from planner.memory_model.current import known_model
from planner.nouns.estimate import Estimate, Exact
from planner.nouns.machine import CAP_VARIABLE, Machine, PresentGpu
from planner.nouns.plan import Choice
from planner.nouns.request import Budget, Headroom, Request
from planner.planning.candidates import smallest_need
from planner.planning.unnamed import smallest_budget
from planner.preflight.checks import FAIL, PASS, WARN, Check
from planner.text.command_lines import SAVED, describe, planning_command
from planner.text.units import exact_size, format_size, rounded_up_size

OTHER_CONFIGURATION = "Plan for this GPU (--device), or use one of a newer generation"
MOST_HOLDERS = 5
"""Processes named in the text; the figures have all."""


def check_memory(
    choice: Choice, budget: Budget, holders: Mapping[str, int], what_to_do: Callable[[], str] | None = None
) -> Check:
    """The estimate of the choice against the usable part of the budget: as planning judges it."""
    usable, estimate = budget.usable_bytes, choice.estimate
    short = estimate.least_bytes - usable
    figures = {
        "free_bytes": budget.total_bytes,
        "usable_bytes": usable,
        "least_bytes": estimate.least_bytes,
        "total_bytes": estimate.total_bytes,
        "upper_bytes": estimate.upper_bytes,
        "short_by_bytes": max(0, short),
        "holders": [{"holder": name, "bytes": size} for name, size in holders.items()],
    }
    what = f"{describe(choice.configuration)} {_needs(estimate, usable)}"
    room = f"{format_size(usable)} usable of {format_size(budget.total_bytes)}{_where(budget)}"
    if short > 0:
        status, found = FAIL, f"{what}, {format_size(short)} more than the {room}{_held(holders)}"
        action: str | None = what_to_do() if what_to_do else None
    elif estimate.upper_bytes > usable:
        status = WARN
        found = f"{what}, within the {room}, {_but(estimate, usable)}"
        action = (
            f"{format_size(estimate.upper_bytes - usable)} more would cover the bound, as would a smaller configuration"
        )
    else:
        status, action = PASS, None
        found = f"{what}, at most {format_size(estimate.upper_bytes)}; {room}"
    return Check(name="memory", status=status, found=found, action=action, exit_code=EXIT_DOES_NOT_FIT, figures=figures)


def check_capability(choice: Choice, budget: Budget, build: TorchBuild | None = None) -> Check | None:
    """Whether the GPU can run the configuration at all; None where it can, or is not known.

    build: the torch of the machine in question, where that is another one.
    """
    wanted = choice.configuration
    reason = why_unsupported(wanted.precision, wanted.attention, budget.capability, build)
    if reason is None:
        return None
    other = reason == what_it_lacks(wanted.precision, wanted.attention, budget.capability)
    return Check(
        name="gpu",
        status=FAIL,
        found=f"{budget.gpu.name if budget.gpu else 'this GPU'} cannot run {describe(choice.configuration)}: {reason}",
        action=OTHER_CONFIGURATION if other else "Install that torch, or use another GPU",
        exit_code=EXIT_DOES_NOT_FIT,
    )


def check_cap(request: Request, estimate: Estimate, cap_bytes: int) -> Check:
    """The estimate against what this process is held to; nothing is kept back of that, as a share has its own."""
    figures = {
        "cap_bytes": cap_bytes,
        "least_bytes": estimate.least_bytes,
        "total_bytes": estimate.total_bytes,
        "upper_bytes": estimate.upper_bytes,
        "short_by_bytes": max(0, estimate.least_bytes - cap_bytes),
    }
    found = f"{CAP_VARIABLE} holds this process to {format_size(cap_bytes)}"
    needs = f"the plan {_needs(estimate, cap_bytes)}"
    if estimate.least_bytes > cap_bytes:
        status, found = FAIL, f"{found}; {needs}"
        share = plan_within(request, Budget(total_bytes=cap_bytes, headroom=Headroom(), source="vram"), estimate)
        action: str | None = f"Raise it, or {share[0].lower()}{share[1:]}"
    elif estimate.upper_bytes > cap_bytes:
        status, found = WARN, f"{found}; {needs}, {_but(estimate, cap_bytes)}"
        action = f"{format_size(estimate.upper_bytes - cap_bytes)} more would cover the bound"
    else:
        status, action = PASS, None
        found = f"{found}; {needs}, at most {format_size(estimate.upper_bytes)}"
    return Check(
        name="memory cap", status=status, found=found, action=action, exit_code=EXIT_DOES_NOT_FIT, figures=figures
    )


def _needs(estimate: Estimate, limit_bytes: int) -> str:
    """What it takes of so much: with room to spare where there is that, else the least that it completes in."""
    if estimate.total_bytes <= limit_bytes or estimate.least_bytes == estimate.total_bytes:
        return f"needs {format_size(estimate.total_bytes)}"
    return f"needs at least {format_size(estimate.least_bytes)}"


def _but(estimate: Estimate, limit_bytes: int) -> str:
    """Why that is tight."""
    bound = f"its upper bound is {format_size(estimate.upper_bytes)}"
    if estimate.total_bytes <= limit_bytes:
        return f"but {bound}"
    return (
        f"by giving cache back, which costs time: with room to spare it takes {format_size(estimate.total_bytes)}, and "
        f"{bound}"
    )


def plan_within(request: Request, budget: Budget, estimate: Estimate, strict: bool = False) -> str:
    """What plans the request for a budget of no GPU in particular, where any plan does.

    What the context of `estimate` takes more than that of the cards which have so much is held back of it. strict: so
    that what surely fits is preferred to all else.
    """
    model = known_model().on(None, budget.total_bytes)
    own = model.context
    more = 0 if own is None else max(estimate.context_bytes - own.bytes, estimate.context_high_bytes - own.high_bytes)
    if more > 0:
        budget = replace(budget, headroom=Headroom(bytes=budget.headroom_bytes + more))
    need = smallest_need(request, budget, model)
    if need is not None and need <= budget.usable_bytes:
        return f"Plan for less: {planning_command(request, budget, '-o', SAVED, strict=strict)}"
    least = "" if need is None else f"; {exact_size(smallest_budget(need, budget, model))} is the least that has one"
    return f"Ask for less: no plan of this request needs so little{least}"


def check_prediction(planned: Choice, today: Choice, names_gpu: bool = True) -> Check:
    """Whether what is predicted today, of the same workload on this GPU, is no worse than what the plan says.

    names_gpu: whether the plan was made for a GPU. Where it was made for a budget alone, the context of the GPU at hand
    is no difference: the check of the memory counts it.
    """
    if planned.quality is not None and (today.quality is None or today.quality < planned.quality):
        known = "no known accuracy" if today.quality is None else f"{today.quality:g}"
        return Check(
            name="prediction",
            status=WARN,
            found=f"the plan says {planned.quality:g} {planned.quality_metric or 'J&F'} of what has {known}",
            action="Make the plan again: this file was changed, or made by a release with other figures",
            figures={"planned_quality": planned.quality, "quality": today.quality},
        )
    return _compared(planned.estimate, today.estimate, names_gpu)


def _compared(planned: Estimate, now: Estimate, names_gpu: bool) -> Check:
    figures = {
        "planned_total_bytes": planned.total_bytes,
        "planned_upper_bytes": planned.upper_bytes,
        "total_bytes": now.total_bytes,
        "upper_bytes": now.upper_bytes,
    }
    said = f"{format_size(now.total_bytes)} (at most {format_size(now.upper_bytes)})"
    if planned.exact is not None and now.exact is None:
        return _found_elsewhere(planned, planned.exact, now, said, figures, names_gpu)
    if planned.exact is not None:
        said += f", {planned.exact.method}"
    if (now.total_bytes, now.upper_bytes) == (planned.total_bytes, planned.upper_bytes):
        return Check(name="prediction", status=PASS, found=f"{said}, as in the plan", figures=figures)
    beside = f"{said}; the plan says {format_size(planned.total_bytes)} (at most {format_size(planned.upper_bytes)})"
    if now.total_bytes <= planned.total_bytes and now.upper_bytes <= planned.upper_bytes:
        return Check(name="prediction", status=PASS, found=beside, figures=figures)
    if not names_gpu and _within_the_bound(planned, now):
        found = f"{beside}, which names no GPU: {format_size(now.context_bytes)} are this one's CUDA context"
        return Check(name="prediction", status=PASS, found=found, figures=figures)
    return Check(
        name="prediction",
        status=WARN,
        found=beside,
        action="Make the plan again: this GPU, this release or your own fit is not what it was made with",
        figures=figures,
    )


def _within_the_bound(planned: Estimate, now: Estimate) -> bool:
    """Whether it stays within what the plan allows any GPU to take, the context aside."""
    _, more_at_most = _more_context(planned, now)
    return now.upper_bytes - more_at_most <= planned.upper_bytes


def _more_context(planned: Estimate, now: Estimate) -> tuple[int, int]:
    """What the context takes more than the plan counts, and what it takes more at most."""
    return now.context_bytes - planned.context_bytes, now.context_high_bytes - planned.context_high_bytes


def _found_elsewhere(
    planned: Estimate, exact: Exact, now: Estimate, said: str, figures: dict[str, int], names_gpu: bool
) -> Check:
    """A plan whose bytes were found for another compute capability, beside what is predicted for this one."""
    of = f"{format_size(planned.total_bytes)} (at most {format_size(planned.upper_bytes)})"
    where = f"on capability {exact.capability[0]}.{exact.capability[1]}"
    found = f"{said} is predicted for this GPU; the plan's {of} was {exact.method} {where}"
    more, more_at_most = (0, 0) if names_gpu else _more_context(planned, now)
    agree = now.total_bytes - more <= planned.upper_bytes and planned.total_bytes <= now.upper_bytes - more_at_most
    action = None if agree else "Make the plan again for this GPU, with --exact"
    return Check(name="prediction", status=PASS if agree else WARN, found=found, action=action, figures=figures)


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
        return f" free on GPU {budget.gpu.index} ({budget.gpu.name})"
    return f" ({budget.gpu.name})" if budget.source == "gpu" and budget.gpu else ""


def _held(holders: Mapping[str, int]) -> str:
    if not holders:
        return ""
    named = [f"{name} {format_size(size)}" for name, size in list(holders.items())[:MOST_HOLDERS]]
    more = len(holders) - len(named)
    return f"; held by {', '.join(named)}{f' and {more} more' if more > 0 else ''}"


def what_to_do(
    request: Request,
    plan_bytes: int,
    smallest_bytes: int | None,
    budget: Budget,
    held: bool,
    others: int,
    replayed: str | None,
) -> str:
    """Free memory, where somebody holds it; take another GPU, where there is one; else what helps this plan or another.

    plan_bytes: the smallest budget under which this plan's configuration fits. smallest_bytes: the smallest under which
    the request, of the input as it is, has any plan.
    """
    words = []
    if held and budget.source == "device":
        words.append("free its memory (--wait 60s waits for that)")
    if others and budget.source == "device":
        words.append("take another GPU: sam2-plan pick says which has room")
    if smallest_bytes is None:
        words.append("use a GPU that can run the plan's pins")
    elif smallest_bytes <= budget.total_bytes:
        machine = () if replayed is None else ("--simulate-gpu", replayed)
        words.append(f"plan for what there is: {planning_command(request, budget, *machine, '-o', SAVED)}")
    else:
        words.append(f"give it {exact_size(rounded_up_size(plan_bytes))}, which this plan needs")
        least = replace(budget, total_bytes=rounded_up_size(smallest_bytes), source="vram", gpu=None)
        if least.total_bytes < plan_bytes:
            other = planning_command(request, least, "-o", SAVED)
            words.append(f"make another plan for {exact_size(least.total_bytes)}, the least that has one: {other}")
    text = ", or ".join(words)
    return text[0].upper() + text[1:]
