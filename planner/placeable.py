"""Plans with the ways to place them: what `planner.Plan` offers beside its files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner import domain
from planner.commands import PROGRAM
from planner.words import Engine, ShareKind, Sharing


class PlaceablePlan(domain.Plan):
    """A plan that knows what a scheduler is to be told of it.

    Common to all: `gpu` is a name, a size such as "24GB", or bytes; by default the plan's. `share` is what one process
    is allotted: "bound" is the prediction's upper bound, or the budget where that is less; "budget" is the budget. Each
    caps the worker at its share through SAM2_PLAN_MEMORY_CAP, which planner.load and sam2-plan run keep to. Each raises
    DoesNotFit for a plan that chose nothing, ShareTooLarge (a PlannerError) where one process needs more than the card
    has, UsageError for a value that the scheduler would refuse.
    """

    __slots__ = ()

    def ray_options(self, *, gpu: str | int | None = None, share: ShareKind = "bound") -> dict[str, Any]:
        """For `@ray.remote(**options)`, of tasks and actors: num_gpus, accelerator_type, runtime_env.

        accelerator_type only where the GPU has a name. A runtime_env of your own replaces this one: merge its env_vars.
        Decorated with num_gpus, a task ends its worker and so gives the memory back; given by .options(**options) they
        do not, unless the function was decorated with max_calls=1.
        """
        options: dict[str, Any] = _placed(self, "ray", gpu=gpu, share=share)
        return options

    def kubernetes_job(
        self,
        *,
        image: str,
        claim: str,
        source: str,
        out: str = "masks",
        checkpoint: str | None = None,
        arguments: Sequence[str] = (),
        sharing: Sharing = "whole",
        gpu: str | int | None = None,
        share: ShareKind = "bound",
        name: str = PROGRAM,
        namespace: str | None = None,
        queue: str | None = None,
        memory: str | int | None = None,
        cpus: str | int | None = None,
    ) -> list[dict[str, Any]]:
        """A ConfigMap with the plan, and a Job that checks it and runs it.

        image: has sam2-plan. claim: the PersistentVolumeClaim with clip, checkpoint and masks; relative paths lie in
        it. source, out, checkpoint and arguments are those of `sam2-plan run`. sharing: "whole" GPU, "mig" slice, or a
        share by "hami" or "kai" (which has queues). memory and cpus: of the host, as requests; none unless given.
        """
        documents: list[dict[str, Any]] = _placed(
            self, "kubernetes", plan_path="plan.yaml", image=image, claim=claim, source=source, out=out,
            checkpoint=checkpoint, arguments=arguments, sharing=sharing, gpu=gpu, share=share, name=name,
            namespace=namespace, queue=queue, memory=memory, cpus=cpus,
        )  # fmt: skip
        return documents

    def slurm_script(
        self,
        *,
        source: str,
        out: str = "masks",
        plan_path: str = "plan.yaml",
        checkpoint: str | None = None,
        arguments: Sequence[str] = (),
        gpu: str | int | None = None,
        gpu_type: str | None = None,
        share: ShareKind = "bound",
        shards_per_gpu: int | None = None,
        name: str = PROGRAM,
        time: str | None = None,
        memory: str | int | None = None,
        cpus: str | int | None = None,
    ) -> str:
        """A script for sbatch that checks the plan at plan_path and runs it.

        gpu_type: the cluster's own name of the GPU or slice. shards_per_gpu: into how many shards the cluster cuts a
        GPU, where a share is to be asked for instead of a whole one. time: a limit such as "2:00:00".
        """
        script: str = _placed(
            self, "slurm", plan_path=plan_path, source=source, out=out, checkpoint=checkpoint, arguments=arguments,
            gpu=gpu, gpu_type=gpu_type, share=share, shards_per_gpu=shards_per_gpu, name=name, time=time,
            memory=memory, cpus=cpus,
        )  # fmt: skip
        return script

    def skypilot_task(
        self,
        *,
        source: str,
        out: str = "masks",
        plan_path: str = "plan.yaml",
        checkpoint: str | None = None,
        arguments: Sequence[str] = (),
        image: str | None = None,
        gpu: str | int | None = None,
        share: ShareKind = "bound",
        name: str = PROGRAM,
        memory: str | int | None = None,
        cpus: str | int | None = None,
    ) -> dict[str, Any]:
        """A task for sky.Task.from_yaml_config, or a YAML file: any GPU that holds the plan, or the one it names.

        The current folder goes along; paths are relative to it. image: has sam2-plan, which is installed without one.
        """
        task: dict[str, Any] = _placed(
            self, "skypilot", plan_path=plan_path, source=source, out=out, checkpoint=checkpoint, arguments=arguments,
            image=image, gpu=gpu, share=share, name=name, memory=memory, cpus=cpus,
        )  # fmt: skip
        return task


def _placed(plan: domain.Plan, engine: Engine, **options: Any) -> Any:
    from planner.placing import place  # planning loads no scheduler

    return place(plan, engine, **options).manifest
