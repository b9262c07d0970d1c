"""`sam2-plan place`: a plan as what a scheduler takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from planner.cli import options
from planner.cli.options import Word
from planner.cli.output import answer
from planner.errors import UsageError
from planner.nouns.words import ENGINES, SHARES, SHARINGS, Engine
from planner.text.spelling import check_word

if TYPE_CHECKING:
    from planner.api.plans import Plan

EPILOG = """\b
Examples:
  sam2-plan place plan.yaml --on ray --gpu 24GB
  sam2-plan place plan.yaml --on kubernetes --image registry/sam2-plan:1 --claim data --input clip.mp4 \\
      --checkpoint sam2.1_hiera_large.pt -o job.yaml -- --point 960,540
  sam2-plan place plan.yaml --on slurm --input clip.mp4 --checkpoint sam2.1_hiera_large.pt -o job.sh \\
      -- --point 960,540
  sam2-plan place plan.yaml --on skypilot --input clip.mp4 --random-weights --format json -- --point 960,540

\b
Arguments after -- are passed on to sam2-plan run, such as prompts. The job runs sam2-plan check first, which exits
with 3 if the plan does not fit the machine, and then sam2-plan run.
--share is the GPU memory that one process is allotted: the upper bound of the prediction, or the plan's whole budget.
The worker is capped at it (SAM2_PLAN_MEMORY_CAP), so a worker that needs more fails alone.
Prints the manifest, with notes in its comments. Writes only the file of -o, asks no cluster, and submits nothing.

