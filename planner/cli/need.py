"""`sam2-plan need`: the smallest budgets for a request, and the cards that have them."""

from __future__ import annotations

import sys
from typing import Any

import click

from planner.cli import options
from planner.cli.output import echo, style_of

EPILOG = """\b
Examples:
  sam2-plan need --variant large --objects 50 --frames unlimited
  sam2-plan need --task image --variant large --resolution 2048 --precision float16 --top 10
  sam2-plan need --runtime stock --variant large --frames 240 --format json

\b
The first row is the least that the pins leave open, the others are at 1024x1024 or at the pinned resolution. Planning
with exactly that budget and those pins fits, and with one byte less it does not. Of a stock clip without end there is
no answer: it keeps every frame.

\b
Exit codes: 0 answered; 1 failed; 2 usage. Writes nothing.
"""


@click.command("need", epilog=EPILOG)
@options.workload
@options.pins
@options.headroom
@options.runtime(words="whose code would run")
@click.option(
    "--top", metavar="N", type=int, default=5, show_default=True, help="sizes of cards to list; 0 looks none up"
)
@options.output_format
def command(output: str, **asked: Any) -> None:
    """Show the smallest budgets for a request, and the cards that have them."""
    from planner.questions import need
    from planner.report.needed import needed_report

    found = need(**asked)
    if output == "json":
        from planner.wire.need import NEED
        from planner.wire.text import json_text

        echo(json_text(NEED.write(found)))
    else:
        echo(needed_report(found, style_of(sys.stdout)))
