"""`sam2-plan need`: the smallest budgets for a request, and the cards that have them."""

from __future__ import annotations

from typing import Any

import click

from planner.cli import options
from planner.cli.output import answer

EPILOG = """\b
Examples:
  sam2-plan need --variant large --objects 50 --frames unlimited
  sam2-plan need --task image --variant large --resolution 2048 --precision float16 --top 10
  sam2-plan need --runtime stock --variant large --frames 240 --format json

\b
The first row is the smallest need that the pins allow; the others are at 1024x1024 or at the pinned resolution. A plan
with exactly this budget and these pins fits; with one byte less nothing does. A stock clip without end has no answer,
because stock keeps every frame.

\b
Exit codes: 0 answered; 1 failed; 2 usage. Writes nothing.
"""


@click.command("need", epilog=EPILOG)
@options.workload
@options.pins
@options.headroom
@options.runtime(words="whose code would run")
@options.given
@click.option(
    "--top",
    metavar="N",
    type=int,
    default=5,
    show_default=True,
    help="how many sizes of cards to list; 0 looks none up",
)
@options.table_format
def command(output: str, **asked: Any) -> None:
    """Show the smallest budgets for a request, and the cards that have them."""
    from planner.api.questions import need
    from planner.report.need import needed_report
    from planner.tables.budgets import need_table
    from planner.wire.need import NEED

    found = need(**asked)
    answer(
        output,
        lambda: NEED.write(found),
        lambda style: needed_report(found, style),
        table=lambda: need_table(found),
    )
