"""Where trials run: on a GPU of this machine, on an imaginary one, or in the simulator. A sweep knows no difference."""

from __future__ import annotations

from typing import Any

from planner.errors import EnvironmentFailure, PlannerError
from planner.machine.present import find_present, inspect, present_gpus
from planner.measure.outside import watched
from planner.measure.sweep import Runner
from planner.measure.trial import FAILED, RAN, Outcome, Trial, run_trial
from planner.rehearsal.machine import imaginary_gpu
from planner.rehearsal.stage import Stage

SIMULATED_GPU = "simulated"


def chosen(device: str | None, *, simulate: bool, rehearse: bool, gpu: str | None) -> tuple[str, Runner]:
    """The device that trials name, and what runs them: the simulator, an imaginary `gpu`, or a GPU of this machine."""
    if simulate:
        return "cuda", simulated
    return ("cuda", on_imaginary_gpu(gpu)) if rehearse else on_gpu(device)


def on_gpu(device: str | None) -> tuple[str, Runner]:
    """The UUID of the GPU that is asked for, and what runs trials on it. Raises EnvironmentFailure without one."""
    gpus = present_gpus()
    if not gpus:
        raise EnvironmentFailure(
            "No GPU was found on this machine, so there is nothing to measure.",
            "With --rehearse they run on an imaginary GPU, with --simulate the simulator answers; the rows say so.",
        )
    uuid = find_present(device, gpus).uuid
    if uuid is None:
        raise EnvironmentFailure("The driver does not say which GPU it is.", "Update the driver.")
    return uuid, watched(uuid, run_trial, inspect)


def on_imaginary_gpu(name: str | None = None) -> Runner:
    """What runs trials, each in a fresh process on an imaginary GPU of that name (24 GB of capability 8.6 of None)."""
    card = imaginary_gpu(name)

    def run(trial: Trial) -> Outcome:
        with Stage([card], zero_scalars=trial.values_decide) as stage:
            return run_trial(trial, environment=stage.environment())

    return run


def simulated(trial: Trial, capability: tuple[int, int] = (8, 6), **more: Any) -> Outcome:
    """What a trial takes by the simulator, in the same form; it is never presented as measured.

    `more` are further arguments of `simulate`. What the simulator refuses is an outcome. Raises EnvironmentFailure
    without torch or sam2.
    """
    from planner.simulator.simulation import simulate_run

    try:
        found = simulate_run(trial, capability=capability, **more)
    except EnvironmentFailure:
        raise
    except PlannerError as error:
        return Outcome(outcome=FAILED, gpu=SIMULATED_GPU, error=str(error))
    return Outcome(
        outcome=RAN,
        allocated_bytes=found.allocated_bytes,
        reserved_bytes=found.reserved_bytes,
        context_bytes=found.context_bytes,
        phases={phase.name: {"allocated_bytes": phase.allocated_bytes} for phase in found.phases},
        gpu=SIMULATED_GPU,
        capability=capability,
        versions={name: str(version) for name, version in found.provenance["versions"].items()},
    )
