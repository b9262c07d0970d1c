"""`sam2-plan run`: the masks of a clip or a picture, with the configuration of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from planner.cli import options
from planner.cli.fleet import fleet_options, run_fleet, taken
from planner.cli.output import answer, say, telling
from planner.cli.running import show, working
from planner.errors import DeviceWarning, UsageError
from planner.nouns.words import Task

if TYPE_CHECKING:
    from planner.runs.job import Progress

EPILOG = """\b
Examples:
  sam2-plan run plan.yaml clip.mp4 --out masks --point 960,540 --checkpoint sam2.1_hiera_large.pt
  sam2-plan run plan.yaml clip.mp4 --out masks --prompts prompts.json --checkpoint facebook/sam2.1-hiera-large
  sam2-plan run plan.yaml clip.mp4 --out masks --mask 1:labels.png --mask 2:labels.png --end 2:120 --random-weights
  sam2-plan run plan.yaml truck.jpg --out masks --box 1:75,275,1725,850 --save png,npz --random-weights
  sam2-plan run plan.yaml clips/*.mp4 --out masks --streams 4 --prompts "prompts/{name}.json" --random-weights
  sam2-plan run plan.yaml s3://bucket/clips --out s3://bucket/masks --on ray --gpu 24GB --point 960,540 --random-weights

\b
For a video plan INPUT is a video file, a folder of pictures, camera:0 or the address of a stream; else a picture.
Several inputs, or a folder of clips (or of pictures), share one process and one load of weights; each has a folder
DIR/NAME of its own, named by its file, and DIR/runs.json says what became of each. One that fails stops no other.
All options count for each; --prompts may be a folder that holds NAME.json for each, or a path with {name} in it.
With --on ray the machines of a cluster share the inputs; inputs and DIR may be addresses, such as s3://bucket/clips.
Writes only below --out, whose parent must exist: run.json, png/, npz/, coco.json, overlay.mp4 (or .jpg).
A run that was stopped or killed is resumed by the same command, after its last complete part (parts end after 5, 10,
20, 50, 100, 200, ... frames), and ends with the same files; a finished run is left alone. The first Ctrl-C finishes
the frame, the second stops at once.

\b
Exit codes: 0 done; 1 failed or interrupted (a full disk, Ctrl-C), or one of several inputs was; 2 usage;
3 the plan does not fit; 5 the GPU ran out of memory.
Needs the extra: pip install "sam2-plan[run]"; with --on ray "sam2-plan[run,ray]".
"""


@click.command("run", epilog=EPILOG)
@click.argument("plan_path", metavar="PLAN")
@click.argument("sources", metavar="INPUT...", nargs=-1, required=True)
@click.option("--out", required=True, metavar="DIR", help="folder for the files; it is created")
@click.option(
    "--point",
    "points",
    multiple=True,
    metavar="[OBJECT:]X,Y",
    help="a point on an object, in pixels of the first frame (see --start); a new object without OBJECT (repeatable)",
)
@click.option(
    "--box", "boxes", multiple=True, metavar="[OBJECT:]X0,Y0,X1,Y1", help="a box around an object (repeatable)"
)
@click.option(
    "--mask", "masks", multiple=True, metavar="[OBJECT:]FILE", help="a picture with the mask of an object (repeatable)"
)
@click.option(
    "--end", "ends", multiple=True, metavar="OBJECT:FRAME", help="no mask of the object from this frame on (repeatable)"
)
@click.option("--prompts", "prompts_path", metavar="FILE", help="prompts for any frames, as JSON; - reads stdin")
@click.option(
    "--checkpoint",
    metavar="PATH|ID",
    help="weights: a file or folder (see sam2-plan checkpoints), or an official hub id",
)
@click.option("--random-weights", is_flag=True, help="use no checkpoint, to try memory and speed; masks mean nothing")
@click.option("--device", default="auto", show_default=True, metavar="auto|cuda[:N]|mps|cpu", help="device to run on")
@click.option("--fallback", is_flag=True, help="if memory runs out, continue with the next smaller configuration")
@click.option(
    "--save",
    metavar="LIST",
    help="which of png,coco,npz,overlay to save  [default: png,coco,overlay; automask: no png]",
)
@click.option(
    "--reverse", is_flag=True, help="track backward from the last prompted frame; the overlay plays backward too"
)
@click.option(
    "--start", type=int, metavar="FRAME", help="first frame, which --point, --box and --mask are for  [default: 0]"
)
@click.option("--frames", type=int, metavar="N", help="stop after N frames")
@click.option("--multimask", is_flag=True, help="keep the best of three masks per object (pictures)")
@click.option("--points-per-side", type=int, metavar="N", help="grid of automatic masks: N by N points  [default: 32]")
@click.option(
    "--crop-layers", type=int, metavar="N", help="search 4, 16, ... crops for automatic masks too  [default: 0]"
)
@click.option("--overwrite", is_flag=True, help="delete the files of another run in DIR first")
@click.option("--streams", type=int, metavar="N", help="of several inputs track N at once  [default: as planned]")
@click.option("--watch", is_flag=True, help="a table of all that is at work, and of memory, in place of a line")
@fleet_options
@options.output_format
def command(
    output: str, plan_path: str, sources: tuple[str, ...], points: tuple[str, ...], boxes: tuple[str, ...],
    masks: tuple[str, ...], ends: tuple[str, ...], prompts_path: str | None, save: str | None, start: int | None,
    streams: int | None, watch: bool, **asked: Any,
) -> int | None:  # fmt: skip
    """Segment INPUT, or track through it, as PLAN chose; a long run can be stopped and resumed."""
    from planner.api.plans import Plan

    plan = Plan.load(plan_path)
    if plan.chosen is None:
        plan.require()
    prompts = _prompts(points, boxes, masks, ends, prompts_path, start)
    asked |= {"saves": options.words_of(save), "prompts": prompts, "start": start}
    if fleet := taken(asked):
        return run_fleet(output, plan, sources, fleet, streams=streams, watch=watch, **asked)
    from planner.runs.inputs import are_several

    if streams is not None or are_several(sources, plan.request.workload.task):
        from planner.cli.several import run_inputs

        streams = plan.request.workload.streams if streams is None else streams
        return run_inputs(output, plan, sources, streams=streams, watch=watch, **asked)
    from planner.report.run import progress_line, run_report
    from planner.runs.run import run
    from planner.wire.run import RUN

    def tell(progress: Progress) -> None:
        if progress.warning is not None:
            say(f"warning: {progress.warning}")
        words = progress_line(progress)
        show(line, lambda: words, lambda: [words], progress.done == progress.total)

    with working(asked["out"], watch) as line, telling(DeviceWarning):
        summary = run(plan, sources[0], progress=tell, **asked)
    answer(output, lambda: RUN.write(summary), lambda style: run_report(summary, style))
    return None


def check(given: Mapping[str, Any], task: Task) -> None:
    """Raise UsageError for options that a run of that task would refuse, as far as no file and no GPU is needed."""
    from planner.outputs.layout import check_saves
    from planner.runs.arguments import check_options

    prompts = given["points"], given["boxes"], given["masks"], given["ends"], given["prompts_path"]
    if given["prompts_path"] == "-":
        raise UsageError("--prompts - reads standard input, which is not there when this runs.", "Give a file.")
    _prompts(*prompts, given["start"])
    check_saves(options.words_of(given["save"]), task)
    names = ("reverse", "frames", "multimask", "start", "points_per_side", "crop_layers")
    check_options(task, *(given[name] for name in names))


def _prompts(
    points: tuple[str, ...],
    boxes: tuple[str, ...],
    masks: tuple[str, ...],
    ends: tuple[str, ...],
    path: str | None,
    start: int | None,
) -> Any:
    """What to hand on: the path of a JSON file, or the prompts of the options."""
    if path is None:
        if not (points or boxes or masks or ends):
            return ()
        from planner.prompts.options import prompts_from_options

        return prompts_from_options(points, boxes, masks, ends, max(0, start or 0))
    if points or boxes or masks or ends:
        raise UsageError("--prompts excludes --point, --box, --mask and --end.", f"Put all prompts into {path}.")
    from pathlib import Path

    return Path(path)
