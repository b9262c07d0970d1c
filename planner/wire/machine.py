"""A machine as plain data and back: the part of a doctor report that another machine can replay.

Meant to be pasted where anybody reads it: GPUs are numbered instead of named by their UUIDs, and no path, user or
process name goes in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from planner.nouns.machine import GpuProcess, Machine, PresentGpu
from planner.text.strict_yaml import Fields, read
from planner.wire.doctor import MACHINE, PRESENT_GPU
from planner.wire.shapes import SCHEMA_VERSION

NOT_A_REPORT = "Make the report again: sam2-plan doctor --format json"


def machine_document(machine: Machine) -> dict[str, Any]:
    """The machine as plain data."""
    stand_ins = pseudonyms(machine)
    gpus = [PRESENT_GPU.write(gpu, uuid=stand_ins.get(gpu.uuid or "")) for gpu in machine.gpus]
    return MACHINE.write(machine, gpus=gpus)


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
    values = MACHINE.noun(fields)
    entries = zip(values["gpus"], fields.entries("gpus"), strict=True)
    return Machine(**values | {"gpus": tuple(_gpu(*entry) for entry in entries)}, replayed=source)


def _gpu(values: dict[str, Any], fields: Fields) -> PresentGpu:
    processes = values["processes"]
    known = None if processes is None else tuple(GpuProcess(**process) for process in processes)
    for name, value in values.items():
        if value is None and name != "slice" and name not in values["reasons"]:
            raise fields.complaint(f"{name} is null and reasons does not say why", NOT_A_REPORT, name)
    return PresentGpu(**values | {"processes": known})
