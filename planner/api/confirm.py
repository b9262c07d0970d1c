"""A plan put to the test: run under its budget in a process of its own, and held against what was predicted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from planner.api.plans import Plan
from planner.catalog.gpu_names import same_card
from planner.catalog.weights import require_checkpoint
from planner.errors import EXIT_FITS, EXIT_NOT_CONFIRMED, EnvironmentFailure, UsageError
from planner.measure.trial import FAILED, LOST, RAN, Outcome, Trial, run_trial
from planner.memory_model.current import known_model
from planner.memory_model.terms import CUDA_CONTEXT
from planner.nouns.brief import brief
from planner.nouns.estimate import Estimate
from planner.nouns.request import Gpu
from planner.nouns.run import Configuration, Workload
from planner.nouns.shown import shown
from planner.text.units import check_size, counted, format_size, parse_count, parse_size

FRAMES = 60
"""How many frames of a clip without end are run: the memory bank is full after 16, and the allocator holds all that
it takes by then."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One line of the comparison, in bytes; None where nothing counted it."""

    name: str
    predicted: int | None
    found: int | None

    @property
    def difference(self) -> int | None:
        """Found less predicted."""
        return None if self.predicted is None or self.found is None else self.found - self.predicted


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What a plan was found to take, beside what it predicts."""

    __repr__ = brief
    _repr_html_ = shown

    confirmed: bool
    truth: str
    """measured, rehearsed (on an imaginary GPU) or simulated."""
    cap_bytes: int
    """What the process was held to (measured, rehearsed), or compared with (simulated)."""
    gpu: str | None
    configuration: Configuration
    workload: Workload
    frames: int | None
    """How many frames it ran; None for a clip without end, which is only simulated."""
    weights: str
    """"random", or the name of the checkpoint."""
    predicted: Estimate
    measured: Outcome
    components: tuple[Compared, ...]
    """allocated, allocator cache, cuda context, unaccounted and total."""
    phases: tuple[Compared, ...]
    """Allocated bytes at the peak of each phase."""
    recorded: Path | None
    """The profile that the row was added to; None where it was not."""

    @property
    def unaccounted_bytes(self) -> int | None:
        """What the process takes beside allocator and context; None where the driver does not say."""
        return _unaccounted(self.measured)

    @property
    def within_upper_bound(self) -> bool | None:
        """Whether the total lies below the predicted upper bound; None where that is not known, or it ran out."""
        total = _total(self.measured) if self.measured.outcome == RAN else None
        return None if total is None else total <= self.predicted.upper_bytes

    @property
    def exit_code(self) -> int:
        """0: confirmed; 5: it ran out of memory, or took more than the cap."""
        return EXIT_FITS if self.confirmed else EXIT_NOT_CONFIRMED

    @property
    def summary(self) -> str:
        """What was shown, and no more than that."""
        cap = format_size(self.cap_bytes)
        what = f"{self.workload.objects} object{'s' * (self.workload.objects != 1)}, {self.weights} weights"
        if self.workload.task == "video":
            what = f"{'a clip without end' if self.frames is None else counted(self.frames, 'frame')}, {what}"
        if self.truth == "simulated":
            verb = "agrees with the simulator" if self.confirmed else "contradicts the simulator"
            return f"{verb}: {cap} of budget, {what}; nothing ran on a GPU"
        verb = "confirmed" if self.confirmed else "not confirmed"
        if self.truth == "rehearsed":
            return f"{verb} under a cap of {cap} on an imaginary {self.gpu}: {what}; nothing ran on a GPU"
        return f"{verb} under a cap of {cap} on {self.gpu}: {what}"


def confirm(
    plan: Plan,
    *,
    simulate: bool = False,
    device: str | int | None = None,
    frames: int | str | None = None,
    cap: int | str | None = None,
    checkpoint: str | None = None,
    record: bool = True,
    run: Callable[[Trial], Outcome] | None = None,
) -> Confirmation:
    """Run a plan in a process of its own, held to its budget, and compare what it took with what was predicted.

    On another GPU than the plan was made for, the prediction is the one for that GPU, whose context is another.

    simulate: ask the simulator instead of a GPU.
    device: index or UUID of the GPU.
    frames: how many to run of a clip without end; 60 by default.
    cap: what the process may take, a size such as "2GB" or bytes; by default the plan's budget, headroom included,
        since that is what the card has.
    checkpoint: a file; by default weights are random, on which memory does not depend.
    record: add the row to the profile of the GPU in the data folder.
    run: runs the trial, for tests.

    Raises DoesNotFit for a plan that chose nothing, FileError for a checkpoint that the plan cannot run with,
    UsageError for a value that makes no sense. Raises EnvironmentFailure without a GPU, where too little of its memory
    is free, and where the run failed for another reason than memory.
    """
    if plan.chosen is None:
        plan.require()
    assert plan.chosen is not None
    cap_bytes = plan.budget.total_bytes if cap is None else check_size(cap) if isinstance(cap, int) else parse_size(cap)
    workload = plan.request.workload
    if checkpoint is not None:
        require_checkpoint(plan.chosen.configuration, checkpoint, video=workload.task == "video")
    if frames is not None and workload.task != "video":
        raise UsageError(f"frames={frames} is for videos; the plan is for {workload.task}.", "Leave frames out.")
    if simulate and workload.streams > 1:
        text = f"The plan is for {workload.streams} clips in one process, and a simulation follows one."
        raise UsageError(text, "Rehearse it: sam2-plan rehearse PLAN")
    count = FRAMES if frames is None else parse_count(frames, "frames")
    trial = Trial(
        runtime="own",
        configuration=plan.chosen.configuration,
        workload=workload,
        frames=count,
        cap_bytes=None if simulate else cap_bytes,
        checkpoint=checkpoint,
    )
    if simulate:
        found = _simulate(trial, plan)
    elif run is not None:
        found = run(trial)
    else:
        trial = _placed(trial, device, cap_bytes if cap is not None else plan.budget.usable_bytes)
        cap_bytes = trial.cap_bytes or cap_bytes
        found = run_trial(trial)
    if found.outcome in (FAILED, LOST):
        where = "The simulation" if simulate else "The run"
        raise EnvironmentFailure(f"{where} failed: {found.error}", "This says nothing of whether the plan fits.")
    recorded = None
    if record and not simulate and workload.streams == 1:  # a row is of one clip
        recorded = _record(trial, found)
    total = _total(found)
    within = total is None or total <= cap_bytes
    predicted = plan.chosen.estimate if simulate else _where_it_ran(plan, found)
    ran_frames = count if workload.frames is None else min(workload.frames, found.frames or workload.frames)
    return Confirmation(
        confirmed=found.outcome == RAN and within,
        truth="simulated" if simulate else "rehearsed" if found.imaginary else "measured",
        cap_bytes=cap_bytes,
        gpu=None if simulate else found.gpu,
        configuration=trial.configuration,
        workload=workload,
        frames=workload.frames if simulate else ran_frames,
        weights="random" if checkpoint is None else Path(checkpoint).name,
        predicted=predicted,
        measured=found,
        components=components_beside(predicted, found),
        phases=phases_beside(predicted, found),
        recorded=recorded,
    )


def _simulate(trial: Trial, plan: Plan) -> Outcome:
    from planner.measure.backends import simulated

    found = simulated(trial, plan.budget.capability or (8, 6))
    if found.context_bytes is None or plan.estimate is None:
        return found
    return replace(found, context_bytes=plan.estimate.context_bytes)  # which nothing simulates


def _where_it_ran(plan: Plan, found: Outcome) -> Estimate:
    """The plan's estimate, with the context of the GPU that ran it where the plan was made for another, or for none."""
    assert plan.chosen is not None
    estimate, planned = plan.chosen.estimate, plan.budget.gpu
    if found.gpu is None or (planned is not None and same_card(planned.name, found.gpu)):
        return estimate
    gpu = Gpu(name=found.gpu, total_bytes=found.total_bytes or 0, capability=found.capability)
    there = known_model().on(gpu).estimate(plan.chosen.configuration, plan.request.workload, found.capability)
    more = there.context_bytes - estimate.context_bytes
    components = tuple(part for part in estimate.components if part.name != CUDA_CONTEXT)
    return replace(
        estimate,
        context_bytes=there.context_bytes,
        context_low_bytes=there.context_low_bytes,
        context_high_bytes=there.context_high_bytes,
        total_bytes=estimate.total_bytes + more,
        least_bytes=estimate.least_bytes + more,
        upper_bytes=estimate.upper_bytes + there.context_high_bytes - estimate.context_high_bytes,
        components=(*components, *(part for part in there.components if part.name == CUDA_CONTEXT)),
    )


