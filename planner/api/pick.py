"""`planner.pick`: the GPUs of this machine on which a plan has room now, as CUDA_VISIBLE_DEVICES takes them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from planner.api.budgets import budget_on
from planner.api.check import POLL_SECONDS, Look, as_of_today, could_fit, look_of
from planner.api.plans import DoesNotFit, Plan
from planner.errors import EnvironmentFailure, UsageError
from planner.machine.present import as_gpu
from planner.nouns.machine import Machine, PresentGpu
from planner.nouns.plan import Choice
from planner.nouns.request import Gpu
from planner.preflight.checks import FAIL, PASS, Check
from planner.preflight.memory import check_capability, check_memory, holders_of, process_names
from planner.text.units import parse_count, parse_duration

__all__ = ["Offer", "Pick", "pick"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A GPU that was asked, and whether it has room."""

    gpu: Gpu
    slice: str | None
    """Name of the MIG slice; None for a whole card."""
    check: Check
    """The check of its memory, or of what it cannot run."""
    might: bool
    """Whether the plan would fit with nothing else on the GPU."""
    left_bytes: int
    """What is left of the usable memory with the plan on it; negative where it does not fit."""

    @property
    def fits(self) -> bool:
        """Whether the plan has room there."""
        return self.check.status != FAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """The GPUs that were picked, and those that were not."""

    picked: tuple[Offer, ...]
    others: tuple[Offer, ...]

    @property
    def value(self) -> str:
        """The value of CUDA_VISIBLE_DEVICES: UUIDs, because what an index means depends on CUDA_DEVICE_ORDER.

        Indexes where the driver does not tell all UUIDs, since CUDA takes no mixture.
        """
        uuids = [offer.gpu.uuid for offer in self.picked]
        return ",".join(uuid for uuid in uuids if uuid) if all(uuids) else self.indexes

    @property
    def indexes(self) -> str:
        """The indexes, for CUDA_DEVICE_ORDER=PCI_BUS_ID. Raises UsageError for a MIG slice, which has none."""
        for offer in self.picked:
            if offer.slice is not None:
                raise UsageError(f"The MIG slice {offer.slice} has no index of its own.", "Leave --index out.")
        return ",".join(str(offer.gpu.index) for offer in self.picked)


def pick(
    plan: Plan,
    *,
    gpus: int | str = 1,
    wait: str | float | None = None,
    simulate_gpu: str | Path | None = None,
    look: Look | None = None,
) -> Pick:
    """The GPUs of this machine with the most room for a plan, those that hold its upper bound first.

    gpus: how many; one process goes on each.
    wait: how long to wait for memory to be freed, "60s" or seconds.
    simulate_gpu: a doctor report in place of this machine.
    look: stands in for the machine, for tests.

    Raises DoesNotFit, with what each GPU lacks, where fewer have room; EnvironmentFailure where there is no GPU;
    UsageError for a value that makes no sense, or more GPUs than there are.

    Example:
        picked = planner.pick(plan, simulate_gpu="machine.json")  # of `sam2-plan doctor --format json`
        print(f"CUDA_VISIBLE_DEVICES={picked.value}")
    """
    if plan.chosen is None:
        plan.require()
    assert plan.chosen is not None
    count = parse_count(gpus, "GPUs")
    seconds = 0.0 if wait is None else parse_duration(wait)
    look = look or look_of(simulate_gpu)
    began = time.monotonic()
    while True:
        offers = _offers(plan, plan.chosen, look(), count)
        fitting = [offer for offer in offers if offer.fits]
        waited = time.monotonic() - began
        if len(fitting) >= count:
            picked = tuple(fitting[:count])
            return Pick(picked=picked, others=tuple(offer for offer in offers if offer not in picked))
        # A report of another machine says the same however long one waits, and a GPU grows no memory.
        might = sum(offer.fits or offer.might for offer in offers)
        if waited >= seconds or simulate_gpu is not None or might < count:
            raise _no_room(plan, offers, len(fitting), count)
        time.sleep(min(POLL_SECONDS, seconds - waited))


def _offers(plan: Plan, choice: Choice, machine: Machine, count: int) -> list[Offer]:
    """Every GPU, the best first: those that hold the upper bound, then by what is left."""
    found = [(present, gpu) for present in machine.gpus if (gpu := as_gpu(present)) is not None]
    if not found:
        reason = machine.reasons.get("gpus", "the driver lists none")
        raise EnvironmentFailure(f"No GPU was found on this machine ({reason}).", "Pick where the GPUs are.")
    if count > len(found):
        names = ", ".join(f"{gpu.index}: {gpu.name}" for _, gpu in found)
        raise UsageError(f"{count} GPUs are asked for, but {len(found)} are here ({names}).", "Ask for fewer.")
    offers = [_offer(plan, choice, machine, present, gpu) for present, gpu in found]
    return sorted(offers, key=lambda offer: (offer.check.status != PASS, not offer.fits, -offer.left_bytes))


def _offer(plan: Plan, choice: Choice, machine: Machine, present: PresentGpu, gpu: Gpu) -> Offer:
    budget = budget_on(gpu, plan.budget.headroom)
    now = as_of_today(plan, plan.request.workload, budget)
    holders = holders_of(present, process_names(present, machine))
    unable = check_capability(now, budget)
    return Offer(
        gpu=gpu,
        slice=present.slice,
        check=unable or check_memory(now, budget, holders),
        might=unable is None and could_fit(now, budget),
        left_bytes=budget.usable_bytes - now.estimate.total_bytes,
    )


def _no_room(plan: Plan, offers: list[Offer], fitting: int, count: int) -> DoesNotFit:
    each = "; ".join(f"{offer.gpu.index}: {offer.check.found}" for offer in offers if not offer.fits)
    some = f"{fitting} of {count} GPUs have" if fitting else "No GPU has"
    waiting = "Wait for memory with --wait 60s, or plan" if any(o.check.name == "memory" for o in offers) else "Plan"
    hint = f"{waiting} for what is free: sam2-plan --device INDEX."
    return DoesNotFit(f"{some} room for the plan. {each}.", hint, plan.rejected, plan.suggestions)
