"""`sam2-plan measure`: run configurations and keep what they took."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.cli import options
from planner.cli.output import ProgressLine, echo, style_of
from planner.errors import EnvironmentFailure, UsageError

if TYPE_CHECKING:
    from planner.measure.sweep import Progress, Runner
    from planner.measure.trial import Outcome, Trial

EPILOG = """\b
Examples:
  sam2-plan measure                                    some ten configurations of the own runtime
  sam2-plan measure --preset standard --runtime stock
  sam2-plan measure --sweep ranges.yaml --out profiles
  sam2-plan measure --rehearse --gpu "RTX 3060"        without a GPU, on an imaginary one
  sam2-plan measure --simulate --preset quick          without a GPU, from the simulator
  sam2-plan measure --import rows.jsonl

\b
A file of ranges is a mapping, or a list of such, of: task, variant, version, resolution, precision, objects,
frames, frame_size, object_batch, offload_video, offload_state, each with a list of values; all combinations run.

\b
Each configuration runs in a process of its own with random weights. Every row is on disk before the next begins:
killed or interrupted at any moment, the same command goes on where it was. Out of memory is a row too.
Writes only below --out [default: the data folder, $SAM2_PLAN_HOME or the platform's]: a journal, a lock and one
profile for each GPU. `sam2-plan fit` makes predictions of them.

\b
Exit codes: 0 all rows are there; 1 no GPU, interrupted, the GPU was lost; 2 usage, or rows that were refused.
Needs the extra: pip install "sam2-plan[run]".
"""


@click.command("measure", epilog=EPILOG)
@click.option("--preset", metavar="quick|standard|full", help="which configurations  [default: quick]")
@click.option("--sweep", "ranges", metavar="FILE", help="ranges of configurations, as YAML")
@options.runtime()
@click.option("--simulate", "simulating", is_flag=True, help="ask the simulator instead of a GPU")
@click.option(
    "--rehearse", "rehearsing", is_flag=True, help="run on an imaginary GPU; rows say that they are rehearsed"
)
@click.option("--gpu", metavar="NAME", help="which one to imagine, by name  [default: 24 GB, capability 8.6]")
@click.option("--import", "rows", metavar="FILE", help="take rows that were collected elsewhere (rows.jsonl)")
@click.option("--device", metavar="INDEX|UUID", help="which GPU  [default: the one with most free memory]")
@click.option("--out", metavar="DIR", help="folder of the journal and the profiles")
@options.output_format
def command(
    output: str, preset: str | None, ranges: str | None, runtime: str, simulating: bool, rehearsing: bool,
    gpu: str | None, rows: str | None, device: str | None, out: str | None,
) -> None:  # fmt: skip
    """Run a sweep of configurations on the GPU, and keep bytes by phase, time and versions as a profile."""
    for alternatives in (
        (("--preset", preset), ("--sweep", ranges), ("--import", rows)),
        (("--simulate", simulating), ("--rehearse", rehearsing), ("--device", device)),
    ):
        given = [name for name, value in alternatives if value]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} contradict each other.", "Give one of them.")
    if gpu is not None and not rehearsing:
        raise UsageError("--gpu names a GPU to imagine.", "Add --rehearse, or choose one of this machine's: --device.")
    from planner.locations import user_folder

    folder = Path(out) if out else user_folder() / "profiles"
    if rows:
        _import(Path(rows), folder, output)
        return
    from planner.measure.sweeps import preset as trials_of
    from planner.measure.sweeps import sweep_file
    from planner.rehearsal.stage import on_a_stage

    trials = sweep_file(Path(ranges), runtime) if ranges else trials_of(preset or "quick", runtime)
    uuid, run = ("cuda", _simulator() if simulating else _rehearser(gpu)) if simulating or rehearsing else _gpu(device)
    kind = "simulated" if simulating else "rehearsed" if rehearsing or on_a_stage(os.environ) else "measured"
    trials = [replace(trial, device=uuid) for trial in trials]
    _sweep(trials, folder, run, kind, output)


def _sweep(trials: list[Trial], folder: Path, run: Runner, kind: str, output: str) -> None:
    from importlib.metadata import PackageNotFoundError, version

    from planner.measure.sweep import sweep
    from planner.report.measure import sweep_report
    from planner.runs.interruption import Interruption
    from planner.wire.sweep import SWEEP
    from planner.wire.text import json_text

    try:
        versions = {name: version(name) for name in ("torch", "sam2")}
    except PackageNotFoundError as error:
        raise EnvironmentFailure(
            f"Measuring runs SAM 2, which needs {error.name}.", 'Install it with: pip install "sam2-plan[run]"'
        ) from None
    line = _SweepLine() if sys.stderr.isatty() else None
    with Interruption() as interruption:
        swept = sweep(trials, folder, run, kind, line, lambda: interruption.requested, versions)
    if line:
        line.end()
    echo(json_text(SWEEP.write(swept)) if output == "json" else sweep_report(swept, style_of(sys.stdout)))


def _gpu(device: str | None) -> tuple[str, Runner]:
    """The GPU that is asked for, and what runs trials on it. Raises EnvironmentFailure where there is none."""
    from planner.measure.present import find_present, inspect, present_gpus
    from planner.measure.trial import run_trial
    from planner.measure.watch import watched

    gpus = present_gpus()
    if not gpus:
        raise EnvironmentFailure(
            "No GPU was found on this machine, so there is nothing to measure.",
            "With --rehearse they run on an imaginary GPU, with --simulate the simulator answers; the rows say so.",
        )
    uuid = find_present(device, gpus).uuid
    if uuid is None:
        raise EnvironmentFailure("The driver does not say which GPU it is.", "Update the driver.")
    return uuid, watched(uuid, run_trial, inspect)


def _simulator() -> Runner:
    from planner.truth import simulated

    return simulated


def _rehearser(gpu: str | None) -> Runner:
    from planner.rehearsing import rehearser

    return rehearser(gpu)


def _import(path: Path, folder: Path, output: str) -> None:
    from planner.measure.collected import read_collected
    from planner.measure.sweep import keep
    from planner.report.measure import import_report

    found, refused = read_collected(path)
    written = keep(found, folder)
    if output == "json":
        from planner.wire.sweep import ROW, SWEEP
        from planner.wire.text import json_text

        rows = [ROW.write(outcome, **_named(trial, outcome)) for trial, outcome in found]
        echo(json_text(SWEEP.write(truth="measured", ran=0, rows=rows, refused=refused, profiles=written)))
    else:
        echo(import_report(found, refused, written, style_of(sys.stdout)))
    if refused:
        click.get_current_context().exit(2)


def _named(trial: Trial, outcome: Outcome) -> dict[str, Any]:
    """What a row has that its outcome does not."""
    phases = [{"name": name, **sizes} for name, sizes in outcome.phases.items()]
    return {"id": trial.id, "runtime": trial.runtime, "phases": phases, "torch": outcome.versions.get("torch")}


class _SweepLine:
    """One line on a terminal's stderr, written over."""

    def __init__(self) -> None:
        self._line = ProgressLine()

    def __call__(self, progress: Progress) -> None:
        left = "" if progress.seconds_left is None else f", {progress.seconds_left / 60:.0f} min left"
        line = f"[{progress.done}/{progress.total}{left}] {progress.trial.id}: {progress.outcome.outcome}"
        self._line.show(line, always=True)

    def end(self) -> None:
        """Leave the line."""
        self._line.end()
