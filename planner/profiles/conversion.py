"""Runs and what they took, as the lines of profiles; and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from planner.nouns.measurement import Figure, Measurement
from planner.nouns.run import Configuration, Run, Usage, Workload, bounds_memory, runtime_of

CONFIGURATION = tuple(field.name for field in fields(Configuration))
WORKLOAD = tuple(field.name for field in fields(Workload) if field.name != "streams")
"""Names that stand in a profile as they do in the nouns. A row is of one clip."""
VERSION = "2.1"
"""The version of what names none."""


def fields_of(run: Run) -> dict[str, Any]:
    """What a Measurement says of a run."""
    of = {name: getattr(run.workload, name) for name in WORKLOAD}
    of |= {name: getattr(run.configuration, name) for name in CONFIGURATION}
    return of | {"runtime": run.runtime, "transformers": run.transformers}


def run_of(measurement: Measurement) -> Run | None:
    """The run that was measured; None where no variant, resolution and precision are named.

    What else a source does not say is taken to be as usual: a source that names no frame size is taken to have worked
    at the resolution's own size.
    """
    m = measurement
    if not (m.variant and m.resolution and m.precision):
        return None
    said = {name: getattr(m, name) for name in CONFIGURATION if getattr(m, name) is not None}
    bounded = (m.runtime is None or bounds_memory(m.runtime)) and m.bounded_memory_bank is not False
    configuration = Configuration(**{"version": VERSION} | said | {"bounded_memory_bank": bounded})
    workload = Workload(task=m.task, objects=m.objects or 1, frames=m.frames, frame_size=m.frame_size or m.resolution)
    return Run(
        runtime=m.runtime or runtime_of(configuration),
        configuration=configuration,
        workload=workload,
        transformers=m.transformers,
    )


def usage_of(figures: Iterable[Figure]) -> Usage:
    """What the peaks of a measurement say of bytes."""
    peaks = list(figures)
    whole = {figure.metric or figure.read_as: figure.bytes for figure in peaks if figure.phase is None}
    return Usage(
        allocated_bytes=whole.get("allocated"),
        reserved_bytes=whole.get("reserved"),
        context_bytes=whole.get("context"),
        total_bytes=whole.get("total"),
        phases={one.phase: one.bytes for one in peaks if one.phase is not None and one.metric == "allocated"},
    )
