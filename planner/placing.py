"""Plans with the ways to place them: what `planner.Plan` offers beside its files, and what `sam2-plan place` calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from planner import domain
from planner.placement.job import NAME, make_host, make_job
from planner.placement.nouns import ENGINES, Placement
from planner.units import check_word

JOB = ("source", "out", "plan_path", "checkpoint", "arguments", "name")
"""Options that say what runs."""


def place(plan: domain.Plan, engine: str, **options: Any) -> Placement:
    """What the engine is handed for a plan; the options are those of the methods below, an unknown one a TypeError.

    Raises DoesNotFit for a plan that chose nothing, ShareTooLarge where the card or slice is too small, UsageError for
    what the engine would refuse or what would be lost.
    """
    check_word(engine, "scheduler", ENGINES)
    if engine == "ray":
        from planner.placement.ray import place_on_ray

        return place_on_ray(plan, **options)
    host = make_host(options.pop("memory", None), options.pop("cpus", None))
    job = make_job(**{name: options.pop(name) for name in JOB})
    if engine == "slurm":
        from planner.placement.slurm import place_on_slurm

        return place_on_slurm(plan, job, host=host, **options)
    if engine == "skypilot":
        from planner.placement.skypilot import place_on_skypilot

        return place_on_skypilot(plan, job, host=host, **options)
    from planner.placement.kubernetes import place_on_kubernetes

    return place_on_kubernetes(plan, job, _carried(plan, "--fallback" in job.arguments), host=host, **options)


def _carried(plan: domain.Plan, fallback: bool) -> str:
    """The plan as a manifest carries it: what check and run read, the alternatives where there is to step down."""
    from planner.documents import dump
    from planner.wire.plan import PLAN

    kept = plan.alternatives if fallback else ()
    slim = replace(plan, alternatives=kept, rejected=(), suggestions=(), explained=None)
    return dump(PLAN.write(slim), compact=True)


class PlaceablePlan(domain.Plan):
    """A plan that knows what a scheduler is to be told of it.

    Common to all: `gpu` is a name, a size such as "24GB", or bytes; by default the plan's. `share` is what one process
    is allotted: "bound" is the prediction's upper bound, or the budget where that is less; "budget" is the budget. Each
    caps the worker at its share through SAM2_PLAN_MEMORY_CAP, which planner.load and sam2-plan run keep to. Each raises
    DoesNotFit for a plan that chose nothing, ShareTooLarge (a PlannerError) where one process needs more than the card
    has, UsageError for a value that the scheduler would refuse.
    """

    __slots__ = ()

    def ray_options(self, *, gpu: str | int | None = None, share: str = "bound") -> dict[str, Any]:
        """For `@ray.remote(**options)`, of tasks and actors: num_gpus, accelerator_type, runtime_env.

        accelerator_type only where the GPU has a name. A runtime_env of your own replaces this one: merge its env_vars.
        Decorated with num_gpus, a task ends its worker and so gives the memory back; given by .options(**options) they
        do not, unless the function was decorated with max_calls=1.
        """
        options: dict[str, Any] = place(self, "ray", gpu=gpu, share=share).manifest
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
        sharing: str = "whole",
        gpu: str | int | None = None,
        share: str = "bound",
        name: str = NAME,
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
        documents: list[dict[str, Any]] = place(
            self, "kubernetes", plan_path="plan.yaml", image=image, claim=claim, source=source, out=out,
            checkpoint=checkpoint, arguments=arguments, sharing=sharing, gpu=gpu, share=share, name=name,
            namespace=namespace, queue=queue, memory=memory, cpus=cpus,
        ).manifest  # fmt: skip
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
        share: str = "bound",
        shards_per_gpu: int | None = None,
        name: str = NAME,
        time: str | None = None,
        memory: str | int | None = None,
        cpus: str | int | None = None,
    ) -> str:
        """A script for sbatch that checks the plan at plan_path and runs it.

        gpu_type: the cluster's own name of the GPU or slice. shards_per_gpu: into how many shards the cluster cuts a
        GPU, where a share is to be asked for instead of a whole one. time: a limit such as "2:00:00".
        """
        script: str = place(
            self, "slurm", plan_path=plan_path, source=source, out=out, checkpoint=checkpoint, arguments=arguments,
            gpu=gpu, gpu_type=gpu_type, share=share, shards_per_gpu=shards_per_gpu, name=name, time=time,
            memory=memory, cpus=cpus,
        ).manifest  # fmt: skip
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
        share: str = "bound",
        name: str = NAME,
        memory: str | int | None = None,
        cpus: str | int | None = None,
    ) -> dict[str, Any]:
        """A task for sky.Task.from_yaml_config, or a YAML file: any GPU that holds the plan, or the one it names.

        The current folder goes along; paths are relative to it. image: has sam2-plan, which is installed without one.
        """
        task: dict[str, Any] = place(
            self, "skypilot", plan_path=plan_path, source=source, out=out, checkpoint=checkpoint, arguments=arguments,
            image=image, gpu=gpu, share=share, name=name, memory=memory, cpus=cpus,
        ).manifest  # fmt: skip
        return task