def _placed(trial: Trial, device: str | int | None, least_bytes: int) -> Trial:
    """The trial on the GPU that is asked for, its cap no larger than what is free there.

    Raises EnvironmentFailure without a GPU, or where less than `least_bytes` is free, with who holds it.
    """
    from planner.machine.present import find_present, inspect, present_gpus

    gpus = present_gpus()
    if not gpus:
        raise EnvironmentFailure(
            "No GPU was found on this machine, so the plan cannot be run under its budget.",
            "`sam2-plan rehearse PLAN` runs it on an imaginary GPU; --simulate holds it against the simulator.",
        )
    gpu = find_present(None if device is None else str(device), gpus)
    free, cap = gpu.free_bytes, trial.cap_bytes or 0
    if free is not None and free < least_bytes:
        holders = [process for found in inspect() if found.uuid == gpu.uuid for process in found.processes or ()]
        named = ", ".join(f"process {one.pid} {format_size(one.bytes)}" for one in holders if one.bytes)
        raise EnvironmentFailure(
            f"{gpu.name} has {format_size(free)} free, less than the {format_size(least_bytes)} that the plan may use"
            f"{f' ({named})' if named else ''}.",
            "Free its memory, choose another with --device, or plan for what is free.",
        )
    return replace(trial, device=gpu.uuid or "cuda", cap_bytes=cap if free is None else min(cap, free))


