"""`sam2-plan simulate`: the bytes of a run of SAM 2, from a trace of the code that runs it, without a GPU."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from planner.cli import options
from planner.cli.output import ProgressLine, answer
from planner.errors import UsageError
from planner.nouns.words import ALL_VARIANTS, ATTENTIONS, PRECISIONS, PROMPTS, TASKS, VERSIONS
from planner.text.units import parse_capability

EPILOG = """\b
Examples:
  sam2-plan simulate --task image --variant large --precision float16
  sam2-plan simulate --variant large --precision float16 --objects 10 --frames unlimited
  sam2-plan simulate --runtime stock --variant tiny --frames 240 --objects 3 --format json
  sam2-plan simulate --runtime stock --variant tiny --offload-video --timeline memory.svg
  sam2-plan simulate --runtime transformers --streaming --precision bfloat16 --frames 240
  sam2-plan simulate --runtime transformers --variant sam3_tracker --frames 240 --vram 16GB

\b
Exit codes: 0 simulated; 1 failed, such as without torch or sam2; 2 usage. Writes nothing but --timeline's file.
Needs the extra: pip install "sam2-plan[sam2]". Runs the code of the sam2 package on tensors without data.
"""


@click.command("simulate", epilog=EPILOG)
@click.option("--task", type=options.Word(TASKS), default="video", show_default=True, help="what SAM 2 is to do")
@click.option("--variant", type=options.Word(ALL_VARIANTS), default="tiny", show_default=True, help=options.OF_SAM2)
@click.option(
    "--version", type=options.Word(VERSIONS), default="2.1", show_default=True, help="version of the checkpoints"
)
@click.option(
    "--resolution",
    metavar="N|HxW",
    help="size that SAM 2 computes at: multiples of 32; stock: square  [default: 1024; sam3_tracker: 1008]",
)
@click.option(
    "--precision",
    type=options.Word(PRECISIONS),
    default="autocast_bfloat16",
    show_default=True,
    help="precision of weights and activations",
)
@click.option(
    "--attention",
    type=options.Word(ATTENTIONS),
    default="auto",
    show_default=True,
    help="attention kernel; auto is what torch picks on this GPU",
)
@click.option(
    "--frames", metavar="N|unlimited", help="length of the clip  [default: unlimited; stock, transformers: 100]"
)
@click.option("--objects", metavar="N", default="1", show_default=True, help="objects tracked or prompted at once")
@click.option("--frame-size", metavar="HxW", default="1080x1920", show_default=True, help="size of the source pictures")
@click.option(
    "--prompt",
    type=options.Word(PROMPTS),
    default="box",
    show_default=True,
    help="how objects are prompted",
)
@click.option(
    "--points-per-batch", metavar="N", default="64", show_default=True, help="points per pass for automatic masks"
)
@click.option(
    "--kept-fraction",
    type=float,
    default=1.0,
    show_default=True,
    help="share of automatic masks that pass each filter; 1 is the worst case",
)
@click.option("--offload-video", is_flag=True, help="keep decoded frames on the host")
@click.option("--offload-state", is_flag=True, help="keep the memory bank on the host")
@click.option("--async-loading", is_flag=True, help="load frames while tracking (stock: kept as float64)")
@click.option("--extension", "extension_present", is_flag=True, help="as if sam2's CUDA extension is built (stock)")
@click.option("--legacy", is_flag=True, help="use the video predictor that batches its objects (stock)")
@options.position_tables
@options.runtime(words="whose code is traced: what runs a plan, or sam2's own; not covered: with torch.compile")
@options.streaming
@click.option("--stock/--own", default=None, hidden=True, help="--runtime stock, or own, as it was asked before")
@click.option("--object-batch", metavar="N", help="objects per pass (own; 1 by default)")
@click.option("--capability", metavar="X.Y", default="8.6", show_default=True, help="compute capability of the GPU")
@options.torch
@click.option(
    "--expandable-segments/--no-expandable-segments",
    default=None,
    help="as PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True, or False; by default own grows them, the others do not",
)
@click.option("--vram", metavar="SIZE", help="say at which frame a GPU of this size runs out of memory")
@click.option("--timeline", metavar="FILE", help="draw who holds memory over time (.svg)")
@options.output_format
def command(output: str, capability: str, timeline: str | None, **asked: Any) -> None:  # fmt: skip
    """Simulate the memory of the real SAM 2 code without a GPU: tensors exactly, torch's allocator by a model.

    Models under torch.compile (vos_optimized, compile_image_encoder) are not covered.
    """
    from planner.report.simulation import simulation_report, timeline_title
    from planner.simulator.simulation import simulate
    from planner.wire.simulation import SIMULATION

    said = click.get_current_context().get_parameter_source("runtime") is ParameterSource.COMMANDLINE
    if asked["stock"] is not None and said and (asked["runtime"] == "stock") is not asked["stock"]:
        alias = "--stock" if asked["stock"] else "--own"
        raise UsageError(f"{alias} and --runtime {asked['runtime']} contradict each other.", "Give one of them.")
    with ProgressLine() as line:
        found = simulate(
            **asked,
            capability=parse_capability(capability),
            progress=lambda done, total: line.show(f"traced {done} of {total}"),
        )
    if timeline is not None:
        from pathlib import Path

        from planner.simulator.timeline import timeline_svg
        from planner.text.files import write

        write(Path(timeline), timeline_svg(found.timeline, timeline_title(found)))
    answer(output, lambda: SIMULATION.write(found), lambda style: simulation_report(found, style))
