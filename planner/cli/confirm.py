"""`sam2-plan confirm`: run a plan under its budget and compare."""

from __future__ import annotations

import click

from planner.cli import options
from planner.cli.output import answer

EPILOG = """\b
Examples:
  sam2-plan --vram 2GB --objects 10 -o plan.yaml && sam2-plan confirm plan.yaml
  sam2-plan confirm plan.yaml --frames 300 --format json
  sam2-plan confirm plan.yaml --simulate       without a GPU: against the simulator, which proves less

\b
The plan runs in a process of its own on generated frames. Its allocator is limited to the cap less the CUDA context.
The cap is the plan's budget, headroom included, because that is what the card has; or what is free, if that is less
and still as much as the plan may use.
The result is added as a row to the GPU's profile in the data folder ($SAM2_PLAN_HOME or the platform's), unless
--no-record is given. Writes nothing else but the file of -o.

\b
Exit codes: 0 confirmed; 1 no GPU, too little free memory, or the run failed for another reason; 2 usage or a bad
file; 3 the plan does not fit; 5 it ran out of memory, or took more than the cap.
Needs the extra: pip install "sam2-plan[run]".
"""


@click.command("confirm", epilog=EPILOG)
@click.argument("plan_path", metavar="PLAN")
@click.option("--simulate", is_flag=True, help="compare with the simulator instead of a run on a GPU")
@click.option("--device", metavar="INDEX|UUID", help="GPU to run on  [default: the one with most free memory]")
@click.option("--frames", metavar="N", help="frames to run of a clip without end  [default: 60]")
@click.option("--cap", metavar="SIZE", help="what the process may take  [default: the plan's budget]")
@click.option("--checkpoint", metavar="PATH", help="weights to load  [default: random ones; they take the same memory]")
@click.option("--no-record", is_flag=True, help="add no row to the profile")
@click.option("-o", "--output", "path", metavar="FILE", help="save the report too, as JSON")
@options.output_format
def command(
    output: str, plan_path: str, simulate: bool, device: str | None, frames: str | None, cap: str | None,
    checkpoint: str | None, no_record: bool, path: str | None,
) -> None:  # fmt: skip
    """Run PLAN with its budget enforced, and compare measured with predicted bytes."""
    from planner.api.confirm import confirm
    from planner.api.plans import Plan
    from planner.report.confirmation import confirmation_report
    from planner.wire.confirmation import CONFIRMATION

    found = confirm(
        Plan.load(plan_path),
        simulate=simulate,
        device=device,
        frames=frames,
        cap=cap,
        checkpoint=checkpoint,
        record=not no_record,
    )
    answer(output, lambda: CONFIRMATION.write(found), lambda style: confirmation_report(found, style), path)
    click.get_current_context().exit(found.exit_code)
