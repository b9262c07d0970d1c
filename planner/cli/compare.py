"""`sam2-plan compare`: two plans side by side."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from planner.cli import options
from planner.cli.output import echo, style_of

EPILOG = """\b
Examples:
  sam2-plan --vram 2GB -o small.yaml && sam2-plan --vram 8GB -o large.yaml
  sam2-plan compare small.yaml large.yaml
  sam2-plan compare small.yaml large.yaml --format json

\b
Exit codes: 0 compared, the same or not ("equal" in the JSON says which); 1 failed; 2 usage, or a file that is no
plan. Writes nothing.
"""


@click.command("compare", epilog=EPILOG)
@click.argument("first", metavar="PLAN")
@click.argument("second", metavar="PLAN")
@options.output_format
def command(output: str, first: str, second: str) -> None:
    """Show what differs between two plans: what was asked, what was decided, and where the bytes go."""
    from planner.api import Plan
    from planner.questions import compare
    from planner.report.comparison import comparison_document, comparison_report

    found = compare(Plan.load(first), Plan.load(second))
    if output == "json":
        from planner.report.document import json_text

        echo(json_text(comparison_document(found)))
        return
    names = (Path(first).name, Path(second).name)
    echo(comparison_report(found, names if names[0] != names[1] else (first, second), style_of(sys.stdout)))
