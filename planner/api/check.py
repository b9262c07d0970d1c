"""`planner.check`: does a saved plan still hold, on this machine, now?

Gathers what the checks of planner.preflight judge: the machine, the budget, the input, the prediction of today. The
machine and the day are parameters, so that tests and replays give their own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, partial
from pathlib import Path

from planner.api.budgets import budget_of, budget_on, refuse_report
from planner.api.plans import Plan
from planner.catalog.figures import worth
from planner.catalog.torch_builds import TorchBuild, build_in, judging
from planner.errors import EXIT_DOES_NOT_FIT, UsageError
from planner.machine.cap import cap_from
from planner.machine.present import as_gpu, find_present
from planner.machine.this_machine import this_machine
from planner.memory_model.current import known_model
from planner.memory_model.exact import key_of, known_of
from planner.nouns.machine import Machine, PresentGpu
from planner.nouns.plan import Choice
from planner.nouns.plan import Plan as PlainPlan
from planner.nouns.request import Budget, Gpu, Request
from planner.nouns.run import Workload
from planner.outputs.layout import check_saves
from planner.planning.candidates import smallest_need
from planner.planning.unnamed import smallest_budget
from planner.preflight.checks import ELSEWHERE, FAIL, SKIP, Check, Preflight
from planner.preflight.files import check_checkpoint, check_input, parse_sum
from planner.preflight.installed import check_allocator, check_driver, check_gpu, check_package
from planner.preflight.memory import (
    check_cap,
    check_capability,
    check_memory,
    check_prediction,
    holders_of,
    no_gpu,
    process_names,
    what_to_do,
)
from planner.preflight.policy import read_policy
from planner.preflight.resources import check_disk, check_host
from planner.preflight.rules import check_policy
from planner.sources.probe import Probe
from planner.text.units import parse_duration

POLL_SECONDS = 1.0
PACKAGES = ("torch", "sam2")

Look = Callable[[], Machine]
Waiting = Callable[[Check, float, float], None]


def check(
    plan: Plan,
    *,
    vram: str | int | None = None,
    gpu: str | None = None,
    device: str | int | None = None,
    simulate_gpu: str | Path | None = None,
    source: str | None = None,
    checkpoint: str | None = None,
    sha256: str | None = None,
    out: str | None = None,
    saves: Sequence[str] | None = None,
    wait: str | float | None = None,
    policy: str | Path | None = None,
    strict: bool = False,
    name: str = "a plan",
    look: Look | None = None,
    today: date | None = None,
    waiting: Waiting | None = None,
    hashing: Callable[[int, int], None] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Preflight:
    """Hold a plan against this machine as it is now, or against a budget.

    vram, gpu: a budget, or a GPU by name, in place of the memory that is free here. The driver, the packages and the
        host memory of this machine are not judged then.
    device: index or UUID. By default the GPU that `planner.load` and `sam2-plan run` take: the plan's own where it is
        present, else the first.
    simulate_gpu: a report of `sam2-plan doctor --format json` in place of this machine.
    source, checkpoint, out: what the run will be given; what is not named is not looked at.
    sha256: the sum that the checkpoint must have; by default the official one.
    saves: which outputs will be written, as `sam2-plan run --save` takes them.
    wait: how long to wait for memory to be freed, "60s" or seconds. It is waited for only where nothing else fails and
        the GPU would hold the plan alone.
    policy: a file of rules that the plan must keep.
    strict: warnings count (exit code 4).
    name: what the report calls the plan.
    waiting, hashing: called with (memory check, seconds waited, seconds to wait), and with (bytes done, bytes in all).
    look, today, environment: stand in for the machine, the date and the environment, for tests. SAM2_PLAN_MEMORY_CAP of
        the environment, which a run keeps to, is judged where a machine is.

    A plan that does not hold raises nothing: see Preflight.require. Raises UsageError for a value that makes no sense,
    FileError for a policy or report that is broken.

    Example:
        found = planner.check(plan, vram="8GB").require()
        print([(one.name, one.status, one.found) for one in found.checks])
    """
    seconds = 0.0 if wait is None else parse_duration(wait)
    kept = check_saves(saves, plan.request.workload.task)
    rules = None if policy is None else read_policy(Path(policy))
    wanted = None if sha256 is None else parse_sum(sha256)
    if wanted is not None and checkpoint is None:
        raise UsageError("There is a SHA-256, but no checkpoint to compare.", "Give --checkpoint too.")
    refuse_report(simulate_gpu, vram, gpu)
    target = _Target(plan, vram, gpu, device, look or look_of(simulate_gpu), environment)
    request = plan.request
    if plan.chosen is None:
        standing, rest = _nothing_chosen(plan), []
    else:
        on_input, probe = check_input(request.workload, source)
        request = _as_found(request, probe)
        standing = _stand(target, request)
        configuration = plan.chosen.configuration
        rest = [
            *(target.of_machine(package, partial(check_package, plan, name=package)) for package in PACKAGES),
            check_checkpoint(
                configuration, checkpoint, wanted, hashing, here=target.here, video=request.workload.task == "video"
            ),
            on_input,
            check_disk(request.workload, out, kept),
            target.of_machine("host memory", partial(check_host, configuration, request.workload)),
        ]
        if not any(check.status == FAIL for check in rest):
            standing = _await(target, request, standing, seconds, waiting)
        if rules is not None and standing.now is not None:
            rest += check_policy(rules, plan, standing.now, standing.budget, today or date.today())
    return Preflight(
        plan=plan,
        name=name,
        budget=standing.budget,
        workload=request.workload,
        estimate=standing.now.estimate if standing.now else None,
        checks=(*standing.checks, *rest),
        policy=rules.source if rules else None,
        policy_mode=rules.mode if rules else None,
        waited_seconds=round(standing.waited, 1),
        strict=strict,
        replayed=None if target.machine is None else target.machine.replayed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """Where the plan stands with one look at the machine."""

    budget: Budget | None
    now: Choice | None
    """The plan's choice as it is predicted today."""
    checks: tuple[Check, ...]
    waited: float = 0.0

    @property
    def memory(self) -> Check | None:
        """The check of it; None where nothing was held against memory."""
        return next((check for check in self.checks if check.name == "memory"), None)

    @property
    def may_come(self) -> bool:
        """Whether memory that others hold is all that is lacking."""
        failed = [check.name for check in self.checks if check.status == FAIL]
        return failed == ["memory"] and self.budget is not None and could_fit(self.now, self.budget)


