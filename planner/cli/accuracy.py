"""`sam2-plan accuracy`: how far the memory model is off, on rows it was and was not fitted to."""

from __future__ import annotations

import sys

import click

from planner.cli import options
from planner.cli.output import echo, style_of

EPILOG = """\b
Examples:
  sam2-plan accuracy
  sam2-plan accuracy --format json

\b
After sam2-plan fit it judges what that made, with your own measured rows; before, what ships.

\b
Exit codes: 0 reported; 1 failed; 2 usage. Writes nothing. Refits the model some fifty times: takes some ten seconds.
"""


@click.command("accuracy", epilog=EPILOG)
@options.output_format
def command(output: str) -> None:
    """Report how far predictions are off, on rows that they were not fitted to.

    Simulated, published and measured truth stand apart, with the coverage of the upper bound, and other estimators
    on the same rows.
    """
    from planner.locations import user_folder
    from planner.memory_model.coefficients import FITTED_FILE
    from planner.memory_model.known import assess_known
    from planner.report.accuracy import accuracy_document, accuracy_report
    from planner.report.document import json_text

    own = user_folder()
    assessment = assess_known(own if (own / FITTED_FILE).is_file() else None)
    echo(
        json_text(accuracy_document(assessment))
        if output == "json"
        else accuracy_report(assessment, style_of(sys.stdout))
    )
