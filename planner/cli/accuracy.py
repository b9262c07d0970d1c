"""`sam2-plan accuracy`: how far the memory model is off, on rows it was and was not fitted to."""

from __future__ import annotations

import click

from planner.cli import options
from planner.cli.output import answer, echo
from planner.words import Form

FORMS: tuple[Form, ...] = ("text", "json", "csv")
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
@options.form(FORMS, "what is printed")
def command(output: str) -> None:
    """Report how far predictions are off, on rows that they were not fitted to.

    What others measured, rehearsed, published and measured truth stand apart, with the coverage of the upper bound,
    and another estimator on the same rows.
    """
    from planner.locations import user_folder
    from planner.memory_model.coefficients import FITTED_FILE
    from planner.memory_model.known import assess_known
    from planner.report.accuracy import accuracy_csv, accuracy_document, accuracy_report

    own = user_folder()
    assessment = assess_known(own if (own / FITTED_FILE).is_file() else None)
    if output == "csv":
        echo(accuracy_csv(assessment))
    else:
        answer(output, lambda: accuracy_document(assessment), lambda style: accuracy_report(assessment, style))
