"""`sam2-plan limits`: how far a budget carries."""

from __future__ import annotations

from typing import Any

import click

from planner.cli import options
from planner.cli.output import answer

EPILOG = """\b
Examples:
  sam2-plan limits --vram 8GB
  sam2-plan limits --gpu "RTX 3060" --task image --frame-size 2160x3840
  sam2-plan limits --vram 6GB --variant large --objects 20 --format json
  sam2-plan limits --vram 8GB --runtime transformers --runtime ultralytics

\b
Each variant has two rows: the official recipe (autocast to bfloat16, or what the GPU runs instead) and the precision
that takes least. Objects are counted at 1024x1024 or at the pinned resolution; resolutions are for the objects of the
request. Each figure fits and the next one does not; "surely" means with the upper bound.

\b
Exit codes: 0 something fits; 1 failed; 2 usage; 3 nothing fits at any resolution. Writes nothing.
"""


@click.command("limits", epilog=EPILOG)
@options.budget
@options.workload
@options.pins
@options.runtimes
@options.table_format
def command(output: str, **asked: Any) -> None:
    """Show how far a budget reaches: the most objects, frames and pixels for each variant."""
    from planner.api.questions import limits
    from planner.report.limits import carried_report
    from planner.tables.budgets import limits_table
    from planner.wire.limits import LIMITS

    found = limits(**asked)
    answer(
        output,
        lambda: LIMITS.write(found),
        lambda style: carried_report(found, style),
        table=lambda: limits_table(found),
    )
    click.get_current_context().exit(found.exit_code)