class _Target:
    """What the plan is held against: a budget that is given, or a machine that can be looked at again."""

    def __init__(
        self,
        plan: Plan,
        vram: str | int | None,
        gpu: str | None,
        device: str | int | None,
        look: Look,
        environment: Mapping[str, str],
    ) -> None:
        self.plan = plan
        self.environment = environment
        self.cap_bytes = cap_from(environment)
        """What the environment holds this process to."""
        self.machine: Machine | None = None
        """As it was at the last look; None where a budget is given, and nobody needs to look."""
        self._look = look
        self._device = None if device is None else str(device)
        self._given: Budget | None = None
        if vram is not None or gpu is not None:
            budget, _ = budget_of(vram, gpu, device, plan.budget.headroom, list, own_headroom=False)
            # As in planning, a bare budget forgets no capability that the plan knows.
            self._given = budget if budget.gpu else replace(budget, gpu=plan.budget.gpu)

    @property
    def here(self) -> bool:
        """Whether it is this machine, after the first look."""
        return self.machine is not None and self.machine.replayed is None

    def budget(self) -> tuple[Budget | None, PresentGpu | None]:
        """The memory there is now, and whose; (None, None) without a GPU. Raises UsageError for one not here."""
        if self._given is not None:
            return self._given, None
        self.machine = self._look()
        present = [(found, card) for found in self.machine.gpus if (card := as_gpu(found)) is not None]
        if not present and self._device is None:
            return None, None
        cards = [card for _, card in present]
        card = _taken(self.plan, cards) if self._device is None else find_present(self._device, cards)
        return budget_on(card, self.plan.budget.headroom), next(found for found, one in present if one is card)

    def build(self) -> TorchBuild | None:
        """The torch of the machine in a report; None where this one's counts, which is looked up where it is needed."""
        if self.machine is None or self.here:
            return None
        return build_in(self.machine.versions)

    def of_machine(self, name: str, judge: Callable[..., Check]) -> Check:
        """A check of the machine, skipped where another may be meant."""
        if self.machine is None:
            return Check(name=name, status=SKIP, found=ELSEWHERE)
        return judge(machine=self.machine)


def _taken(plan: Plan, cards: list[Gpu]) -> Gpu:
    """The GPU that a run takes which is not told (planner.runtime.session.find_device)."""
    planned = plan.budget.gpu.uuid if plan.budget.gpu else None
    return next((card for card in cards if planned is not None and card.uuid == planned), cards[0])


