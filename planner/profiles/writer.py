"""Measurements to YAML text, in the form that the reader takes."""

from __future__ import annotations

from collections.abc import Sequence

from planner.nouns.measurement import Environment, Figure, Measurement
from planner.nouns.run import unusual
from planner.profiles.conversion import CONFIGURATION, WORKLOAD
from planner.profiles.reader import SCHEMA_VERSION
from planner.text.strict_yaml import dump

_RARE = {"outcome": "ran", "error": None, "alone": None, "seconds_per_frame": None}
"""Written only where they say something else."""
_FIGURE = ("metric", "read_as", "of", "relation", "value", "unit", "bytes", "rounding_bytes", "phase")


def profile_text(measurements: Sequence[Measurement], title: str) -> str:
    """The YAML text of measurements that share a profile name, kind and source."""
    first = measurements[0]
    document = {
        "schema_version": SCHEMA_VERSION,
        "name": first.profile,
        "kind": first.kind,
        "source": {"title": title, "url": first.url, "date": first.date},
        "environment": _plain(first.environment, tuple(Environment.__slots__)),
        "measurements": [_entry(measurement, first) for measurement in measurements],
    }
    return dump(document)


def _entry(measurement: Measurement, first: Measurement) -> dict[str, object]:
    entry: dict[str, object] = {
        "id": measurement.id,
        "use": measurement.use,
        "workload": _plain(measurement, WORKLOAD),
        "configuration": _plain(measurement, (*CONFIGURATION, "runtime")) | unusual(measurement.transformers),
        "figures": [_figure(figure) for figure in measurement.figures],
    }
    entry |= {name: getattr(measurement, name) for name, usual in _RARE.items() if getattr(measurement, name) != usual}
    if measurement.environment != first.environment:
        entry["environment"] = _plain(measurement.environment, tuple(Environment.__slots__))
    if measurement.date != first.date:
        entry["date"] = measurement.date
    if measurement.note is not None:
        entry["note"] = measurement.note
    return entry


def _figure(figure: Figure) -> dict[str, object]:
    """Without what the reader takes for granted."""
    plain = _plain(figure, _FIGURE)
    usual: dict[str, object] = {
        "read_as": figure.metric,
        "of": "peak",
        "relation": "equal",
        "rounding_bytes": 0,
        "phase": None,
    }
    if figure.unit == "B" and figure.value == figure.bytes:
        usual |= {"value": figure.value, "unit": "B"}
    return {name: value for name, value in plain.items() if name not in usual or value != usual[name]}


def _plain(value: object, names: Sequence[str]) -> dict[str, object]:
    pairs = ((name, getattr(value, name)) for name in names)
    return {name: list(item) if isinstance(item, tuple) else item for name, item in pairs}
