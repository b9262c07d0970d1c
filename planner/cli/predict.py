"""`sam2-plan predict`: the bytes of one configuration."""

from __future__ import annotations

from typing import Any

import click

from planner.catalog.runtimes import check_keep_all
from planner.cli import options
from planner.cli.output import answer
from planner.nouns.run import Run, Transformers
from planner.nouns.words import (
    ALL_VARIANTS,
    ATTENTIONS,
    OTHER_RUNTIMES,
    PRECISIONS,
    RUNTIMES,
    TASKS,
    VERSIONS,
    PositionTables,
    Runtime,
)
from planner.report.layout import Style

EPILOG = """\b
Examples:
  sam2-plan predict --variant large --resolution 2048 --task image --precision float16
  sam2-plan predict --variant tiny --task video --frames 240 --runtime stock --format json
  sam2-plan predict --variant large --frames 240 --precision bfloat16 --runtime transformers --streaming

\b
Exit codes: 0 predicted; 1 failed; 2 usage. Writes nothing; --exact writes its findings into the cache folder.
"""


@click.command("predict", epilog=EPILOG)
@click.option("--variant", type=options.Word(ALL_VARIANTS), required=True, help=options.OF_SAM2)
@click.option(
    "--version", type=options.Word(VERSIONS), default="2.1", show_default=True, help="version of the checkpoints"
)
@click.option(
    "--resolution",
    metavar="N|HxW",
    help="size that SAM 2 computes at: multiples of 32  [default: 1024; sam3_tracker: 1008]",
)
@click.option(
    "--precision",
    type=options.Word(PRECISIONS),
    help="precision of weights and activations  [default: autocast_bfloat16; autocast_float16 on GPUs without it]",
)
@click.option("--attention", type=options.Word(ATTENTIONS), default="auto", show_default=True, help="attention kernel")
@click.option("--task", type=options.Word(TASKS), default="video", show_default=True, help="what SAM 2 is to do")
@click.option("--objects", metavar="N", default="1", show_default=True, help="objects tracked or prompted at once")
@click.option("--frames", metavar="N|unlimited", help="length of the clip  [default: unlimited]")
@click.option("--frame-size", metavar="HxW", help="size of the source pictures  [default: 1080x1920]")
@click.option("--object-batch", metavar="N", help="objects per pass (automask: points)  [default: 1; automask: 64]")
@options.runtime(RUNTIMES, words="whose code runs; not covered: with torch.compile")
@options.streaming
@click.option("--offload-video", is_flag=True, help="keep decoded frames on the host")
@click.option("--offload-state", is_flag=True, help="keep the memory bank on the host")
@options.position_tables
@click.option("--gpu", metavar="NAME", help="predict for this GPU, by name")
@click.option("--vram", metavar="SIZE", help="take the CUDA context of cards of this size")
@options.torch
@options.exact
@options.output_format
def command(
    output: str,
    runtime: Runtime,
    gpu: str | None,
    vram: str | None,
    torch: str | None,
    position_tables: PositionTables,
    exact: bool,
    **asked: Any,
) -> None:
    """Predict the bytes of one configuration: by component, by phase, with an upper bound.

    The runtime says whose code runs: own is what `sam2-plan run` runs, stock the predictors of the sam2 package,
    transformers and ultralytics those of these packages, and reimplementation the program whose figures were published
    (image and video in float16). Figures of our runtime and of stock stand below. Models under torch.compile
    (vos_optimized, compile_image_encoder) are not covered.
    """
    import planner
    from planner.api.asking import bounded_memory_bank_of, configuration_and_workload, object_batch_of
    from planner.api.predict import usual_precision
    from planner.api.questions import runtimes
    from planner.cli.exact import telling_progress
    from planner.report.prediction import prediction_report
    from planner.wire.prediction import PREDICTION

    given = asked["precision"]
    asked["precision"] = given or usual_precision(gpu)
    ways: dict[str, Any] = {name: asked.pop(name) for name in ("streaming", "processing_device", "keep_all")}
    check_keep_all(ways["keep_all"], runtime)
    asked["bounded_memory_bank"] = bounded_memory_bank_of(runtime, not ways["keep_all"])
    asked["object_batch"] = object_batch_of(runtime, asked["task"], asked["objects"], asked["object_batch"])
    whose: dict[str, Any] = {"gpu": gpu, "vram": vram, "torch": torch, "position_tables": position_tables}
    with telling_progress() as progress:
        estimate = planner.predict(**asked, **whose, **ways, runtime=runtime, exact=exact, progress=progress)
    configuration, workload = configuration_and_workload(**asked)
    other = None
    if runtime in OTHER_RUNTIMES:
        said = Transformers(streaming=ways["streaming"], processing_device=ways["processing_device"])
        other = Run(runtime=runtime, configuration=configuration, workload=workload, transformers=said)
    beside = runtimes(configuration, workload, **whose, other=other)
    made = configuration, workload, estimate, runtime, beside

    def text(style: Style) -> str:
        notes = [] if gpu is None else _notes(gpu, None if given else asked["precision"])
        return prediction_report(*made, style, gpu) + "".join(f"! {note}\n" for note in notes)

    names = ("configuration", "workload", "estimate", "runtime", "runtimes")
    answer(output, lambda: PREDICTION.write(dict(zip(names, made, strict=True))), text)


def _notes(gpu: str, taken: str | None) -> list[str]:
    """What to say of the GPU; `taken` is the precision that was chosen for it."""
    from planner.catalog.gpu_names import notes_on
    from planner.catalog.gpus import find_gpu
    from planner.planning.stock import OFFICIAL_PRECISION

    name = find_gpu(gpu).gpu.name
    instead = taken is not None and taken != OFFICIAL_PRECISION
    return [*([f"{name} has no bfloat16: predicted in {taken}"] if instead else []), *notes_on(name)]
