"""`planner.rehearse`: a plan, or any program, on torch's CUDA build and an imaginary GPU, beside the prediction."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from planner.api.confirm import Compared, components_beside, phases_beside
from planner.api.plans import Plan
from planner.api.rehearsed_runs import card_of, cards_of, trial_of
from planner.driving.least import least_of
from planner.errors import EXIT_FITS, EXIT_NOT_CONFIRMED, EnvironmentFailure, UsageError
from planner.measure.trial import FAILED, LOST, RAN, Outcome, Trial, run_trial
from planner.memory_model.current import known_model
from planner.nouns.brief import brief
from planner.nouns.estimate import Estimate
from planner.nouns.run import Configuration, Transformers, Workload
from planner.nouns.shown import shown
from planner.nouns.words import ProcessingDevice, Runtime
from planner.rehearsal.machine import ImaginaryGpu
from planner.rehearsal.programs import Moment, Notes, Performance, perform
from planner.rehearsal.stage import Stage, Use

EXIT_FAILED = 1
Tried = Callable[[int, bool], None]
"""Told of each try for the least memory: its bytes, and whether it completed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a run took on an imaginary GPU, in bytes. A figure that nothing counted is None, and `notes` say why."""

    __repr__ = brief
    _repr_html_ = shown

    gpus: tuple[ImaginaryGpu, ...]
    memory_bytes: int
    """Memory of the GPU that the figures are of: the one that came closest to its memory."""
    completed: bool
    ran_out: bool
    """Whether it ended for want of memory. Where it went on after memory ran out, `out_of_memory` counts that."""
    out_of_memory: int | None
    """How often torch did not get what it asked for."""
    retries: int | None
    """How often its allocator gave cache back first."""
    allocated_bytes: int | None
    reserved_bytes: int | None
    context_bytes: int
    """Taken from the prediction, not found: an imaginary GPU has no kernels to load."""
    total_bytes: int | None
    least_bytes: int | None
    """The smallest memory in which it completes, where that was asked for."""
    kernels: int
    """How many kernels were launched in all."""
    kernels_per_frame: float | None
    milliseconds_per_frame: float | None
    """Time that this machine's host took to launch the kernels of a frame; a GPU's time is not in it."""
    versions: dict[str, str | None]
    notes: tuple[str, ...]
    """What limits the figures."""

    # Of a plan
    runtime: Runtime | None = None
    """Whose code ran."""
    configuration: Configuration | None = None
    workload: Workload | None = None
    frames: int | None = None
    predicted: Estimate | None = None
    components: tuple[Compared, ...] = ()
    phases: tuple[Compared, ...] = ()
    """Allocated bytes at the peak of each phase."""
    steps: tuple[str, ...] = ()
    """The steps down that fallback took."""
    message: str | None = None
    """How it ended, where it did not complete."""

    # Of a program
    command: tuple[str, ...] = ()
    exit_status: int | None = None
    peak: Moment | None = None
    """Where in the program the most was requested."""
    ran_out_at: Moment | None = None
    processes: tuple[Notes, ...] = ()

    @property
    def within_upper_bound(self) -> bool | None:
        """Whether the total lies below the plan's upper bound; None for a program."""
        if self.predicted is None or self.total_bytes is None:
            return None
        # Without the context, which is another on another card, and which no rehearsal finds.
        held = self.total_bytes - (self.context_bytes or 0)
        return held <= self.predicted.upper_bytes - self.predicted.context_high_bytes

    @property
    def exit_code(self) -> int:
        """0: it completed; 5: it ran out of memory, or took more than the plan's bound; 1: it failed otherwise."""
        if self.completed:
            return EXIT_NOT_CONFIRMED if self.within_upper_bound is False else EXIT_FITS
        return EXIT_NOT_CONFIRMED if self.ran_out else EXIT_FAILED

    def to_dict(self) -> dict[str, Any]:
        """The rehearsal as plain data, as `sam2-plan rehearse --format json` prints it."""
        from planner.wire.rehearsal import REHEARSAL

        return REHEARSAL.write(self)


