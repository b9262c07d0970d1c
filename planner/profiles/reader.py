"""YAML text to measurements. Every fault names the file, the line and the remedy."""

from __future__ import annotations

from pathlib import Path

from planner.documents import Fields, parse, read
from planner.domain import (
    ATTENTIONS,
    FIGURE_KINDS,
    METRICS,
    PRECISIONS,
    PROFILE_KINDS,
    RELATIONS,
    TASKS,
    USES,
    VARIANTS,
    VERSIONS,
    Environment,
    Figure,
    Measurement,
)
from planner.units import MAXIMUM_SIDE, MINIMUM_SIDE, RESOLUTION_STEP, UNITS

SCHEMA_VERSION = 1
UNIT_NAMES = ("B", "kB", "MB", "GB", "KiB", "MiB", "GiB")


def load_folder(folder: Path) -> list[Measurement]:
    """All measurements of the *.yaml files below a folder, in the order of their paths."""
    measurements: list[Measurement] = []
    for path in sorted(folder.rglob("*.yaml")):
        measurements += load_profile(path)
    return measurements


def load_profile(path: Path) -> list[Measurement]:
    """The measurements of one file. Raises FileError if it is broken."""
    return _measurements(Fields(read(path), str(path), "a profile"))


def parse_profile(text: str, source: str = "profile") -> list[Measurement]:
    """The measurements of a YAML text; `source` names it in errors."""
    return _measurements(Fields(parse(text, source), source, "a profile"))


def _measurements(fields: Fields) -> list[Measurement]:
    if fields.integer("schema_version") != SCHEMA_VERSION:
        raise fields.complaint(
            "schema_version is not 1", "Update sam2-plan, or take a profile of this release.", "schema_version"
        )
    name, kind = fields.text("name"), fields.text("kind", PROFILE_KINDS)
    source = fields.fields("source")
    source.text("title")
    url, date = _optional_text(source, "url"), _optional_text(source, "date")
    source.end()
    environment = _environment(fields.fields("environment"))
    found: dict[str, Measurement] = {}
    for entry in fields.entries("measurements"):
        measurement = _measurement(entry, name, kind, environment, url, date)
        if measurement.id in found:
            raise entry.complaint(f"the id {measurement.id!r} stands twice", "Give each measurement its own id.", "id")
        found[measurement.id] = measurement
    fields.end()
    return list(found.values())


def _measurement(
    entry: Fields, profile: str, kind: str, environment: Environment, url: str | None, date: str | None
) -> Measurement:
    workload, configuration = entry.fields("workload"), entry.fields("configuration")
    figures = tuple(_figure(item) for item in entry.entries("figures"))
    if not figures:
        raise entry.complaint("a measurement has no figures", "Add at least one figure.", "figures")
    _check_order(entry, figures)
    measurement = Measurement(
        profile=profile,
        id=entry.text("id"),
        kind=kind,
        use=entry.text("use", USES),
        task=workload.text("task", TASKS),
        objects=_optional_integer(workload, "objects"),
        frames=_optional_integer(workload, "frames"),
        frame_size=None if workload.or_none("frame_size") else workload.pair("frame_size"),
        variant=_optional_text(configuration, "variant", VARIANTS),
        version=_optional_text(configuration, "version", VERSIONS),
        resolution=_resolution(configuration),
        precision=_optional_text(configuration, "precision", PRECISIONS),
        attention=_optional_text(configuration, "attention", ATTENTIONS),
        object_batch=_optional_integer(configuration, "object_batch"),
        bounded_memory_bank=_optional_boolean(configuration, "bounded_memory_bank"),
        offload_video=_optional_boolean(configuration, "offload_video"),
        offload_state=_optional_boolean(configuration, "offload_state"),
        figures=figures,
        environment=_environment(entry.fields("environment")) if "environment" in entry else environment,
        date=_optional_text(entry, "date") if "date" in entry else date,
        url=url,
        note=_optional_text(entry, "note") if "note" in entry else None,
    )
    for fields in (workload, configuration, entry):
        fields.end()
    return measurement


def _figure(fields: Fields) -> Figure:
    metric = _optional_text(fields, "metric", METRICS)
    figure = Figure(
        metric=metric,
        read_as=_optional_text(fields, "read_as", METRICS) if "read_as" in fields else metric,
        of=fields.text("of", FIGURE_KINDS),
        relation=fields.text("relation", RELATIONS),
        value=fields.number("value"),
        unit=fields.text("unit", UNIT_NAMES),
        bytes=fields.integer("bytes"),
        rounding_bytes=fields.integer("rounding_bytes"),
        phase=_optional_text(fields, "phase") if "phase" in fields else None,
    )
    factor = UNITS.get(figure.unit.lower(), 1)
    if abs(figure.value * factor - figure.bytes) > max(1, figure.rounding_bytes):
        message = f"{figure.value:g} {figure.unit} is not {figure.bytes} bytes"
        raise fields.complaint(message, f"It is {round(figure.value * factor)} bytes.", "bytes")
    fields.end()
    return figure


def _check_order(entry: Fields, figures: tuple[Figure, ...]) -> None:
    """allocated <= reserved <= total: a row that says otherwise is wrong somewhere."""
    peaks = {f.metric: f for f in figures if f.of == "peak" and f.phase is None and f.metric}
    for less, more in (("allocated", "reserved"), ("reserved", "total"), ("allocated", "total")):
        if less in peaks and more in peaks and peaks[less].bytes > peaks[more].bytes:
            message = f"{less} {peaks[less].bytes} exceeds {more} {peaks[more].bytes}"
            raise entry.complaint(message, "Measure this row again, or leave it out.", "figures")


def _environment(fields: Fields) -> Environment:
    environment = Environment(**{name: _optional_text(fields, name) for name in Environment.__slots__})
    fields.end()
    return environment


def _resolution(fields: Fields) -> tuple[int, int] | None:
    if fields.or_none("resolution"):
        return None
    resolution = fields.pair("resolution")
    if any(side % RESOLUTION_STEP or not MINIMUM_SIDE <= side <= MAXIMUM_SIDE for side in resolution):
        raise fields.complaint(f"resolution is {list(resolution)}", "Use multiples of 32 from 64 to 8192.", "resolution")
    return resolution


def _optional_text(fields: Fields, key: str, choices: tuple[str, ...] | None = None) -> str | None:
    return None if fields.or_none(key) else fields.text(key, choices)


def _optional_integer(fields: Fields, key: str) -> int | None:
    return None if fields.or_none(key) else fields.integer(key, minimum=1)


def _optional_boolean(fields: Fields, key: str) -> bool | None:
    return None if fields.or_none(key) else fields.boolean(key)
