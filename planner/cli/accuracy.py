"""`sam2-plan accuracy`: how far the memory model is off, on rows it was and was not fitted to."""

from __future__ import annotations

import sys

import click

from planner.cli.output import echo, style_of

FORMS = ("text", "json", "csv")
EPILOG = """\b
Examples:
  sam2-plan accuracy
  sam2-plan accuracy --format json
  sam2-plan accuracy --format csv > accuracy.csv

\b
After sam2-plan fit it judges what that made, with your own measured rows; before, what ships.

\b
Exit codes: 0 reported; 1 failed; 2 usage. Writes nothing. Refits the model some fifteen times: half a minute.
"""


@click.command("accuracy", epilog=EPILOG)
@click.option("--format", "output", type=click.Choice(FORMS), default="text", show_default=True, help="what is printed")
def command(output: str) -> None:
    """Report how far predictions are off, on rows that they were not fitted to.

    What others measured, rehearsed, published and measured truth stand apart, with the coverage of the upper bound,
    and another estimator on the same rows.
    """
    from planner.locations import user_folder
    from planner.memory_model.coefficients import FITTED_FILE
    from planner.memory_model.known import assess_known
    from planner.report.accuracy import accuracy_csv, accuracy_document, accuracy_report
    from planner.wire.text import json_text

    own = user_folder()
    assessment = assess_known(own if (own / FITTED_FILE).is_file() else None)
    if output == "csv":
        echo(accuracy_csv(assessment))
    elif output == "json":
        echo(json_text(accuracy_document(assessment)))
    else:
        echo(accuracy_report(assessment, style_of(sys.stdout)))
