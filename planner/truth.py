"""What a trial takes, from the simulator: the same form as from a GPU, and never presented as measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.errors import EnvironmentFailure, PlannerError
from planner.measure.trial import FAILED, RAN, Outcome, Trial

if TYPE_CHECKING:
    from planner.simulator import Simulation

SIMULATED_GPU = "simulated"


def simulated(trial: Trial, capability: tuple[int, int] = (8, 6), **more: Any) -> Outcome:
    """Simulate a trial; `more` are further arguments of `simulate`.

    What the simulator refuses is an outcome. Raises EnvironmentFailure without torch or sam2.
    """
    try:
        found = simulation_of(trial, capability, **more)
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


def simulation_of(trial: Trial, capability: tuple[int, int] = (8, 6), **more: Any) -> Simulation:
    """The simulation itself. Raises PlannerError for what the simulator refuses."""
    from planner.simulator import simulate

    configuration, workload = trial.configuration, trial.workload
    return simulate(
        task=workload.task,
        variant=configuration.variant,
        version=configuration.version,
        resolution=configuration.resolution,
        frames="unlimited" if workload.task == "video" and workload.frames is None else workload.frames,
        objects=workload.objects,
        precision=configuration.precision,
        attention=configuration.attention,
        offload_video=configuration.offload_video,
        offload_state=configuration.offload_state,
        stock=trial.runtime == "stock",
        object_batch=configuration.object_batch if trial.runtime == "own" and workload.task != "automask" else 1,
        points_per_batch=configuration.object_batch if workload.task == "automask" else 64,
        capability=capability,
        frame_size=workload.frame_size,
        **more,
    )
