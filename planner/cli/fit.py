"""`sam2-plan fit`: make predictions of what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from planner.cli import options
from planner.cli.output import answer

EPILOG = """\b
Examples:
  sam2-plan measure && sam2-plan fit
  sam2-plan fit --profiles profiles --out memory_model.jsonl
  sam2-plan fit --check                        the shipped coefficients, remade from the shipped profiles

\b
The laws are fitted to rehearsed runs, those of the published re-implementation to published rows. At least three rows
of one runtime that were measured on a GPU correct the predictions for this GPU. Trust goes in this order: measured
here, measured elsewhere, rehearsed, published. Writes one file [default: memory_model.jsonl in the data folder,
$SAM2_PLAN_HOME or the platform's], which planning reads from then on; delete it to undo the fit. Takes some seconds.
If nothing differs from the shipped coefficients, nothing is written unless --out is given.

\b
Exit codes: 0 fitted (--check: the same); 1 failed (--check: they differ); 2 usage, or a profile that is broken.
"""


@click.command("fit", epilog=EPILOG)
@click.option("--profiles", metavar="DIR", help="folder of your profiles  [default: those of sam2-plan measure]")
@click.option("--out", metavar="FILE", help="where to write the coefficients")
@click.option("--check", is_flag=True, help="refit the shipped coefficients and compare; write nothing")
@options.output_format
def command(output: str, profiles: str | None, out: str | None, check: bool) -> None:
    """Refit the memory model to the shipped profiles and your own; measurements of your GPU come first."""
    from planner.errors import FileError, UsageError
    from planner.memory_model.coefficients import FITTED_FILE, load_coefficients, shipped_file
    from planner.memory_model.coefficients_text import coefficients_text
    from planner.memory_model.known import fit_known, shipped_measurements
    from planner.profiles import load_folder
    from planner.report.fit import fit_document, fit_report
    from planner.text.files import write
    from planner.text.locations import user_folder
    from planner.wire.fit import CHECKED

    if check and (profiles or out):
        raise UsageError("--check compares what ships: it takes neither profiles nor a file.", "Leave them out.")
    measurements = shipped_measurements()
    folder = Path(profiles) if profiles else user_folder() / "profiles"
    if profiles and not folder.is_dir():
        raise FileError(f"{folder} is not a folder.", "Give the folder that sam2-plan measure wrote to.")
    own = load_folder(folder) if folder.is_dir() and not check else []
    fitted = fit_known([*measurements, *own])
    text = coefficients_text(fitted)
    if check:
        same = shipped_file().read_text(encoding="utf-8") == text
        answer(output, lambda: CHECKED.write(same=same), lambda style: _same(same))
        click.get_current_context().exit(0 if same else 1)
    path = Path(out) if out else user_folder() / FITTED_FILE
    # Rows that change no figure must not pin this release's coefficients for the next one.
    shipped = load_coefficients(shipped_file())
    written = bool(out) or replace(fitted, profiles=shipped.profiles) != shipped
    if written:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, text)
    kept = None if written else path if path.is_file() else None
    made = fitted, own, path if written else None, kept
    answer(output, lambda: fit_document(*made), lambda style: fit_report(*made, style))


def _same(same: bool) -> str:
    words = "are what the profiles give" if same else "are not what the profiles give: run scripts/fit_memory_model.py"
    return f"the shipped coefficients {words}\n"
