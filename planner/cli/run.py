"""`sam2-plan run`: the masks of a clip or a picture, with the configuration of a plan."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from planner.cli import options
from planner.cli.output import ProgressLine, echo, style_of, telling
from planner.errors import DeviceWarning, Interrupted, UsageError

if TYPE_CHECKING:
    from planner.runs.nouns import Progress

EPILOG = """\b
Examples:
  sam2-plan run plan.yaml clip.mp4 --out masks --point 960,540 --checkpoint sam2.1_hiera_large.pt
  sam2-plan run plan.yaml clip.mp4 --out masks --prompts prompts.json --checkpoint facebook/sam2.1-hiera-large
  sam2-plan run plan.yaml clip.mp4 --out masks --mask 1:labels.png --mask 2:labels.png --end 2:120 --random-weights
  sam2-plan run plan.yaml truck.jpg --out masks --box 1:75,275,1725,850 --save png,npz --random-weights

\b
INPUT of a video plan is a video file, a folder of pictures, camera:0 or an address of a stream; else a picture.
Writes only below --out, whose parent must be there: run.json, png/, npz/, coco.json, overlay.mp4 (or .jpg).
The same command again goes on where it was stopped or killed, after the last part that was complete (parts end
after 5, 10, 20, 50, 100, 200, ... frames), and ends with the same files; when it is done, it does nothing. Ctrl-C
once finishes the frame, twice stops at once.

\b
Exit codes: 0 done; 1 failed or interrupted (a full disk, Ctrl-C); 2 usage; 3 the plan does not fit;
5 ran out of the GPU's memory.
Needs the extra: pip install "sam2-plan[run]".
"""


@click.command("run", epilog=EPILOG)
@click.argument("plan_path", metavar="PLAN")
@click.argument("source", metavar="INPUT")
@click.option("--out", required=True, metavar="DIR", help="folder for the files; it is made")
@click.option(
    "--point",
    "points",
    multiple=True,
    metavar="[OBJECT:]X,Y",
    help="a point on an object, in pixels of the first frame (see --start); without OBJECT: a new one (repeatable)",
)
@click.option("--box", "boxes", multiple=True, metavar="[OBJECT:]X0,Y0,X1,Y1", help="a box around one (repeatable)")
@click.option("--mask", "masks", multiple=True, metavar="[OBJECT:]FILE", help="a picture of one's mask (repeatable)")
@click.option("--end", "ends", multiple=True, metavar="OBJECT:FRAME", help="no mask of it from there on (repeatable)")
@click.option(
    "--prompts", "prompts_path", metavar="FILE", help="prompts on any frames, as JSON; - reads them from stdin"
)
@click.option(
    "--checkpoint", metavar="PATH|ID", help="weights: a file (see sam2-plan checkpoints), or an official id of the hub"
)
@click.option("--random-weights", is_flag=True, help="no checkpoint: to try memory and speed; masks mean nothing")
@click.option("--device", default="auto", show_default=True, metavar="auto|cuda[:N]|mps|cpu", help="where to run")
@click.option("--fallback", is_flag=True, help="where memory runs out, go on with the next smaller configuration")
@click.option("--save", metavar="LIST", help="of png,coco,npz,overlay  [default: png,coco,overlay; automask: no png]")
@click.option("--reverse", is_flag=True, help="track backward, from the last prompted frame; so plays the overlay")
@click.option(
    "--start", type=int, metavar="FRAME", help="begin there; --point, --box and --mask speak of it  [default: 0]"
)
@click.option("--frames", type=int, metavar="N", help="stop after so many frames")
@click.option("--multimask", is_flag=True, help="keep the best of three masks per object (pictures)")
@click.option("--points-per-side", type=int, metavar="N", help="grid of automatic masks: N by N points  [default: 32]")
@click.option("--crop-layers", type=int, metavar="N", help="automatic masks of 4, 16, ... crops too  [default: 0]")
@click.option("--overwrite", is_flag=True, help="delete the files of another run in DIR first")
@options.output_format
def command(
    output: str, plan_path: str, source: str, points: tuple[str, ...], boxes: tuple[str, ...], masks: tuple[str, ...],
    ends: tuple[str, ...], prompts_path: str | None, save: str | None, start: int | None, **asked: Any,
) -> None:  # fmt: skip
    """Segment INPUT, or track through it, with what PLAN chose; a long run can be stopped and gone on with."""
    from planner.api import Plan

    plan = Plan.load(plan_path)
    if plan.chosen is None:
        plan.require()
    from planner.runs.run import run

    line = ProgressLine() if sys.stderr.isatty() else None
    try:
        with telling(DeviceWarning):
            summary = run(
                plan,
                source,
                saves=options.words_of(save),
                prompts=_prompts(points, boxes, masks, ends, prompts_path, start),
                start=start,
                progress=_progress(line),
                **asked,
            )
    except KeyboardInterrupt:
        hint = f"What was complete is kept in {asked['out']}; the same command goes on from there."
        raise Interrupted("Stopped at once.", hint) from None
    finally:
        if line:
            line.end()
    if output == "json":
        from planner.wire.run import RUN
        from planner.wire.text import json_text

        echo(json_text(RUN.write(summary)))
    else:
        from planner.report.run import run_report

        echo(run_report(summary, style_of(sys.stdout)))


def check(given: Mapping[str, Any], task: str) -> None:
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


def _progress(line: ProgressLine | None) -> Callable[[Progress], None] | None:
    if line is None:
        return None
    from planner.report.run import progress_line

    def tell(progress: Progress) -> None:
        line.show(progress_line(progress), progress.done == progress.total)

    return tell
