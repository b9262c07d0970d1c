"""What a sweep left, for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from planner.measure.collected import Refused
from planner.measure.sweep import Swept
from planner.measure.trial import Outcome, Trial
from planner.nouns.measurement import Measurement
from planner.nouns.words import Metric
from planner.report.layout import Style
from planner.text.units import format_size

METRICS: tuple[Metric, ...] = ("allocated", "reserved", "context", "process")


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


def import_report(
    found: Sequence[tuple[Trial, Outcome]], refused: Sequence[Refused], profiles: Sequence[Path], style: Style
) -> str:
    """What was imported for people; every row that was refused by name."""
    ran = sum(outcome.outcome == "ran" for _, outcome in found)
    lines = [f"{len(found)} rows taken, {ran} of them ran; {len(refused)} refused"]
    lines += [f"  line {one.line}, {one.label}: {one.reason}" for one in refused]
    return style.page([*lines, *(f"profile  {path}" for path in profiles)])


def _sizes(measurement: Measurement) -> dict[str, int | None]:
    peaks = {figure.metric: figure.bytes for figure in measurement.figures if figure.phase is None}
    return {metric: peaks.get(metric) for metric in METRICS}


def _first_line(error: str | None) -> str:
    return f": {error.splitlines()[0][:80]}" if error else ""
