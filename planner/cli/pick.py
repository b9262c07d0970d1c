"""`sam2-plan pick`: a CUDA_VISIBLE_DEVICES value."""

from __future__ import annotations

from typing import Any

import click

from planner.cli import options
from planner.cli.output import answer

EPILOG = """\b
Examples:
  gpu=$(sam2-plan pick plan.yaml) && CUDA_VISIBLE_DEVICES=$gpu sam2-plan run plan.yaml clip.mp4 --out masks
  sam2-plan pick plan.yaml --gpus 2 --wait 5m

\b
Prints UUIDs, on MIG those of slices: a UUID always means the same card, while an index depends on CUDA_DEVICE_ORDER.
--index prints indexes, for use with CUDA_DEVICE_ORDER=PCI_BUS_ID. Nothing is reserved: another process may be
quicker. GPUs that CUDA_VISIBLE_DEVICES hides are not offered.

\b
Exit codes: 0 picked; 1 no GPU; 2 usage, or more GPUs than there are; 3 none has room. Writes nothing.
"""


@click.command("pick", epilog=EPILOG)
@click.argument("plan_path", metavar="PLAN")
@click.option(
    "--gpus", metavar="N", default="1", show_default=True, help="how many GPUs to pick, for a process on each"
)
@click.option("--wait", metavar="DURATION", help="how long to wait for memory to be freed: 60s, 5m")
@click.option("--index", "by_index", is_flag=True, help="print indexes in bus order instead of UUIDs")
@options.simulate_gpu
@options.output_format
def command(output: str, plan_path: str, by_index: bool, **asked: Any) -> None:
    """Print which GPU has room for PLAN now, as CUDA_VISIBLE_DEVICES takes it."""
    from planner.api.pick import pick
    from planner.api.plans import Plan
    from planner.wire.pick import PICK

    found = pick(Plan.load(plan_path), **asked)
    value = found.indexes if by_index else found.value
    answer(output, lambda: PICK.write(found, value=value), lambda style: f"{value}\n")
