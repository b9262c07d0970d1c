"""`sam2-plan accuracy`: how far the memory model is off, on rows it was and was not fitted to."""

from __future__ import annotations

import click

from planner.cli import options
from planner.cli.output import answer

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
@options.table_format
def command(output: str) -> None:
    """Report how far predictions are off, on rows that they were not fitted to.

    Figures that others measured, rehearsals, published rows and your own measurements stand apart, each with the
    coverage of the upper bound and another estimator on the same rows.
    """
    from planner.memory_model.coefficients import FITTED_FILE
    from planner.memory_model.known import assess_known
    from planner.report.accuracy import accuracy_document, accuracy_report
    from planner.tables.errors import accuracy_table
    from planner.text.locations import user_folder

    own = user_folder()
    assessment = assess_known(own if (own / FITTED_FILE).is_file() else None)
    answer(
        output,
        lambda: accuracy_document(assessment),
        lambda style: accuracy_report(assessment, style),
        table=lambda: accuracy_table(assessment),
    )
