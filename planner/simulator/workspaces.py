"""What a run takes on the GPU beside its tensors: library workspaces, each with its origin.

The figures stand in profiles/workspaces.yaml; this module reads and chooses among them. What a kernel takes for a call
follows from its shapes and stands in kernels.py; a convolution's workspace is cuDNN's affair (convolutions/), and the
CUDA context planner.memory_model.contexts'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from planner.errors import FileError, UsageError
from planner.nouns.words import LIFETIMES, Lifetime, ProvenanceKind
from planner.text.locations import profiles_folder
from planner.text.spelling import check_word

FILE = profiles_folder() / "workspaces.yaml"
SCHEMA_VERSION = 1
_VERSION = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a figure comes from."""

    provenance: ProvenanceKind
    source: str
    """A link."""
    note: str
    """What the source says, or what an assumption rests on."""
    versions_assumed: bool = False
    """True where the figure is published, but not from which release of torch it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Bytes that are taken whatever the shapes are."""

    bytes: int
    lifetime: Lifetime
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiprocessors:
    """How many multiprocessors a GPU of a capability is taken to have."""

    count: int
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspaces:
    """Everything beside the tensors for one compute capability and version of torch. Counted apart, never summed."""

    capability: tuple[int, int]
    torch_version: str
    """As given."""
    cublas: Workspace
    """Per handle and stream; a run of SAM 2 has one."""
    cublaslt: Workspace
    multiprocessors: Multiprocessors


def workspaces_for(capability: tuple[int, int], torch_version: str, path: Path = FILE) -> Workspaces:
    """The figures for a compute capability such as (8, 6) and a torch version such as "2.8.0+cu128".

    Raises UsageError for a version that is none, FileError for a table that cannot be used.
    """
    version = version_of(torch_version)
    table = _table(path)

    def pick(section: str) -> Mapping[str, Any]:
        return _pick(table, section, capability, version, path)

    multiprocessors = pick("multiprocessors")
    try:
        return Workspaces(
            capability=capability,
            torch_version=torch_version,
            cublas=_workspace(pick("cublas")),
            cublaslt=_workspace(pick("cublaslt")),
            multiprocessors=Multiprocessors(count=_whole(multiprocessors["count"]), origin=_origin(multiprocessors)),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FileError(f"{path}: a row is not of the form that its comments describe: {error!r}.") from error


def version_of(torch: str) -> tuple[int, int]:
    """The (major, minor) of a version of torch. Raises UsageError for what is none."""
    version = _version(torch)
    if version is None:
        raise UsageError(f"{torch!r} is not a version of torch.", 'Write it as "2.8" or "2.8.0+cu128".')
    return version


def _table(path: Path) -> Mapping[str, Any]:
    try:
        table = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise FileError(f"{path}: cannot be read: {error}.") from error
    if not isinstance(table, dict) or table.get("schema_version") != SCHEMA_VERSION:
        raise FileError(f"{path}: is not a table of workspaces of schema version {SCHEMA_VERSION}.")
    return table


def _pick(
    table: Mapping[str, Any], section: str, capability: tuple[int, int], version: tuple[int, int], path: Path
) -> Mapping[str, Any]:
    """The first row of a section that holds."""
    rows = table.get(section)
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and _holds(row, capability, version):
            return row
    major, minor = capability
    raise FileError(f"{path}: no row of {section} holds for capability {major}.{minor} and torch {version}.")


def _holds(row: Mapping[str, Any], capability: tuple[int, int], version: tuple[int, int]) -> bool:
    majors, exact = row.get("majors"), row.get("capability")
    since, before = _version(row.get("since", "0.0")), _version(row.get("before", "9999.0"))
    return (
        (not isinstance(majors, list) or capability[0] in majors)
        and (exact is None or _version(exact) == capability)
        and (since is None or version >= since)
        and (before is None or version < before)
    )


def _version(text: object) -> tuple[int, int] | None:
    match = _VERSION.match(str(text))
    return (int(match[1]), int(match[2])) if match else None


def _workspace(row: Mapping[str, Any]) -> Workspace:
    return Workspace(
        bytes=_whole(row["bytes"]), lifetime=check_word(row["lifetime"], "lifetime", LIFETIMES), origin=_origin(row)
    )


def _origin(row: Mapping[str, Any]) -> Origin:
    return Origin(
        provenance=check_word(row["provenance"], "provenance", ("published", "assumed")),
        source=str(row["source"]),
        note=str(row["note"]),
        versions_assumed=row.get("versions_assumed") is True,
    )


def _whole(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a whole number, 0 or more")
    return value
