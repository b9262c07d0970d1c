"""`sam2-plan measure`: run configurations and keep what they took."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.cli import options
from planner.cli.output import ProgressLine, answer
from planner.errors import EnvironmentFailure, UsageError
from planner.nouns.run import SWITCHES
from planner.nouns.words import OTHER_RUNTIMES, SweepKind, package_of
from planner.text.packages import installed_version

if TYPE_CHECKING:
    from planner.measure.collected import Refused
    from planner.measure.sweep import Progress, Runner
    from planner.measure.trial import Outcome, Trial

EPILOG = f"""\b
Examples:
  sam2-plan measure                                    some ten configurations of the own runtime
  sam2-plan measure --preset standard --runtime stock
  sam2-plan measure --sweep ranges.yaml --out profiles
  sam2-plan measure --rehearse --gpu "RTX 3060"        without a GPU, on an imaginary one
  sam2-plan measure --simulate --preset quick          without a GPU, from the simulator
  sam2-plan measure --import rows.jsonl

\b
A file of ranges is a mapping, or a list of mappings, with a list of values for each of: task, variant, version,
resolution, precision, objects, frames, frame_size, object_batch, {", ".join(SWITCHES)}. All combinations run.

\b
Each configuration runs in a process of its own with random weights. Every row is on disk before the next run begins:
a sweep that was killed or interrupted is resumed by the same command. A run that runs out of memory is a row too.
Writes only below --out [default: the data folder, $SAM2_PLAN_HOME or the platform's]: a journal, a lock and one
profile for each GPU. `sam2-plan fit` fits predictions to them.

\b
Exit codes: 0 all rows are complete; 1 no GPU, interrupted, or the GPU was lost; 2 usage, or rows were refused.
Needs the extra: pip install "sam2-plan[run]".
"""


@click.command("measure", epilog=EPILOG)
@click.option("--preset", metavar="quick|standard|full", help="a set of configurations to run  [default: quick]")
@click.option("--sweep", "ranges", metavar="FILE", help="ranges of configurations to run, as YAML")
@options.runtime()
@click.option("--simulate", "simulating", is_flag=True, help="ask the simulator instead of a GPU")
@click.option("--rehearse", "rehearsing", is_flag=True, help="run on an imaginary GPU; rows are marked as rehearsed")
@click.option("--gpu", metavar="NAME", help="name of the imaginary GPU  [default: 24 GB, capability 8.6]")
@click.option("--import", "rows", metavar="FILE", help="import rows that were collected elsewhere (rows.jsonl)")
@click.option("--device", metavar="INDEX|UUID", help="GPU to run on  [default: the one with most free memory]")
@click.option("--out", metavar="DIR", help="folder for the journal and the profiles")
@options.output_format
def command(
    output: str, preset: str | None, ranges: str | None, runtime: str, simulating: bool, rehearsing: bool,
    gpu: str | None, rows: str | None, device: str | None, out: str | None,
) -> None:  # fmt: skip
    """Run a sweep of configurations on the GPU, and keep their bytes by phase, time and versions as a profile."""
    for alternatives in (
        (("--preset", preset), ("--sweep", ranges), ("--import", rows)),
        (("--simulate", simulating), ("--rehearse", rehearsing), ("--device", device)),
    ):
        given = [name for name, value in alternatives if value]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} contradict each other.", "Give one of them.")
    if gpu is not None and not rehearsing:
        raise UsageError("--gpu names a GPU to imagine.", "Add --rehearse, or choose one of this machine's: --device.")
    from planner.text.locations import user_folder

    folder = Path(out) if out else user_folder() / "profiles"
    if rows:
        _import(Path(rows), folder, output)
        return
    from planner.measure import backends
    from planner.measure.sweeps import preset as trials_of
    from planner.measure.sweeps import sweep_file
    from planner.rehearsal.stage import on_a_stage

    trials = sweep_file(Path(ranges), runtime) if ranges else trials_of(preset or "quick", runtime)
    uuid, run = backends.chosen(device, simulate=simulating, rehearse=rehearsing, gpu=gpu)
    kind: SweepKind = "simulated" if simulating else "rehearsed" if rehearsing or on_a_stage(os.environ) else "measured"
    trials = [replace(trial, device=uuid) for trial in trials]
    _sweep(trials, folder, run, kind, output)


def _sweep(trials: list[Trial], folder: Path, run: Runner, kind: SweepKind, output: str) -> None:
    from planner.measure.sweep import sweep
    from planner.report.measure import sweep_report
    from planner.runs.interruption import Interruption
    from planner.wire.sweep import SWEEP

    versions = {}
    for package in ("torch", package_of(trials[0].runtime)):
        installed = installed_version(package)
        if installed is None:
            extra = package if package in OTHER_RUNTIMES else "run"
            raise EnvironmentFailure(
                f"Measuring runs SAM 2, which needs {package}.", f'Install it with: pip install "sam2-plan[{extra}]"'
            )
        versions[package] = installed
    with ProgressLine() as line, Interruption() as interruption:

        def tell(progress: Progress) -> None:
            left = "" if progress.seconds_left is None else f", {progress.seconds_left / 60:.0f} min left"
            line.show(f"[{progress.done}/{progress.total}{left}] {progress.trial.id}: {progress.outcome.outcome}")

        swept = sweep(trials, folder, run, kind, tell, lambda: interruption.requested, versions)
    answer(output, lambda: SWEEP.write(swept), lambda style: sweep_report(swept, style))


def _import(path: Path, folder: Path, output: str) -> None:
    from planner.measure.collected import read_collected
    from planner.measure.sweep import keep
    from planner.report.measure import import_report

    found, refused = read_collected(path)
    written = keep(found, folder)
    answer(
        output,
        lambda: _imported(found, refused, written),
        lambda style: import_report(found, refused, written, style),
    )
    if refused:
        click.get_current_context().exit(2)


def _imported(
    found: Sequence[tuple[Trial, Outcome]], refused: Sequence[Refused], written: Sequence[Path]
) -> dict[str, Any]:
    from planner.wire.sweep import ROW, SWEEP

    rows = []
    for trial, outcome in found:
        phases = [{"name": name, **sizes} for name, sizes in outcome.phases.items()]
        named = {"id": trial.id, "runtime": trial.runtime, "torch": outcome.versions.get("torch")}
        rows.append(ROW.write(outcome, **named, phases=phases))
    return SWEEP.write(truth="measured", ran=0, rows=rows, refused=refused, profiles=written)