def _await(
    target: _Target, request: Request, standing: _Standing, seconds: float, waiting: Waiting | None
) -> _Standing:
    """The first standing in which the memory suffices, or the last before `seconds` are over."""
    began, waited = time.monotonic(), 0.0
    # A report of another machine says the same however long one waits.
    while target.here and standing.may_come and waited < seconds:
        if waiting and standing.memory:
            waiting(standing.memory, waited, seconds)
        time.sleep(max(0.0, min(POLL_SECONDS, seconds - waited)))
        standing = _stand(target, request)
        waited = time.monotonic() - began
    return replace(standing, waited=waited)


def _stand(target: _Target, request: Request) -> _Standing:
    plan = target.plan
    assert plan.chosen is not None
    budget, present = target.budget()
    now = as_of_today(plan, request.workload, budget)
    if budget is None:
        reason = target.machine.reasons.get("gpus", "the driver lists none") if target.machine else ""
        return _Standing(budget=None, now=now, checks=(no_gpu(reason),))
    holders = holders_of(present, process_names(present, target.machine)) if present and target.machine else {}
    checks = [
        check_capability(now, budget, target.build()) or check_gpu(plan, budget),
        target.of_machine("driver", partial(check_driver, plan, budget)),
        check_memory(now, budget, holders, partial(_advice, target, request, now, budget, bool(holders))),
        check_prediction(
            plan.chosen, as_of_today(plan, plan.request.workload, budget), names_gpu=plan.budget.gpu is not None
        ),
    ]
    if target.machine is not None and target.cap_bytes is not None:
        checks.append(check_cap(request, now.estimate, target.cap_bytes))
    if target.machine is not None and (other := check_allocator(target.environment, target.machine.system)):
        checks.append(other)
    return _Standing(budget=budget, now=now, checks=tuple(checks))


def _advice(target: _Target, request: Request, now: Choice, budget: Budget, held: bool) -> str:
    model = known_model().on(budget.gpu, budget.total_bytes)
    with judging(target.build()):
        need = smallest_need(request, budget, model)
    smallest = None if need is None else smallest_budget(need, budget, model)
    of_plan = smallest_budget(now.estimate.least_bytes, budget, model)
    others = len(target.machine.gpus) - 1 if target.machine else 0
    replayed = target.machine.replayed if target.machine else None
    return what_to_do(request, of_plan, smallest, budget, held, others, replayed)


def as_of_today(plan: PlainPlan, workload: Workload, budget: Budget | None) -> Choice:
    """A plan's choice with what is predicted today for a workload on the GPU of a budget, and the quality known today.

    The plan's file may be of another release, or have been changed by hand. What it found by a rehearsal or simulation
    stands, with today's context, for the same workload on the same compute capability.
    """
    assert plan.chosen is not None
    gpu, choice = budget.gpu if budget else None, plan.chosen
    size = (budget or plan.budget).total_bytes  # with no GPU to look at, the one that was planned for
    model, configuration = known_model().on(gpu, size), choice.configuration
    capability = gpu.capability if gpu else None
    known = known_of(choice.estimate)
    if known is not None and capability in (None, known.exact.capability):
        model = model.knowing({key_of("own", configuration, plan.request.workload, capability): known})
    return replace(
        choice,
        estimate=model.estimate(configuration, workload, capability),
        **worth(configuration, workload, model.catalog, gpu.name if gpu else None),
    )


def could_fit(now: Choice | None, budget: Budget) -> bool:
    """Whether the GPU would hold it with nothing else on it."""
    if now is None or budget.gpu is None:
        return False
    return replace(budget, total_bytes=budget.gpu.total_bytes).usable_bytes >= now.estimate.least_bytes


def _as_found(request: Request, probe: Probe | None) -> Request:
    """The request with the size and length of the input as it is."""
    if probe is None:
        return request
    frames = probe.length if request.workload.task == "video" else request.workload.frames
    workload = replace(request.workload, frame_size=probe.size, frames=frames)
    same = probe.size == request.workload.frame_size
    return replace(request, workload=workload, frame_size_assumed=request.frame_size_assumed and same)


def _nothing_chosen(plan: Plan) -> _Standing:
    nearest = plan.rejected[0].reason if plan.rejected else "no configuration was open"
    failed = Check(
        name="plan",
        status=FAIL,
        found=f"the plan chose nothing: {nearest}",
        action="Make a plan that fits: its file lists what would help under try",
        exit_code=EXIT_DOES_NOT_FIT,
    )
    return _Standing(budget=plan.budget, now=None, checks=(failed,))


def look_of(report: str | Path | None) -> Look:
    """What looks at this machine, or at the one of a doctor report, which is read when it is first looked at."""
    if report is None:
        return this_machine
    from planner.wire.machine import read_machine

    return cache(partial(read_machine, Path(report)))
