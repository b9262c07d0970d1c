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
Judges the coefficients in use: those of sam2-plan fit, with your own measured rows, or the shipped ones.

\b
Exit codes: 0 reported; 1 failed; 2 usage. Writes nothing. Refits the model some fifteen times: half a minute.
"""


@click.command("accuracy", epilog=EPILOG)
@click.option(
    "--format", "output", type=click.Choice(FORMS), default="text", show_default=True, help="what stdout holds"
)
def command(output: str) -> None:
    """Report how far predictions are off, on rows that they were not fitted to.

    Figures that others measured, rehearsals, published rows and your own measurements stand apart, each with the
    coverage of the upper bound and another estimator on the same rows.
    """
    from planner.locations import user_folder
    from planner.memory_model.coefficients import FITTED_FILE
    from planner.memory_model.known import assess_known
    from planner.report.accuracy import accuracy_csv, accuracy_document, accuracy_report
    from planner.report.document import json_text

    own = user_folder()
    assessment = assess_known(own if (own / FITTED_FILE).is_file() else None)
    if output == "csv":
        echo(accuracy_csv(assessment))
    elif output == "json":
        echo(json_text(accuracy_document(assessment)))
    else:
        echo(accuracy_report(assessment, style_of(sys.stdout)))