def _record(trial: Trial, found: Outcome) -> Path | None:
    from planner.measure.sweep import keep
    from planner.text.locations import user_folder

    written = keep([(trial, found)], user_folder() / "profiles", "rehearsed" if found.imaginary else "measured")
    return written[0] if written else None


def _total(found: Outcome) -> int | None:
    """Bytes of the process: as the driver says, else allocator and context."""
    if found.process_bytes is not None:
        return found.process_bytes
    if found.reserved_bytes is None or found.context_bytes is None:
        return None
    return found.reserved_bytes + found.context_bytes


def _unaccounted(found: Outcome) -> int | None:
    if found.process_bytes is None or found.reserved_bytes is None or found.context_bytes is None:
        return None
    return found.process_bytes - found.reserved_bytes - found.context_bytes


def components_beside(predicted: Estimate, found: Outcome) -> tuple[Compared, ...]:
    """The sums of a run beside those of an estimate."""
    cache = None
    if found.reserved_bytes is not None and found.allocated_bytes is not None:
        cache = found.reserved_bytes - found.allocated_bytes
    return (
        Compared("allocated", predicted.allocated_bytes, found.allocated_bytes),
        Compared("allocator cache", predicted.reserved_bytes - predicted.allocated_bytes, cache),
        Compared(CUDA_CONTEXT, predicted.context_bytes, found.context_bytes),
        Compared("unaccounted", 0, _unaccounted(found)),
        Compared("total", predicted.total_bytes, _total(found)),
    )


def phases_beside(predicted: Estimate, found: Outcome) -> tuple[Compared, ...]:
    """Allocated bytes at the peak of each phase, beside those of an estimate."""
    known = {phase.name: phase.allocated_bytes for phase in predicted.phases}
    names = list(dict.fromkeys([*known, *found.phases]))
    return tuple(
        Compared(name, known.get(name), found.phases[name]["allocated_bytes"] if name in found.phases else None)
        for name in names
    )
