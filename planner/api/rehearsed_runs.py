"""What of a plan is rehearsed, and on which imaginary GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.api.confirm import FRAMES
from planner.api.plans import Plan
from planner.catalog.runtimes import check_keep_all, check_run
from planner.errors import UsageError
from planner.measure.sweeps import trials
from planner.measure.trial import Trial
from planner.nouns.run import SWITCHES, Run, Transformers
from planner.nouns.words import DRIVEN_RUNTIMES, OTHER_RUNTIMES, PROCESSING_DEVICES, Runtime
from planner.planning.others import configuration_on
from planner.rehearsal.machine import ImaginaryGpu, imaginary_gpu
from planner.text.spelling import check_word
from planner.text.units import check_size, parse_capability, parse_count, parse_size


def card_of(plan: Plan, gpu: Any, vram: Any, capability: Any) -> ImaginaryGpu:
    """The GPU that a plan is rehearsed on: as told, else its budget; its context as the plan predicts."""
    assert plan.estimate is not None
    if gpu is not None:
        return cards_of(gpu, None, None)[0]
    budget = plan.budget
    total = budget.total_bytes if vram is None else _size(vram)
    context = plan.estimate.context_bytes
    if capability is None and budget.gpu is not None:
        named = imaginary_gpu(budget.gpu.name, total_bytes=total, context_bytes=context)
        if budget.gpu.capability in (None, named.capability):
            return named
        capability = budget.gpu.capability
    return imaginary_gpu(capability=_capability(capability), total_bytes=total, context_bytes=context)


def trial_of(
    plan: Plan, runtime: Runtime, frames: int | str | None, ways: Transformers, keep_all: bool = False
) -> Trial:
    """The plan's run; on the stock predictors with what of its configuration they know, on others as Plan.others."""
    chosen, workload = plan.chosen, plan.request.workload
    assert chosen is not None
    check_word(runtime, "runtime", DRIVEN_RUNTIMES)
    if workload.streams > 1 and runtime != "own":
        raise UsageError(
            f"The plan is for {workload.streams} clips in one process, which {runtime} does not track.",
            "Rehearse the runtime own.",
        )
    if frames is not None and workload.task != "video":
        raise UsageError(f"frames={frames} is for videos; the plan is for {workload.task}.", "Leave frames out.")
    count = FRAMES if frames is None else parse_count(frames, "frames")
    configuration = chosen.configuration
    check_word(ways.processing_device, "device", PROCESSING_DEVICES)
    check_keep_all(keep_all, runtime)
    if runtime in OTHER_RUNTIMES:
        return _trial_of_other(plan, runtime, count, ways, keep_all)
    check_run(Run(runtime=runtime, configuration=configuration, workload=workload, transformers=ways))
    if runtime == "own":
        return Trial(runtime="own", configuration=configuration, workload=workload, frames=count)
    known = ("variant", "version", "resolution", "precision", *SWITCHES)
    ranges: dict[str, list[Any]] = {name: [getattr(configuration, name)] for name in known}
    ranges |= {name: [getattr(workload, name)] for name in ("task", "objects", "frame_size")}
    ranges["frames"] = [workload.frames or count]
    ranges["object_batch"] = [configuration.object_batch if workload.task == "automask" else None]
    return next(trials(ranges, "stock"))


def _trial_of_other(plan: Plan, runtime: Runtime, count: int, ways: Transformers, keep_all: bool) -> Trial:
    chosen, workload = plan.chosen, plan.request.workload
    assert chosen is not None
    configuration = configuration_on(runtime, plan.request, chosen.configuration, plan.budget.capability)
    if keep_all:
        configuration = replace(configuration, bounded_memory_bank=False)
    if workload.task == "video" and workload.frames is None:
        workload = replace(workload, frames=count)
    trial = Trial(runtime=runtime, configuration=configuration, workload=workload, transformers=ways, frames=count)
    check_run(trial)
    return trial


def cards_of(gpu: Any, vram: Any, capability: Any) -> list[ImaginaryGpu]:
    """The GPUs of a program: by name, several with commas, or one by its memory and capability."""
    if gpu is not None:
        names = [part.strip() for part in gpu.split(",")] if isinstance(gpu, str) else list(gpu)
        return [imaginary_gpu(name, index=index) for index, name in enumerate(names)]
    return [imaginary_gpu(capability=_capability(capability), total_bytes=None if vram is None else _size(vram))]


def _size(value: int | str) -> int:
    return check_size(value) if isinstance(value, int) else parse_size(value)


def _capability(value: str | tuple[int, int] | None) -> tuple[int, int] | None:
    return parse_capability(value) if isinstance(value, str) else value
