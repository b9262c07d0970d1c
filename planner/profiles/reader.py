"""YAML text to measurements. Every fault names the file, the line and the remedy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from planner.nouns.measurement import Environment, Figure, Measurement
from planner.nouns.run import SWITCHES, Transformers, native_resolution
from planner.nouns.words import (
    ALL_VARIANTS,
    ATTENTIONS,
    FIGURE_KINDS,
    METRICS,
    OTHER_MODELS,
    PRECISIONS,
    PROCESSING_DEVICES,
    PROFILE_KINDS,
    RELATIONS,
    RUN_OUTCOMES,
    RUNTIMES,
    TASKS,
    UNIT_NAMES,
    USES,
    VERSIONS,
    ProfileKind,
)
from planner.profiles.conversion import CONFIGURATION
from planner.text.strict_yaml import Fields, parse, read
from planner.text.units import UNITS, resolution_field

SCHEMA_VERSION = 1
LATER = ("uuid", "capability")
"""Fields of an environment that older profiles do not have: in profiles since they can be measured."""
WORDS = {"variant": ALL_VARIANTS, "version": VERSIONS, "precision": PRECISIONS, "attention": ATTENTIONS}


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
    url, date = source.optional_text("url"), source.optional_text("date")
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
    entry: Fields, profile: str, kind: ProfileKind, environment: Environment, url: str | None, date: str | None
) -> Measurement:
    workload, configuration = entry.fields("workload"), entry.fields("configuration")
    figures = tuple(_figure(item) for item in entry.entries("figures"))
    outcome = entry.text("outcome", RUN_OUTCOMES) if "outcome" in entry else "ran"
    if not figures and outcome == "ran":
        raise entry.complaint("a measurement has no figures", "Add at least one figure.", "figures")
    _check_order(entry, figures)
    measurement = Measurement(
        profile=profile,
        id=entry.text("id"),
        kind=kind,
        use=entry.text("use", USES),
        task=workload.text("task", TASKS),
        objects=workload.optional_integer("objects", minimum=1),
        frames=workload.optional_integer("frames", minimum=1),
        frame_size=None if workload.or_none("frame_size") else workload.pair("frame_size"),
        **_configuration(configuration),
        figures=figures,
        environment=_environment(entry.fields("environment")) if "environment" in entry else environment,
        date=entry.optional_text("date") if "date" in entry else date,
        url=url,
        runtime=configuration.optional_text("runtime", RUNTIMES) if "runtime" in configuration else None,
        transformers=_transformers(configuration),
        note=entry.optional_text("note") if "note" in entry else None,
        outcome=outcome,
        error=entry.optional_text("error") if "error" in entry else None,
        alone=entry.boolean("alone") if "alone" in entry else None,
        seconds_per_frame=entry.number("seconds_per_frame") if "seconds_per_frame" in entry else None,
    )
    if measurement.use == "fit" and outcome != "ran":
        raise entry.complaint(f"a row that {outcome} is not to be fitted to", "Write use: reference.", "use")
    for fields in (workload, configuration, entry):
        fields.end()
    return measurement


def _resolution(fields: Fields, name: str) -> tuple[int, int]:
    """Multiples of 32, or what another model's checkpoint computes at."""
    pair = fields.pair(name)
    return pair if pair in map(native_resolution, OTHER_MODELS) else resolution_field(fields, name)


def _configuration(fields: Fields) -> dict[str, Any]:
    """What a source says of each field of a Configuration, by the field's kind; None where it says nothing.

    Only switches may be left out: a profile may be older than one of them.
    """

    def value(name: str) -> Any:
        if fields.or_none(name):
            return None
        if name in WORDS:
            return fields.text(name, WORDS[name])
        if name == "resolution":
            return _resolution(fields, name)
        return fields.integer(name, minimum=1) if name == "object_batch" else fields.boolean(name)

    return {name: value(name) if name in fields or name not in SWITCHES else None for name in CONFIGURATION}


def _transformers(fields: Fields) -> Transformers:
    """How transformers was called; what is left out is as usual."""
    usual = Transformers()
    where = fields.text("processing_device", PROCESSING_DEVICES) if "processing_device" in fields else None
    return Transformers(
        streaming=fields.boolean("streaming") if "streaming" in fields else usual.streaming,
        processing_device=where or usual.processing_device,
    )


def _figure(fields: Fields) -> Figure:
    """A figure; what is left out is a peak in bytes, exact, of the metric that its source names."""
    metric = fields.optional_text("metric", METRICS)
    size = fields.integer("bytes")
    figure = Figure(
        metric=metric,
        read_as=fields.optional_text("read_as", METRICS) if "read_as" in fields else metric,
        of=fields.text("of", FIGURE_KINDS) if "of" in fields else "peak",
        relation=fields.text("relation", RELATIONS) if "relation" in fields else "equal",
        value=fields.number("value") if "value" in fields else float(size),
        unit=fields.text("unit", UNIT_NAMES) if "unit" in fields else "B",
        bytes=size,
        rounding_bytes=fields.integer("rounding_bytes") if "rounding_bytes" in fields else 0,
        phase=fields.optional_text("phase") if "phase" in fields else None,
    )
    factor = UNITS.get(figure.unit.lower(), 1)
    if abs(figure.value * factor - figure.bytes) > max(1, figure.rounding_bytes):
        message = f"{figure.value:g} {figure.unit} is not {figure.bytes} bytes"
        raise fields.complaint(message, f"It is {round(figure.value * factor)} bytes.", "bytes")
    fields.end()
    return figure


def _check_order(entry: Fields, figures: tuple[Figure, ...]) -> None:
    """Allocated <= reserved <= total: a row that says otherwise is wrong somewhere."""
    peaks = {f.metric: f for f in figures if f.of == "peak" and f.phase is None and f.metric}
    ordered = [metric for metric in ("tensors", "allocated", "reserved", "total") if metric in peaks]
    for less, more in pairwise(ordered):
        if peaks[less].bytes > peaks[more].bytes:
            message = f"{less} {peaks[less].bytes} exceeds {more} {peaks[more].bytes}"
            raise entry.complaint(message, "Measure this row again, or leave it out.", "figures")


def _environment(fields: Fields) -> Environment:
    names = [name for name in Environment.__slots__ if name in fields or name not in LATER]
    environment = Environment(**{name: fields.optional_text(name) for name in names})
    fields.end()
    return environment
