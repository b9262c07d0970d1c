"""What a sweep left, as text and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from planner.measure.collected import Refused
from planner.measure.sweep import Swept
from planner.measure.trial import Outcome, Trial
from planner.measurement import Measurement
from planner.report.document import SCHEMA_VERSION
from planner.report.layout import Style
from planner.units import format_size
from planner.words import Metric

METRICS: tuple[Metric, ...] = ("allocated", "reserved", "context", "process")


def sweep_document(swept: Swept) -> dict[str, Any]:
    """All rows of a sweep as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "sweep",
        "truth": swept.measurements[0].kind if swept.measurements else None,
        "ran": swept.ran,
        "rows": [_row(measurement) for measurement in swept.measurements],
        "refused": [],
        "profiles": [str(path) for path in swept.profiles],
    }


def sweep_report(swept: Swept, style: Style) -> str:
    """All rows of a sweep for people."""
    rows = [["configuration", *METRICS, "s/frame", "outcome"]]
    for measurement in swept.measurements:
        sizes = _sizes(measurement)
        rows.append(
            [
                measurement.id,
                *("" if sizes[metric] is None else format_size(sizes[metric] or 0) for metric in METRICS),
                "" if measurement.seconds_per_frame is None else f"{measurement.seconds_per_frame:.3f}",
                measurement.outcome + _first_line(measurement.error),
            ]
        )
    kind = swept.measurements[0].kind if swept.measurements else "measured"
    lines = [
        f"{len(swept.measurements)} rows {kind}, {swept.ran} of them now",
        "",
        *style.table(rows, range(1, 6), indent=""),
    ]
    return style.page([*lines, "", *(f"profile  {path}" for path in swept.profiles)])


def import_document(
    found: Sequence[tuple[Trial, Outcome]], refused: Sequence[Refused], profiles: Sequence[Path]
) -> dict[str, Any]:
    """What was imported as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "sweep",
        "truth": "measured",
        "ran": 0,
        "rows": [_imported(trial, outcome) for trial, outcome in found],
        "refused": [{"line": one.line, "label": one.label, "reason": one.reason} for one in refused],
        "profiles": [str(path) for path in profiles],
    }


def import_report(
    found: Sequence[tuple[Trial, Outcome]], refused: Sequence[Refused], profiles: Sequence[Path], style: Style
) -> str:
    """What was imported for people; every row that was refused by name."""
    ran = sum(outcome.outcome == "ran" for _, outcome in found)
    lines = [f"{len(found)} rows taken, {ran} of them ran; {len(refused)} refused"]
    lines += [f"  line {one.line}, {one.label}: {one.reason}" for one in refused]
    return style.page([*lines, *(f"profile  {path}" for path in profiles)])


def _row(measurement: Measurement) -> dict[str, Any]:
    return {
        "id": measurement.id,
        "runtime": measurement.runtime,
        "outcome": measurement.outcome,
        "error": measurement.error,
        "alone": measurement.alone,
        "seconds_per_frame": measurement.seconds_per_frame,
        **{f"{metric}_bytes": size for metric, size in _sizes(measurement).items()},
        "phases": [
            {"name": figure.phase, "allocated_bytes": figure.bytes}
            for figure in measurement.figures
            if figure.phase and figure.metric == "allocated"
        ],
        "gpu": measurement.environment.gpu,
        "torch": measurement.environment.torch,
    }


def _imported(trial: Trial, outcome: Outcome) -> dict[str, Any]:
    return {
        "id": trial.id,
        "runtime": trial.runtime,
        "outcome": outcome.outcome,
        "error": outcome.error,
        "alone": outcome.alone,
        "seconds_per_frame": outcome.seconds_per_frame,
        "allocated_bytes": outcome.allocated_bytes,
        "reserved_bytes": outcome.reserved_bytes,
        "context_bytes": outcome.context_bytes,
        "process_bytes": outcome.process_bytes,
        "phases": [
            {"name": name, "allocated_bytes": sizes["allocated_bytes"]} for name, sizes in outcome.phases.items()
        ],
        "gpu": outcome.gpu,
        "torch": outcome.versions.get("torch"),
    }


def _sizes(measurement: Measurement) -> dict[str, int | None]:
    peaks = {figure.metric: figure.bytes for figure in measurement.figures if figure.phase is None}
    return {metric: peaks.get(metric) for metric in METRICS}


def _first_line(error: str | None) -> str:
    return f": {error.splitlines()[0][:80]}" if error else ""
