"""A machine as plain data and back: the part of a doctor report that another machine can replay.

Meant to be pasted where anybody reads it: GPUs are numbered instead of named by their UUIDs, and no path, user or
process name goes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

from planner.documents import Fields, read
from planner.measure.devices import GpuProcess, Machine, PresentGpu
from planner.report.document import SCHEMA_VERSION
from planner.words import PROCESS_KINDS

NOT_A_REPORT = "Make the report again: sam2-plan doctor --format json"
_PLAIN = (
    "index", "place", "name", "card_bytes", "card_free_bytes", "limit_bytes", "driver", "cuda", "display_attached",
    "display_active", "mig_mode", "slice", "unified",
)  # fmt: skip
"""Fields of PresentGpu that are written as they are."""


def machine_document(machine: Machine) -> dict[str, Any]:
    """The machine as plain data."""
    stand_ins = pseudonyms(machine)
    return {
        "system": machine.system,
        "architecture": machine.architecture,
        "processors": machine.processors,
        "python": machine.python,
        "container": machine.container,
        "host_bytes": machine.host_bytes,
        "host_free_bytes": machine.host_free_bytes,
        "host_limit_bytes": machine.host_limit_bytes,
        "gpus": [_gpu_document(gpu, stand_ins) for gpu in machine.gpus],
        "versions": dict(machine.versions),
        "reasons": dict(machine.reasons),
    }


def pseudonyms(machine: Machine) -> dict[str, str]:
    """What stands for each UUID: of the same kind, so that it can be asked for, and the same in every report."""
    found: dict[str, str] = {}
    for number, gpu in enumerate(machine.gpus):
        if gpu.uuid is not None:
            kind = "MIG" if gpu.uuid.startswith("MIG") else "GPU"
            found[gpu.uuid] = f"{kind}-{number:08d}-0000-0000-0000-000000000000"
    return found


def read_machine(path: Path) -> Machine:
    """The machine in a doctor report. Raises FileError for any other file."""
    fields = Fields(read(path, "a doctor report"), str(path), "a doctor report")
    if fields.integer("schema_version") != SCHEMA_VERSION:
        raise fields.complaint("schema_version is not 1", NOT_A_REPORT, "schema_version")
    if fields.text("kind") != "doctor":
        raise fields.complaint("this is not a doctor report", NOT_A_REPORT, "kind")
    return _machine(fields.fields("machine"), str(path))


def _machine(fields: Fields, source: str) -> Machine:
    machine = Machine(
        system=fields.text("system"),
        architecture=fields.text("architecture"),
        processors=fields.optional_integer("processors", 1),
        python=fields.text("python"),
        container=fields.optional_text("container"),
        host_bytes=fields.optional_integer("host_bytes"),
        host_free_bytes=fields.optional_integer("host_free_bytes"),
        host_limit_bytes=fields.optional_integer("host_limit_bytes"),
        gpus=tuple(_gpu(entry) for entry in fields.entries("gpus")),
        versions=_texts(fields.fields("versions")),
        reasons={name: reason for name, reason in _texts(fields.fields("reasons")).items() if reason is not None},
        replayed=source,
    )
    fields.end()
    return machine


def _gpu_document(gpu: PresentGpu, stand_ins: Mapping[str, str]) -> dict[str, Any]:
    processes = None
    if gpu.processes is not None:
        processes = [{"pid": one.pid, "kind": one.kind, "bytes": one.bytes} for one in gpu.processes]
    return {
        **{name: getattr(gpu, name) for name in _PLAIN},
        "uuid": None if gpu.uuid is None else stand_ins[gpu.uuid],
        "capability": None if gpu.capability is None else list(gpu.capability),
        "processes": processes,
        "reasons": dict(gpu.reasons),
    }


def _gpu(fields: Fields) -> PresentGpu:
    gpu = PresentGpu(
        index=fields.integer("index"),
        place=fields.integer("place"),
        name=fields.optional_text("name"),
        uuid=fields.optional_text("uuid"),
        capability=fields.optional_release("capability"),
        card_bytes=fields.optional_integer("card_bytes", 1),
        card_free_bytes=fields.optional_integer("card_free_bytes"),
        limit_bytes=fields.optional_integer("limit_bytes", 1),
        driver=fields.optional_text("driver"),
        cuda=fields.optional_text("cuda"),
        processes=None if fields.or_none("processes") else tuple(map(_process, fields.entries("processes"))),
        display_attached=fields.optional_boolean("display_attached"),
        display_active=fields.optional_boolean("display_active"),
        mig_mode=fields.optional_boolean("mig_mode"),
        slice=fields.optional_text("slice"),
        unified=fields.optional_boolean("unified"),
        reasons={name: reason for name, reason in _texts(fields.fields("reasons")).items() if reason is not None},
    )
    fields.end()
    for one in fields_of(PresentGpu):
        unknown = getattr(gpu, one.name) is None and one.name != "slice"
        if unknown and one.name not in gpu.reasons:
            raise fields.complaint(f"{one.name} is null and reasons does not say why", NOT_A_REPORT, one.name)
    return gpu


def _process(fields: Fields) -> GpuProcess:
    return GpuProcess(fields.integer("pid"), fields.text("kind", PROCESS_KINDS), fields.optional_integer("bytes"))


def _texts(fields: Fields) -> dict[str, str | None]:
    return {key: fields.optional_text(key) for key in fields.names()}