def rehearse(
    plan_or_command: Plan | Sequence[str],
    *,
    gpu: str | Sequence[str] | None = None,
    vram: int | str | None = None,
    capability: str | tuple[int, int] | None = None,
    runtime: Runtime = "own",
    frames: int | str | None = None,
    streaming: bool = False,
    processing_device: ProcessingDevice = "cuda",
    keep_all: bool = False,
    fallback: bool = False,
    least: bool = False,
    zero_scalars: bool = False,
    event_lag: int = 0,
    output: Any = None,
    tried: Tried | None = None,
) -> Rehearsal:
    """Run a plan, or a program such as ["python", "track.py"], on torch's CUDA build and an imaginary GPU.

    gpu: the name of the GPU; for a program also several. By default the GPU and the budget of the plan; for a program
        24 GB on capability 8.6.
    vram, capability: a GPU by its memory (a size such as "8GB", or bytes) and compute capability (such as "8.9").
    runtime: whose code runs the plan: "own"; "stock" (the predictors of the sam2 package, on the same configuration);
        "transformers" or "ultralytics" (as their guides have it, see Plan.others).
    streaming, processing_device, keep_all: as in predict.
    frames: how many to run of a plan's clip without end; 60 by default.
    fallback: step down to the plan's next smaller configuration where memory runs out.
    least: find the smallest memory in which it completes, by running it some ten times more.
    tried: called with (memory in bytes, whether it completed) after each of these runs.
    zero_scalars: every number that a program reads from the GPU one by one is 0; for programs whose control flow
        depends on values.
    event_lag: how often an event answers that it is not done yet.
    output: a file for the program's standard output, which is inherited by default.

    Values are garbage; sizes, their order, choices of kernels and workspaces are torch's and cuDNN's own
    (docs/rehearsing.md).

    Raises DoesNotFit for a plan that chose nothing, EnvironmentFailure where the imaginary GPU cannot be built or a
    plan's run fails for another reason than memory, UsageError for values that make no sense.
    """
    if gpu is not None and (vram is not None or capability is not None):
        raise UsageError("A GPU by name has its own memory and capability.", "Leave vram and capability out, or gpu.")
    options = {"zero_scalars": zero_scalars, "event_lag": event_lag}
    if isinstance(plan_or_command, Plan):
        if plan_or_command.chosen is None:
            plan_or_command.require()
        card = card_of(plan_or_command, gpu, vram, capability)
        ways = Transformers(streaming=streaming, processing_device=processing_device)
        trial = trial_of(plan_or_command, runtime, frames, ways, keep_all)
        return _rehearse_plan(plan_or_command, trial, card, fallback, least, options, tried)
    words = [plan_or_command] if isinstance(plan_or_command, str) else list(plan_or_command)
    if not words:
        raise UsageError("There is nothing to rehearse.", "Give a plan, or a command after --.")
    for name, value in (
        ("frames", frames), ("fallback", fallback or None), ("runtime", runtime != "own" or None),
        ("streaming", streaming or None), ("processing_device", processing_device != "cuda" or None),
        ("keep_all", keep_all or None),
    ):  # fmt: skip
        if value is not None:
            raise UsageError(f"{name} is for plans; a command has its own options.", "Give it to the command.")
    return _rehearse_command(words, cards_of(gpu, vram, capability), least, options, output, tried)


# -- a plan ---------------------------------------------------------------------------------------------


def _rehearse_plan(
    plan: Plan,
    trial: Trial,
    card: ImaginaryGpu,
    fallback: bool,
    least: bool,
    options: dict[str, Any],
    tried: Tried | None,
) -> Rehearsal:
    chosen, workload = plan.chosen, trial.workload
    assert chosen is not None
    predicted = chosen.estimate
    if trial.runtime != "own":
        if fallback:
            raise UsageError(
                f"The runtime {trial.runtime} has no fallback.", "Leave it out, or ask for the runtime own."
            )
        planned = card.context_bytes == predicted.context_bytes  # else it is another GPU's
        model = known_model().on(plan.budget.gpu, plan.budget.total_bytes) if planned else known_model().on(card.name)
        predicted = model.estimate(trial.configuration, workload, card.capability, trial.runtime, trial.transformers)
    masks_of_values = workload.task == "automask"  # which pass the filters
    zeros = options["zero_scalars"] or masks_of_values or trial.values_decide
    options = {**options, "zero_scalars": zeros}
    with tempfile.TemporaryDirectory(prefix="sam2-plan-rehearsal-") as folder:
        saved = Path(folder) / "plan.json"
        plan.save(saved)
        trial = replace(trial, plan=str(saved) if fallback else None)

        def run(memory_bytes: int) -> tuple[Outcome, Use]:
            with Stage([replace(card, total_bytes=memory_bytes)], **options) as stage:
                return run_trial(trial, environment=stage.environment()), stage.use()

        outcome, use = run(card.total_bytes)
        if outcome.outcome in (FAILED, LOST):
            raise EnvironmentFailure(f"The run failed: {outcome.error}", "This says nothing of whether the plan fits.")
        smallest = None
        if least and outcome.outcome == RAN:
            smallest = _least(lambda size: run(size)[0].outcome == RAN, outcome, card, tried)
    return Rehearsal(
        gpus=(card,),
        memory_bytes=card.total_bytes,
        completed=outcome.outcome == RAN,
        ran_out=outcome.outcome != RAN,
        out_of_memory=None,
        retries=outcome.retries,
        allocated_bytes=outcome.allocated_bytes,
        reserved_bytes=outcome.reserved_bytes,
        context_bytes=card.context_bytes,
        total_bytes=None if outcome.reserved_bytes is None else outcome.reserved_bytes + card.context_bytes,
        least_bytes=smallest,
        kernels=sum(process.kernels for process in use.processes),
        kernels_per_frame=outcome.kernels_per_frame,
        milliseconds_per_frame=outcome.seconds_per_frame and round(1000 * outcome.seconds_per_frame, 3),
        # The driver is imaginary, and so is its version.
        versions={name: value for name, value in outcome.versions.items() if name != "driver"},
        notes=(*_strange(use), *(("values are garbage: no automatic mask passes the filters",) * masks_of_values)),
        runtime=trial.runtime,
        configuration=trial.configuration,
        workload=workload,
        frames=outcome.frames or workload.frames or trial.frames,
        predicted=predicted,
        components=tuple(one for one in components_beside(predicted, outcome) if one.name != "unaccounted"),
        phases=phases_beside(predicted, outcome),
        steps=tuple(outcome.steps),
        message=outcome.error,
    )


