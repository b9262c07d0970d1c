"""The fitted coefficients: a committed text file that `sam2-plan fit` remakes."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import ceil, isfinite
from pathlib import Path
from typing import Any

from planner.domain import RUNTIMES, TASKS, VARIANTS
from planner.errors import FileError
from planner.locations import profiles_folder

SCHEMA_VERSION = 3
FITTED_FILE = "memory_model.json"
"""In the user's folder: what `sam2-plan fit` made."""
WIDTHS = ("half", "autocast", "float32")
"""Of weights and activations: precisions of one width are alike, byte for byte."""
REMAKE = "Make it again with sam2-plan fit, or take the file of this release."


@dataclass(frozen=True, slots=True)
class Curve:
    """Bytes over pixels: straight lines between `pixels`, level before the first, going on after the last."""

    pixels: tuple[int, ...]
    """Rising."""
    bytes: tuple[float, ...]
    """Never falling; as many."""
    slope: float
    """Bytes per pixel beyond the last."""

    def at(self, pixels: float) -> float:
        """Bytes at so many pixels."""
        known = self.pixels
        place = bisect_right(known, pixels)
        if place == 0:
            return self.bytes[0]
        low = known[place - 1]
        if place == len(known):
            return self.bytes[-1] + (pixels - low) * self.slope
        share = (pixels - low) / (known[place] - low)
        return self.bytes[place - 1] + share * (self.bytes[place] - self.bytes[place - 1])


@dataclass(frozen=True, slots=True)
class Law:
    """How one quantity of a runtime, task and width follows from pixels, the variant and the features."""

    curves: Mapping[str, Curve]
    """By variant: bytes beside the weights and the features."""
    growth: Mapping[str, float]
    """By feature (planner.memory_model.features): bytes for each of its units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The laws of one runtime, task and width."""

    runtime: str
    task: str
    width: str
    phases: Mapping[str, Law]
    """Allocated bytes at the peak of each phase, in order, weights not counted."""
    reserved: Law
    """Reserved bytes at the end, weights not counted."""
    provenance: str
    """Of what was fitted: simulated or published."""
    largest_pixels: int
    """Of the resolutions that were fitted to, as are the following."""
    largest_objects: int
    largest_frame_pixels: int
    """Of the source's pictures."""


COVERAGE = 0.95
"""Of margins."""


