"""`planner.check`: does a saved plan still hold, on this machine, now?

Gathers what the checks of planner.preflight judge: the machine, the budget, the input, the prediction of today. The
machine and the day are parameters, so that tests and replays give their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import Any

from planner.api import Plan, known_model
from planner.budgets import budget_of, budget_on
from planner.domain import EXIT_DOES_NOT_FIT, Budget, Choice, Estimate, Gpu, Workload
from planner.errors import UsageError
from planner.measure.devices import PresentGpu
from planner.measure.machine import Machine, this_machine
from planner.measure.present import as_gpu, find_present
from planner.preflight import nouns
from planner.preflight.files import check_checkpoint, check_input, parse_sum
from planner.preflight.installed import check_driver, check_gpu, check_package
from planner.preflight.memory import (
    check_capability,
    check_memory,
    check_prediction,
    holders_of,
    no_gpu,
    process_names,
)
from planner.preflight.nouns import FAIL, SKIP, Check, NotReady
from planner.preflight.policy import read_policy
from planner.preflight.resources import check_disk, check_host
from planner.preflight.rules import check_policy
from planner.sources.probe import Probe
from planner.units import parse_duration

__all__ = ["NotReady", "Preflight", "check"]

POLL_SECONDS = 1.0
ELSEWHERE = "the memory is given, so this need not be the machine that will run the plan"
PACKAGES = ("torch", "sam2")

Look = Callable[[], Machine]
Waiting = Callable[[Check, float, float], None]


class Preflight(nouns.Preflight):
    """A plan held against a machine: the fields of planner.preflight.nouns.Preflight, and to_dict."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as `sam2-plan check --format json` prints it."""
        from planner.report.preflight import preflight_document

        return preflight_document(self)


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
) -> Preflight:
    """Hold `plan` against this machine as it is now, or against a budget.

    vram, gpu: a budget, or a GPU by name, instead of the memory that is free here; this machine's driver, packages and
    host memory are not judged then. device: index or UUID; else the plan's own GPU where it is present, else the one
    with the most free memory. simulate_gpu: a report of `sam2-plan doctor --format json` in place of this machine.
    source, checkpoint, out: what the run will be given; what is not named is not looked at. sha256: that the checkpoint
    must have; the official one unless told. saves: as `run --save`. wait: how long to wait for memory to be freed,
    "60s" or seconds. policy: a file of rules. strict: warnings count (exit code 4). name: what the report calls the
    plan. look, today, waiting(memory check, waited, seconds), hashing(done, total bytes): for tests and for progress.

    What does not hold raises nothing: see Preflight.require. Raises UsageError for a value that makes no sense,
    FileError for a policy or report that is broken.
    """
    seconds = 0.0 if wait is None else parse_duration(wait)
    rules = None if policy is None else read_policy(Path(policy))
    wanted = None if sha256 is None else parse_sum(sha256)
    if wanted is not None and checkpoint is None:
        raise UsageError("There is a SHA-256, but no checkpoint to compare.", "Give --checkpoint too.")
    target = _Target(plan, vram, gpu, device, look or look_of(simulate_gpu))
    if plan.chosen is None:
        standing, rest = _nothing_chosen(plan), []
    else:
        on_input, probe = check_input(plan.request.workload, source)
        standing = _await(target, plan.chosen, _as_found(plan.request.workload, probe), seconds, waiting)
        configuration = plan.chosen.configuration
        rest = [
            *(target.of_machine(package, partial(check_package, plan, name=package)) for package in PACKAGES),
            check_checkpoint(configuration, checkpoint, wanted, hashing),
            on_input,
            check_disk(standing.workload, out, saves),
            target.of_machine("host memory", partial(check_host, configuration, standing.workload)),
        ]
        if rules is not None and standing.estimate is not None:
            day = today or date.today()
            rest += check_policy(rules, plan.chosen, standing.estimate, standing.budget, day)
    return Preflight(
        plan=plan,
        name=name,
        budget=standing.budget,
        workload=standing.workload,
        estimate=standing.estimate,
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
    workload: Workload
    estimate: Estimate | None
    checks: tuple[Check, ...]
    waited: float = 0.0

    @property
    def memory(self) -> Check | None:
        """The check of it; None where nothing was held against memory."""
        return next((check for check in self.checks if check.name == "memory"), None)


class _Target:
    """What the plan is held against: a budget that is given, or a machine that can be looked at again."""

    def __init__(
        self, plan: Plan, vram: str | int | None, gpu: str | None, device: str | int | None, look: Look
    ) -> None:
        self.plan = plan
        self.machine: Machine | None = None
        """As it was at the last look; None where a budget is given, and nobody needs to look."""
        self._look = look
        self._device = None if device is None else str(device)
        self._given: Budget | None = None
        if vram is not None or gpu is not None:
            budget, _ = budget_of(vram, gpu, device, plan.budget.headroom, list)
            # As in planning, a bare budget forgets no capability that the plan knows.
            self._given = budget if budget.gpu else replace(budget, gpu=plan.budget.gpu)

    @property
    def elsewhere(self) -> bool:
        """Whether this need not be the machine that is meant."""
        return self._given is not None

    def budget(self) -> tuple[Budget | None, PresentGpu | None]:
        """The memory there is now, and whose; (None, None) without a GPU. Raises UsageError for one not here."""
        if self._given is not None:
            return self._given, None
        self.machine = self._look()
        present = [(found, card) for found in self.machine.gpus if (card := as_gpu(found)) is not None]
        if not present and self._device is None:
            return None, None
        cards = [card for _, card in present]
        card = find_present(self._device or _own(self.plan, cards), cards)
        return budget_on(card, self.plan.budget.headroom), next(found for found, one in present if one is card)

    def of_machine(self, name: str, judge: Callable[..., Check]) -> Check:
        """A check of the machine, skipped where another may be meant."""
        if self.machine is None:
            return Check(name=name, status=SKIP, found=ELSEWHERE)
        return judge(machine=self.machine)


def _own(plan: Plan, cards: list[Gpu]) -> str | None:
    """The UUID of the plan's own GPU, where that is present."""
    planned = plan.budget.gpu.uuid if plan.budget.gpu else None
    return planned if planned is not None and any(card.uuid == planned for card in cards) else None


def _await(target: _Target, choice: Choice, workload: Workload, seconds: float, waiting: Waiting | None) -> _Standing:
    """The first standing in which the memory suffices, or the last before `seconds` are over."""
    began = time.monotonic()
    while True:
        standing = _stand(target, choice, workload)
        waited = time.monotonic() - began
        memory = standing.memory
        # Memory may be freed; a GPU that is not there does not come, and a given budget does not grow.
        hopeless = target.elsewhere or standing.budget is None
        if hopeless or memory is None or memory.status != FAIL or waited >= seconds:
            return replace(standing, waited=waited if waited >= POLL_SECONDS else 0.0)
        if waiting:
            waiting(memory, waited, seconds)
        time.sleep(max(0.0, min(POLL_SECONDS, seconds - waited)))


def _stand(target: _Target, choice: Choice, workload: Workload) -> _Standing:
    plan = target.plan
    budget, present = target.budget()
    estimate = predicted(choice, workload, budget)
    if budget is None:
        reason = target.machine.reasons.get("gpus", "the driver lists none") if target.machine else ""
        return _Standing(budget=None, workload=workload, estimate=estimate, checks=(no_gpu(reason),))
    holders = holders_of(present, process_names(present, target.machine)) if present and target.machine else {}
    checks = (
        check_capability(choice, budget) or check_gpu(plan, budget),
        target.of_machine("driver", partial(check_driver, plan, budget)),
        check_memory(plan, choice, estimate, budget, holders),
        check_prediction(choice.estimate, predicted(choice, plan.request.workload, budget)),
    )
    return _Standing(budget=budget, workload=workload, estimate=estimate, checks=checks)


def predicted(choice: Choice, workload: Workload, budget: Budget | None) -> Estimate:
    """What a choice needs for a workload, as predicted today for the GPU of a budget."""
    gpu = budget.gpu if budget else None
    model = known_model().on(gpu.name if gpu else None)
    return model.estimate(choice.configuration, workload, gpu.capability if gpu else None)


def _as_found(workload: Workload, probe: Probe | None) -> Workload:
    """The planned workload with the size and length of the input as it is."""
    if probe is None:
        return workload
    frames = probe.length if workload.task == "video" else workload.frames
    return replace(workload, frame_size=probe.size, frames=frames)


def _nothing_chosen(plan: Plan) -> _Standing:
    nearest = plan.rejected[0].reason if plan.rejected else "no configuration was open"
    failed = Check(
        name="plan",
        status=FAIL,
        found=f"the plan chose nothing: {nearest}",
        action="Make a plan that fits: its file lists what would help under try",
        exit_code=EXIT_DOES_NOT_FIT,
    )
    return _Standing(budget=plan.budget, workload=plan.request.workload, estimate=None, checks=(failed,))


def look_of(report: str | Path | None) -> Look:
    """What looks at this machine, or at the one of a doctor report, which is read when it is first looked at."""
    if report is None:
        return this_machine
    from planner.report.machine import read_machine

    return cache(partial(read_machine, Path(report)))
