"""`sam2-plan confirm`: run a plan under its budget and compare."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from planner.cli import options
from planner.cli.output import echo, style_of

EPILOG = """\b
Examples:
  sam2-plan --vram 2GB --objects 10 -o plan.yaml && sam2-plan confirm plan.yaml
  sam2-plan confirm plan.yaml --frames 300 --format json
  sam2-plan confirm plan.yaml --simulate       without a GPU: against the simulator, which proves less

\b
The plan runs in a process of its own on generated frames, with the allocator held to what the cap leaves beside the
CUDA context. The cap is the plan's budget, headroom included: that is what the card has; or what is free, where that
is less but no less than the plan may use. A clip without end runs over 60 frames unless --frames says otherwise.
What it took becomes a row of the GPU's profile in the data folder ($SAM2_PLAN_HOME or the platform's), unless
--no-record; writes nothing else but -o FILE.

\b
Exit codes: 0 confirmed; 1 no GPU, too little free memory, or it failed for another reason; 2 usage or a bad file;
3 the plan does not fit; 5 it ran out of memory, or took more than the cap.
Needs the extra: pip install "sam2-plan[run]".
"""


@click.command("confirm", epilog=EPILOG)
@click.argument("plan_path", metavar="PLAN")
@click.option("--simulate", is_flag=True, help="hold it against the simulator instead of a GPU")
@click.option("--device", metavar="INDEX|UUID", help="which GPU  [default: the one with most free memory]")
@click.option("--frames", metavar="N", help="of a clip without end  [default: 60]")
@click.option("--cap", metavar="SIZE", help="what the process may take  [default: the plan's budget]")
@click.option("--checkpoint", metavar="PATH", help="weights  [default: random ones, memory is the same]")
@click.option("--no-record", is_flag=True, help="leave the profile as it is")
@click.option("-o", "--output", "path", metavar="FILE", help="save the report too, as JSON")
@options.output_format
def command(
    output: str, plan_path: str, simulate: bool, device: str | None, frames: str | None, cap: str | None,
    checkpoint: str | None, no_record: bool, path: str | None,
) -> None:  # fmt: skip
    """Run PLAN with its budget enforced, and report predicted against measured bytes."""
    from planner.api import Plan
    from planner.confirmation import confirm
    from planner.documents import write
    from planner.report.confirmation import confirmation_report
    from planner.wire.confirmation import CONFIRMATION
    from planner.wire.text import json_text

    found = confirm(
        Plan.load(plan_path),
        simulate=simulate,
        device=device,
        frames=frames,
        cap=cap,
        checkpoint=checkpoint,
        record=not no_record,
    )
    document = json_text(CONFIRMATION.write(found))
    if path:
        write(Path(path), document)
    echo(document if output == "json" else confirmation_report(found, style_of(sys.stdout)))
    click.get_current_context().exit(found.exit_code)
