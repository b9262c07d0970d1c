"""`sam2-plan compare`: two plans side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from planner.cli import options
from planner.cli.output import echo, style_of

if TYPE_CHECKING:
    from planner.answers import Comparison

SAME_DECISION, OTHER_DECISION = 3, 4
"""Of --exit-code: 1 and 2 stay what they are everywhere, a failure and a mistake in the call."""
EPILOG = """\b
Examples:
  sam2-plan --vram 2GB -o small.yaml && sam2-plan --vram 8GB -o large.yaml
  sam2-plan compare small.yaml large.yaml
  sam2-plan compare small.yaml large.yaml --format json
  sam2-plan compare yesterday.yaml today.yaml --exit-code || echo "the plan changed"

\b
Exit codes: 0 compared, the same or not ("equal" in the JSON says which); 1 failed; 2 usage, or a file that is no
plan. With --exit-code 0 only where the plans are the same, 3 where their decisions are and the rest differs, 4 where
the decisions differ. Writes nothing.
"""


@click.command("compare", epilog=EPILOG)
@click.argument("first", metavar="PLAN")
@click.argument("second", metavar="PLAN")
@click.option("--exit-code", "detailed", is_flag=True, help="exit 0 only where the plans are the same; else 3 or 4")
@options.output_format
@click.pass_context
def command(context: click.Context, /, output: str, first: str, second: str, detailed: bool) -> None:
    """Show what differs between two plans: what was asked, what was decided, and where the bytes go."""
    from planner.api import Plan
    from planner.questions import compare
    from planner.report.comparison import comparison_report

    found = compare(Plan.load(first), Plan.load(second))
    if output == "json":
        from planner.wire.comparison import COMPARISON
        from planner.wire.text import json_text

        echo(json_text(COMPARISON.write(found)))
    else:
        names = (Path(first).name, Path(second).name)
        echo(comparison_report(found, names if names[0] != names[1] else (first, second), style_of(sys.stdout)))
    context.exit(_exit_code(found) if detailed else 0)


def _exit_code(found: Comparison) -> int:
    if found.equal:
        return 0
    decided = any(
        one.section == "chosen" or (one.section == "decision" and one.name != "candidates") for one in found.differences
    )
    return OTHER_DECISION if decided else SAME_DECISION
