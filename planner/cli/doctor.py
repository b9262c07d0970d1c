"""`sam2-plan doctor`: the machine as a report that can be pasted, and replayed elsewhere."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from planner.cli import options as shared
from planner.cli.output import answer
from planner.cli.settings import variables
from planner.errors import PlannerError

if TYPE_CHECKING:
    from planner.nouns.machine import Machine
    from planner.report.doctor import Knowledge

EPILOG = """\b
Examples:
  sam2-plan doctor
  sam2-plan doctor --format json > machine.json
  sam2-plan --simulate-gpu machine.json --task video       plan elsewhere as if on that machine

\b
Made to be pasted: without user names, host names or paths. GPUs are numbered instead of named by their UUIDs, and
environment variables of this program are shown without their values.

\b
Exit codes: 0 reported, whatever is missing; 1 failed; 2 usage. Writes only the file of -o. Imports neither torch nor
sam2: versions are read from the packages' metadata.
"""


@click.command("doctor", epilog=EPILOG)
@shared.simulate_gpu
@click.option("-o", "--output", "path", metavar="FILE", help="save the report too, as JSON")
@shared.output_format
def command(output: str, path: str | None, simulate_gpu: str | None) -> None:
    """Report on this machine: GPUs, versions, what predictions rest on here, and what is not known."""
    from planner.report.doctor import doctor_document, doctor_report
    from planner.wire.machine import read_machine

    machine = _this_machine() if simulate_gpu is None else read_machine(Path(simulate_gpu))
    environment = os.environ if simulate_gpu is None else {}
    known, options = _knowledge(), variables(click.get_current_context())
    answer(
        output,
        lambda: doctor_document(machine, known, environment, options),
        lambda style: doctor_report(machine, known, environment, style, options),
        path,
    )


def _this_machine() -> Machine:
    """This machine; limits of GPU memory that cannot be read are among what is not known."""
    from planner.machine.allowance import limits_memory
    from planner.machine.this_machine import this_machine

    try:
        return this_machine()
    except PlannerError:
        machine = this_machine(environment={k: v for k, v in os.environ.items() if not limits_memory(k)})
        why = "a variable that sets one holds no size; the other commands refuse it, by its name"
        return replace(machine, reasons={**machine.reasons, "limits_of_GPU_memory": why})


def _knowledge() -> Knowledge:
    from planner.memory_model.coefficients import FITTED_FILE, load_coefficients
    from planner.memory_model.current import known_model
    from planner.profiles import load_folder
    from planner.report.doctor import Knowledge
    from planner.text.locations import user_folder

    unread, rows, folder = {}, [], user_folder() / "profiles"
    try:
        coefficients = known_model().coefficients
    except PlannerError:
        coefficients = load_coefficients()
        unread["your own fit"] = "its file is broken: sam2-plan fit makes it again"
    try:
        rows = load_folder(folder) if os.path.isdir(folder) else []
    except PlannerError:
        unread["your own rows"] = "a profile is broken: sam2-plan fit says which"
    return Knowledge(
        unread=unread,
        memory_model=coefficients.memory_model,
        profiles=coefficients.profiles,
        versions=coefficients.versions,
        fitted=bool(coefficients.corrections) and os.path.isfile(user_folder() / FITTED_FILE),
        corrected_gpus=tuple(sorted({correction.gpu for correction in coefficients.corrections})),
        measured_rows=sum(row.kind == "measured" for row in rows),
    )