def conformal_rank(rows: int) -> int:
    """The rank among n held-out rows below which a further one stays with a probability of COVERAGE."""
    return min(rows, ceil(COVERAGE * (rows + 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """How far the truth of the total lay above the prediction, in rows that were not fitted (split conformal)."""

    ratio: float
    """The k-th smallest of truth / prediction - 1 over n rows, k = ceil(0.95 (n + 1)), or the largest; at least 0."""
    rows: int
    """n: a further row of the same kind stays below with a probability of at least `coverage`."""

    @property
    def coverage(self) -> float:
        """K / (n + 1), which fewer than 19 rows cannot bring to 95 %."""
        return conformal_rank(self.rows) / (self.rows + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What rows measured on one GPU say of the laws."""

    gpu: str
    runtime: str
    allocated_ratio: float
    reserved_ratio: float
    context_bytes: int | None
    """Measured, of processes that were alone; None where none was."""
    margin: Margin
    """Of the total after correction, from rows held out."""
    notes: tuple[str, ...]
    """Why the margin is wider than its rows say, such as another version of torch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """What the regression and its held-out rows gave."""

    groups: Mapping[tuple[str, str, str], Group]
    """By runtime, task and width."""
    margins: Mapping[tuple[str, str], Margin]
    """By runtime and task."""
    beyond: float
    """Relative, of reserved bytes: how far more pixels than were fitted to lay above the prediction, when held out."""
    corrections: tuple[Correction, ...]
    profiles: tuple[str, ...]
    memory_model: str
    """Name of this fit."""
    versions: Mapping[str, str]
    """Of the packages that were simulated."""


def load_coefficients(path: Path | None = None) -> Coefficients:
    """The shipped coefficients, or those at `path`. Raises FileError if they are broken."""
    path = path or shipped_file()
    try:
        written = path.stat().st_mtime_ns
    except OSError:
        written = 0
    return _load(path, written)


def shipped_file() -> Path:
    """Where the committed coefficients lie."""
    return profiles_folder() / FITTED_FILE


@lru_cache(maxsize=4)
def _load(path: Path, written: int) -> Coefficients:
    """Kept for as long as the file stays as it is, which `written` tells."""
    try:
        return parse_coefficients(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}.", REMAKE) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(f"{path}: not a file of coefficients: {error}.", REMAKE) from error


def parse_coefficients(value: Any) -> Coefficients:
    """Coefficients of plain data. Raises ValueError, KeyError or TypeError for anything else."""
    if value["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version is {value['schema_version']!r}, not {SCHEMA_VERSION}")
    groups = [_group(entry) for entry in value["groups"]]
    return Coefficients(
        groups={(group.runtime, group.task, group.width): group for group in groups},
        margins={
            (_word(entry["runtime"], RUNTIMES), _word(entry["task"], TASKS)): _margin(entry)
            for entry in value["margins"]
        },
        beyond=_number(value["beyond"]),
        corrections=tuple(_correction(entry) for entry in value["corrections"]),
        profiles=tuple(map(str, value["profiles"])),
        memory_model=str(value["name"]),
        versions={str(name): str(version) for name, version in value["versions"].items()},
    )


def _group(entry: Any) -> Group:
    pixels = tuple(int(count) for count in entry["pixels"])
    if not pixels or pixels[0] < 1 or any(more <= less for less, more in pairwise(pixels)):
        raise ValueError("pixels do not rise")
    return Group(
        runtime=_word(entry["runtime"], RUNTIMES),
        task=_word(entry["task"], TASKS),
        width=_word(entry["width"], WIDTHS),
        phases={name: _law(law, pixels) for name, law in entry["phases"].items()},
        reserved=_law(entry["reserved"], pixels),
        provenance=_word(entry["provenance"], ("simulated", "published")),
        largest_pixels=pixels[-1],
        largest_objects=int(entry["largest_objects"]),
        largest_frame_pixels=int(entry["largest_frame_pixels"]),
    )


def _law(entry: Any, pixels: tuple[int, ...]) -> Law:
    return Law(
        curves={variant: _curve(entry["curves"][variant], pixels) for variant in VARIANTS},
        growth={str(name): _number(value) for name, value in entry["growth"].items()},
    )


def _curve(values: Any, pixels: tuple[int, ...]) -> Curve:
    """The values at `pixels`, then the slope beyond. Five hundred of them are read for each command: no detours."""
    *sizes, slope = values
    if set(map(type, values)) - {int, float} or not all(map(isfinite, values)) or min(values) < 0:
        raise ValueError("a curve holds something else than numbers of 0 or more")
    if len(sizes) != len(pixels):
        raise ValueError(f"a curve has {len(sizes)} values for {len(pixels)} pixels")
    if sizes != sorted(sizes):
        raise ValueError("a curve falls")
    return Curve(pixels, tuple(sizes), slope)


def _margin(entry: Any) -> Margin:
    return Margin(ratio=_number(entry["ratio"]), rows=int(entry["rows"]))


def _correction(entry: Any) -> Correction:
    context = entry["context_bytes"]
    return Correction(
        gpu=str(entry["gpu"]),
        runtime=_word(entry["runtime"], RUNTIMES),
        allocated_ratio=_number(entry["allocated_ratio"]),
        reserved_ratio=_number(entry["reserved_ratio"]),
        context_bytes=None if context is None else int(context),
        margin=_margin(entry["margin"]),
        notes=tuple(map(str, entry["notes"])),
    )


def _number(value: Any) -> float:
    """0 or more, and finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ValueError(f"{value!r} is not a number of 0 or more")
    return value


def _word(value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"{value!r} is none of {', '.join(known)}")
    return str(value)