# -- a program ------------------------------------------------------------------------------------------


def _rehearse_command(
    words: list[str],
    cards: list[ImaginaryGpu],
    least: bool,
    options: dict[str, Any],
    output: Any,
    tried: Tried | None,
) -> Rehearsal:
    if least and len(cards) > 1:
        raise UsageError(f"The least memory of {len(cards)} GPUs is not one figure.", "Name one GPU.")

    def run(memory_bytes: int | None, out: Any, errors: Any = None) -> Performance:
        gpus = cards if memory_bytes is None else [replace(cards[0], total_bytes=memory_bytes)]
        with Stage(gpus, **options) as stage:
            return perform(words, stage, output=out, errors=errors)

    found = run(None, output)
    made = _of_performance(words, cards, found)
    if not least or not made.completed:
        return made
    with open(os.devnull, "w") as nowhere:
        smallest = _least(lambda size: run(size, nowhere, nowhere).exit_status == 0, made, cards[0], tried)
    return replace(made, least_bytes=smallest)


def _of_performance(words: list[str], cards: list[ImaginaryGpu], found: Performance) -> Rehearsal:
    use, notes = found.use, list(_strange(found.use))
    device = max(range(len(cards)), key=lambda at: use.devices[at].highest_bytes / cards[at].total_bytes)
    context = max((one.context_bytes for one in use.processes if one.device == device), default=0)
    told = sorted((one for one in found.notes if one.allocated_bytes), key=lambda one: -one.allocated_bytes)
    first = told[0] if told else None
    if not found.used_gpu:
        notes.append("no process of the command used CUDA: nothing was shown")
    elif first is None:
        notes.append("no process said what torch allocated: no Python, or one that was killed or ignores PYTHONPATH")
    elif len({one.pid for one in told}) > 1:
        notes.append(f"{len({one.pid for one in told})} processes used CUDA; allocated is the largest one's")
    refused = any(one.out_of_memory for one in found.notes) or (
        not found.notes and any(one.refused for one in use.processes)
    )
    completed = found.exit_status == 0 and found.used_gpu
    return Rehearsal(
        gpus=tuple(cards),
        memory_bytes=cards[device].total_bytes,
        completed=completed,
        ran_out=not completed and refused,
        out_of_memory=sum(one.out_of_memory for one in found.notes) if found.notes else None,
        retries=sum(one.retries for one in found.notes) if found.notes else None,
        allocated_bytes=first.allocated_bytes if first else None,
        reserved_bytes=max((one.peak_bytes for one in use.processes if one.device == device), default=None),
        context_bytes=context,
        total_bytes=use.devices[device].highest_bytes if found.used_gpu else None,
        least_bytes=None,
        kernels=sum(one.kernels for one in use.processes),
        kernels_per_frame=None,
        milliseconds_per_frame=None,
        versions={"torch": first.torch if first else None, "cuda": first.cuda if first else None},
        notes=tuple(notes),
        command=tuple(words),
        exit_status=found.exit_status,
        peak=first.peak if first else None,
        ran_out_at=next((one.ran_out for one in found.notes if one.ran_out), None),
        processes=found.notes,
    )


# -- both -----------------------------------------------------------------------------------------------


def _least(completes: Callable[[int], bool], found: Any, card: ImaginaryGpu, tried: Tried | None) -> int:
    """By bisection, from what the run took with room to spare."""

    def told(memory_bytes: int) -> bool:
        well = completes(memory_bytes)
        if tried:
            tried(memory_bytes, well)
        return well

    context = card.context_bytes
    enough = min(card.total_bytes, (found.reserved_bytes or card.total_bytes) + context)
    return least_of(told, enough, (found.allocated_bytes or 0) + context, context)


def _strange(use: Use) -> tuple[str, ...]:
    if not use.unknown:
        return ()
    return (f"called of CUDA what the imaginary GPU only answers, and does not do: {', '.join(sorted(use.unknown))}",)
