"""`sam2-plan compare`: two plans side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from planner.cli import options
from planner.cli.output import answer

if TYPE_CHECKING:
    from planner.nouns.answers import Comparison

SAME_DECISION, OTHER_DECISION = 3, 4
"""Exit codes of --exit-code: 1 and 2 stay what they are everywhere, a failure and a mistake in the call."""
EPILOG = """\b
Examples:
  sam2-plan --vram 2GB -o small.yaml && sam2-plan --vram 8GB -o large.yaml
  sam2-plan compare small.yaml large.yaml
  sam2-plan compare small.yaml large.yaml --format json
  sam2-plan compare yesterday.yaml today.yaml --exit-code || echo "the plan changed"

\b
Exit codes: 0 compared, equal or not ("equal" in the JSON says which); 1 failed; 2 usage, or a file that is no plan.
With --exit-code: 0 equal; 3 only the decisions are equal; 4 the decisions differ. Writes nothing.
"""


@click.command("compare", epilog=EPILOG)
@click.argument("first", metavar="PLAN")
@click.argument("second", metavar="PLAN")
@click.option("--exit-code", "detailed", is_flag=True, help="exit 0 only if the plans are equal, else 3 or 4")
@options.table_format
@click.pass_context
def command(context: click.Context, /, output: str, first: str, second: str, detailed: bool) -> None:
    """Show what differs between two plans: request, decision, and where the bytes go."""
    from planner.api.plans import Plan
    from planner.api.questions import compare
    from planner.report.comparison import comparison_report
    from planner.tables.plans import comparison_table
    from planner.wire.comparison import COMPARISON

    found = compare(Plan.load(first), Plan.load(second))
    names = (Path(first).name, Path(second).name)
    names = names if names[0] != names[1] else (first, second)
    answer(
        output,
        lambda: COMPARISON.write(found),
        lambda style: comparison_report(found, names, style),
        table=lambda: comparison_table(found),
    )
    context.exit(_exit_code(found) if detailed else 0)


def _exit_code(found: Comparison) -> int:
    if found.equal:
        return 0
    decided = any(
        one.section == "chosen" or (one.section == "decision" and one.name != "candidates") for one in found.differences
    )
    return OTHER_DECISION if decided else SAME_DECISION