\b
Exit codes: 0 written; 1 it cannot be written; 2 usage: a name, a path or a GPU that the scheduler would refuse;
3 the plan chose nothing, or its share does not fit the GPU or any slice of it.
"""
OF: dict[str, tuple[Engine, ...]] = {
    "image": ("kubernetes", "skypilot"),
    "claim": ("kubernetes",),
    "sharing": ("kubernetes",),
    "namespace": ("kubernetes",),
    "queue": ("kubernetes",),
    "gpu_type": ("slurm",),
    "shards_per_gpu": ("slurm",),
    "time": ("slurm",),
}
"""Options of some schedulers only. Those that say what runs, and on which host, are of all but Ray."""
RUN = ("source", "out", "checkpoint", "name", "memory", "cpus")


@click.command("place", epilog=EPILOG)
@click.argument("plan_path", metavar="PLAN")
@click.argument("arguments", metavar="[-- RUN_ARGUMENTS]", nargs=-1)
@click.option("--on", "engine", type=Word(ENGINES), required=True, help="the scheduler")
@click.option("--gpu", metavar="NAME|SIZE", help="GPU that it runs on  [default: the plan's]")
@click.option(
    "--share", type=Word(SHARES), default="bound", show_default=True, help="memory that one process is allotted"
)
@click.option("--input", "source", metavar="INPUT", help="INPUT of sam2-plan run, as the worker sees it")
@click.option("--out", metavar="DIR", help="folder for the masks, as the worker sees it  [default: masks]")
@click.option("--checkpoint", metavar="PATH|ID", help="weights, as the worker sees them")
@click.option("--random-weights", is_flag=True, help="use no checkpoint, to try memory and speed; masks mean nothing")
@click.option("--name", metavar="NAME", help="name of the job  [default: sam2-plan]")
@click.option("--memory", metavar="SIZE", help="host memory for the job  [default: the scheduler's]")
@click.option("--cpus", metavar="N", help="CPUs for the job  [default: the scheduler's]")
@click.option("--image", metavar="IMAGE", help="container image that has sam2-plan (kubernetes, skypilot)")
@click.option("--claim", metavar="NAME", help="PersistentVolumeClaim with input, checkpoint and masks (kubernetes)")
@click.option("--sharing", type=Word(SHARINGS), help="how the GPU is shared (kubernetes)  [default: whole]")
@click.option("--namespace", metavar="NAME", help="namespace of the job (kubernetes)")
@click.option("--queue", metavar="NAME", help="queue of KAI, with --sharing kai (kubernetes)  [default: default-queue]")
@click.option("--gpu-type", metavar="TYPE", help="the cluster's name for the GPU or slice (slurm)")
@click.option("--shards-per-gpu", metavar="N", help="ask for shards, where a GPU is cut into N (slurm)")
@click.option("--time", metavar="LIMIT", help="time limit: 30, 2:00:00 or 1-12:00:00 (slurm)")
@click.option("-o", "--output", "path", metavar="FILE", help="save the manifest too")
@options.output_format
def command(
    output: str, plan_path: str, arguments: tuple[str, ...], engine: str, path: str | None, random_weights: bool,
    **asked: Any,
) -> None:  # fmt: skip
    """Write PLAN for a scheduler: options for Ray, a Kubernetes Job, a Slurm script or a SkyPilot task."""
    from planner.api.place import place
    from planner.api.plans import Plan
    from planner.report.placement import placement_document, placement_text
    from planner.text.files import write

    plan = Plan.load(plan_path)
    given = {name: value for name, value in asked.items() if value is not None}
    scheduler = check_word(engine, "scheduler", ENGINES)
    _check(scheduler, given, arguments, random_weights)
    if scheduler != "ray":
        words = (*arguments, *(["--random-weights"] if random_weights else []))
        given = {**_job(plan, plan_path, given, words), **given}
    found = place(plan, scheduler, **given)
    text = placement_text(found)
    if path is not None:
        write(Path(path), text)
    answer(output, lambda: placement_document(found), lambda style: text)


def _job(plan: Plan, plan_path: str, given: dict[str, Any], words: tuple[str, ...]) -> dict[str, Any]:
    """What runs, with its defaults. Raises UsageError for an input that is not said, or what `run` would not parse."""
    from planner.cli.run import check as check_run
    from planner.cli.run import command as run
    from planner.text.command_lines import PROGRAM

    if "source" not in given:
        raise UsageError("There is nothing to run on: no input was given.", "Give --input as the worker sees it.")
    if "--help" in words:  # click would print it, and end
        raise UsageError("--help stands among the arguments of the run.", "See: sam2-plan run --help")
    defaults = {"out": "masks", "checkpoint": None, "name": PROGRAM, "plan_path": plan_path, "arguments": words}
    try:
        with run.make_context("run", ["plan.yaml", "input", "--out", "masks", *words]) as context:
            prompted = any(context.params[name] for name in ("points", "boxes", "masks", "prompts_path"))
            check_run(context.params, plan.request.workload.task)
    except (click.ClickException, UsageError) as error:
        said = error.format_message() if isinstance(error, click.ClickException) else error.message
        why = f"sam2-plan run would refuse its arguments: {said}"
        raise UsageError(why, getattr(error, "hint", "") or "See: sam2-plan run --help") from None
    if prompted == (plan.request.workload.task == "automask"):
        wrong = "takes no prompts" if prompted else "needs prompts, such as: -- --point 960,540"
        raise UsageError(f"A plan for {plan.request.workload.task} {wrong}.", "Prompts stand behind --.")
    return defaults


def _check(engine: Engine, given: dict[str, Any], arguments: tuple[str, ...], random_weights: bool) -> None:
    """Raises UsageError for what the scheduler has no use for, and for what it cannot do without.

    What was not said on the command line is dropped instead: it may be there for another scheduler.
    """
    foreign = [name for name in given if engine not in OF.get(name, (engine,)) or (engine == "ray" and name in RUN)]
    context = click.get_current_context()
    for name in foreign.copy():
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            del given[name]
            foreign.remove(name)
    if engine == "ray":
        foreign += ["arguments"] * bool(arguments) + ["random_weights"] * random_weights
    if foreign:
        option = {"source": "--input", "arguments": "-- ..."}.get(foreign[0], f"--{foreign[0].replace('_', '-')}")
        why = " Its options go to your own function, which says what runs." if engine == "ray" else ""
        raise UsageError(f"{option} is not for {engine}.{why}", "Leave it out.")
    missing = [name for name in ("image", "claim") if engine == "kubernetes" and name not in given]
    if missing:
        raise UsageError(f"A Kubernetes Job needs --{missing[0]}.", "See: sam2-plan place --help")
