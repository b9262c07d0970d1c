"""`sam2-plan predict`: the bytes of one configuration."""

from __future__ import annotations

import sys
from typing import Any

import click

from planner.cli import options
from planner.cli.output import echo, style_of
from planner.domain import ATTENTIONS, PRECISIONS, RUNTIMES, TASKS, VARIANTS, VERSIONS

EPILOG = """\b
Examples:
  sam2-plan predict --variant large --resolution 2048 --task image --precision float16
  sam2-plan predict --variant tiny --task video --frames 240 --runtime stock --format json

\b
Exit codes: 0 predicted; 1 failed; 2 usage. Writes nothing; with --exact into the cache folder, what was found.
"""


@click.command("predict", epilog=EPILOG)
@click.option("--variant", type=options.Word(VARIANTS), required=True, help="which SAM 2")
@click.option("--version", type=options.Word(VERSIONS), default="2.1", show_default=True, help="of the checkpoints")
@click.option("--resolution", metavar="N|HxW", default="1024", show_default=True, help="multiples of 32")
@click.option(
    "--precision",
    type=options.Word(PRECISIONS),
    help="of weights and activations  [default: autocast_bfloat16; on GPUs without it autocast_float16]",
)
@click.option("--attention", type=options.Word(ATTENTIONS), default="auto", show_default=True, help="the kernel")
@click.option("--task", type=options.Word(TASKS), default="video", show_default=True, help="what is to be done")
@click.option("--objects", metavar="N", default="1", show_default=True, help="objects tracked or prompted at once")
@click.option("--frames", metavar="N|unlimited", help="length of the clip  [default: unlimited]")
@click.option("--frame-size", metavar="HxW", help="size of the source pictures  [default: 1080x1920]")
@click.option("--object-batch", metavar="N", help="objects (automask: points) per pass  [default: 1; automask: 64]")
@options.runtime(RUNTIMES, words="whose code runs; not covered: with torch.compile")
@click.option("--offload-video", is_flag=True, help="decoded frames on the host")
@click.option("--offload-state", is_flag=True, help="memory bank on the host")
@options.position_tables
@click.option("--gpu", metavar="NAME", help="take what depends on the GPU from this one")
@click.option("--vram", metavar="SIZE", help="take the CUDA context from cards that have so much")
@options.torch
@options.exact
@options.output_format
def command(
    output: str,
    runtime: str,
    gpu: str | None,
    vram: str | None,
    torch: str | None,
    position_tables: str,
    exact: bool,
    **asked: Any,
) -> None:
    """Predict the bytes of one configuration: by component, by phase, with an upper bound.

    Whose code runs matters: own is what `sam2-plan run` runs, stock the predictors of the sam2 package, and
    reimplementation the program whose figures were published (image and video in float16). All that is known of the
    others stands below it. Models under torch.compile (vos_optimized, compile_image_encoder) are not covered.
    """
    import planner
    from planner.api import bounded_memory_bank_of, configuration_and_workload, usual_precision
    from planner.cli.exact import telling_progress
    from planner.questions import runtimes

    given = asked["precision"]
    asked["precision"] = given or usual_precision(gpu)
    asked["bounded_memory_bank"] = bounded_memory_bank_of(runtime)
    whose: dict[str, Any] = {"gpu": gpu, "vram": vram, "torch": torch, "position_tables": position_tables}
    with telling_progress() as progress:
        estimate = planner.predict(**asked, **whose, runtime=runtime, exact=exact, progress=progress)
    configuration, workload = configuration_and_workload(**asked)
    beside = runtimes(configuration, workload, **whose)
    if output == "json":
        from planner.wire.prediction import PREDICTION
        from planner.wire.text import json_text

        asked = {"runtime": runtime, "configuration": configuration, "workload": workload}
        echo(json_text(PREDICTION.write(**asked, estimate=estimate, runtimes=beside)))
    else:
        from planner.report.prediction import prediction_report

        echo(prediction_report(configuration, workload, estimate, runtime, beside, style_of(sys.stdout), gpu))
        if gpu is not None:
            echo("".join(f"! {note}\n" for note in _notes(gpu, None if given else asked["precision"])))


def _notes(gpu: str, taken: str | None) -> list[str]:
    """What to say of the GPU; `taken` is the precision that was chosen for it."""
    from planner.catalog.gpu_names import notes_on
    from planner.catalog.gpus import find_gpu
    from planner.planning.stock import OFFICIAL_PRECISION

    name = find_gpu(gpu).gpu.name
    instead = taken is not None and taken != OFFICIAL_PRECISION
    return [*([f"{name} has no bfloat16: predicted in {taken}"] if instead else []), *notes_on(name)]
