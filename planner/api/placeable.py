"""Plans with the ways to place them: what `planner.Plan` offers beside its files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.nouns.plan import Plan as PlainPlan
from planner.nouns.words import Engine, ShareKind, Sharing
from planner.text.command_lines import PROGRAM


class PlaceablePlan(PlainPlan):
    """What a scheduler is told of a plan.

    Arguments that these methods have in common:

    gpu: a name, a size such as "24GB", or bytes; by default the plan's.
    share: what one process is allotted: "bound" is the prediction's upper bound, or the budget where that is less;
        "budget" is the budget. The worker is capped at its share through SAM2_PLAN_MEMORY_CAP, which planner.load and
        `sam2-plan run` keep to.
    source, out, checkpoint, arguments: what `sam2-plan run` is given, as the worker sees it.
    plan_path: where the saved plan lies, as the worker sees it.
    name: of the job.
    memory, cpus: of the host, for the job; by default the scheduler's.

    Each raises DoesNotFit for a plan that chose nothing, ShareTooLarge where one process needs more than the card has,
    UsageError for a value that the scheduler would refuse.
    """

    __slots__ = ()

    def ray_options(self, *, gpu: str | int | None = None, share: ShareKind = "bound") -> dict[str, Any]:
        """Options for `@ray.remote(**options)`: num_gpus, runtime_env, and accelerator_type for a GPU with a name.

        A runtime_env of your own replaces this one: merge its env_vars. A task that is decorated with num_gpus ends its
        worker after each call, which gives the memory back. One that gets them by .options(**options) does not, unless
        the function was decorated with max_calls=1.

        Example:
            print(plan.ray_options(gpu="24GB")["num_gpus"])
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
        """A ConfigMap with the plan, and a Job that checks the plan and runs it.

        image: a container image that has sam2-plan.
        claim: the PersistentVolumeClaim with clip, checkpoint and masks; relative paths lie in it.
        sharing: how the cluster hands out the GPU: "whole", a "mig" slice, or a share by "hami" or "kai".
        namespace, queue: of the Job, and of KAI.
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
        """A script for sbatch that checks the plan and runs it.

        gpu_type: the cluster's own name of the GPU or slice.
        shards_per_gpu: into how many shards the cluster cuts a GPU, where a share is asked for instead of a whole one.
        time: a limit such as "2:00:00".

        Example:
            script = plan.slurm_script(source="clip.mp4", arguments=["--random-weights", "--point", "960,540"])
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
        """A task for sky.Task.from_yaml_config, or a YAML file: any GPU that holds the plan, or the one that it names.

        image: a container image that has sam2-plan; without one sam2-plan is installed at setup.

        The current folder goes along; paths are relative to it.
        """
        task: dict[str, Any] = _placed(
            self, "skypilot", plan_path=plan_path, source=source, out=out, checkpoint=checkpoint, arguments=arguments,
            image=image, gpu=gpu, share=share, name=name, memory=memory, cpus=cpus,
        )  # fmt: skip
        return task


def _placed(plan: PlainPlan, engine: Engine, **options: Any) -> Any:
    from planner.api.place import place  # planning loads no scheduler

    return place(plan, engine, **options).manifest
