"""The fitted coefficients: a committed text file that `sam2-plan fit` remakes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from math import inf, isfinite
from pathlib import Path
from typing import Any, cast

from planner.errors import FileError
from planner.memory_model.laws import (
    GENERATIONS,
    KINDS,
    LAWS_OF,
    OTHER_PROGRAM,
    Coefficients,
    Correction,
    Curve,
    Group,
    Key,
    Law,
    Margin,
    Rehearsed,
    Spill,
    variants_of_laws,
)
from planner.nouns.words import OTHER_MODELS, RUNTIMES, TASKS, WIDTHS, Task, Variant
from planner.text.locations import profiles_folder
from planner.text.spelling import check_word

SCHEMA_VERSION = 6
FITTED_FILE = "memory_model.jsonl"
"""In the user's folder: what `sam2-plan fit` made. A line of JSON for what is common, then one for each group."""
REMAKE = "Make it again with sam2-plan fit, or take the file of this release."

WHOSE = (*RUNTIMES, *OTHER_MODELS)
"""Whose laws there are."""
_KEY = re.compile(r'{"group": \["(\w+)", "(\w+)", "(\w+)", "([\w.]+)"\]')


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
        return parse_coefficients(path.read_text(encoding="utf-8"), path)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}.", REMAKE) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(f"{path}: not a file of coefficients: {str(error).rstrip('.')}.", REMAKE) from error


def parse_coefficients(text: str, path: Path | None = None) -> Coefficients:
    """Coefficients of the text of a file. Raises ValueError, KeyError or TypeError for anything else.

    A group is read when it is first asked for, and raises FileError then: a plan needs a sixth of them.
    """
    first, *lines = text.splitlines()
    value = json.loads(first)
    if value["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version is {value['schema_version']!r}, not {SCHEMA_VERSION}")
    return Coefficients(
        groups=_Groups(lines, path),
        margins={
            (*_task(entry), check_word(entry["kind"], "kind of margin", KINDS)): _margin(entry)
            for entry in value["margins"]
        },
        least={_task(entry): _number(entry["share"]) for entry in value["least"]},
        beyond=_number(value["beyond"]),
        corrections=tuple(_correction(entry) for entry in value["corrections"]),
        profiles=tuple(map(str, value["profiles"])),
        memory_model=str(value["name"]),
        versions={str(name): str(version) for name, version in value["versions"].items()},
    )


class _Groups(Mapping[Key, Group]):
    """Groups, each read when it is first asked for."""

    def __init__(self, lines: Sequence[str], path: Path | None) -> None:
        self._path = path
        self._texts: dict[Key, str] = {}
        self._read: dict[Key, Group] = {}
        for line in lines:
            found = _KEY.match(line)
            if found is None:
                raise ValueError(f"a line does not begin with its group: {line[:40]!r}")
            self._texts[cast(Key, found.groups())] = line

    def __getitem__(self, key: Key) -> Group:
        known = self._read.get(key)
        if known is None:
            text = self._texts[key]
            try:
                known = self._read[key] = _group(json.loads(text))
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                where, why = self._path or "the coefficients", str(error).rstrip(".")
                raise FileError(f"{where}: the group {' '.join(key)} cannot be read: {why}.", REMAKE) from error
        return known

    def __iter__(self) -> Iterator[Key]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def _group(entry: Any) -> Group:
    pixels = tuple(int(count) for count in entry["pixels"])
    if not pixels or pixels[0] < 1 or any(more <= less for less, more in pairwise(pixels)):
        raise ValueError("pixels do not rise")
    places = {(int(short), int(long)): place for place, (short, long) in enumerate(entry["resolutions"])}
    name, task, width, generation = entry["group"]
    check_word(name, "runtime", WHOSE)
    return Group(
        whose=name,
        task=check_word(task, "task", TASKS),
        width=check_word(width, "width", WIDTHS),
        generation=check_word(generation, "generation", (*GENERATIONS, OTHER_PROGRAM)),
        phases={phase: _law(law, name, pixels, len(places)) for phase, law in entry["phases"].items()},
        **_reserved(entry, name, pixels, len(places)),
        provenance=check_word(entry["provenance"], "provenance", LAWS_OF),
        places=places,
        run={
            check_word(variant, "variant", variants_of_laws(name)): frozenset(map(int, found))
            for variant, found in entry["run"].items()
        },
        known=_known(entry["known"]),
        most_reserved=_most(entry["most_reserved"]),
        largest_pixels=pixels[-1],
        largest_objects=int(entry["largest_objects"]),
        largest_frame_pixels=int(entry["largest_frame_pixels"]),
    )


def _reserved(entry: Any, name: str, pixels: tuple[int, ...], places: int) -> dict[str, Any]:
    """What is reserved, by one law; or by laws of the pools, where segments grow."""
    if "reserved" in entry:
        return {"reserved": _law(entry["reserved"], name, pixels, places)}
    extents = {phase: _law(law, name, pixels, places, least=-inf) for phase, law in entry["extents"].items()}
    if not extents:
        raise ValueError("nothing says what is reserved")
    return {"extents": extents, "small": _law(entry["small"], name, pixels, places)}


def _most(value: Any) -> float:
    if value is not None and not 1 <= value < inf:
        raise ValueError(f"{value!r} is no ratio of reserved to allocated bytes")
    return inf if value is None else float(value)


def _known(entries: Any) -> dict[tuple[Variant, tuple[int, int]], dict[str, Rehearsed]]:
    found: dict[tuple[Variant, tuple[int, int]], dict[str, Rehearsed]] = {}
    for name, sizes in entries.items():
        variant, _, height, width, _ = name.split(" ", 4)
        allocated, reserved, least = sizes
        if not 0 < allocated <= reserved or (least is not None and not allocated <= least <= reserved):
            raise ValueError(f"{sizes!r} are not the bytes of a run")
        found.setdefault((variant, (int(height), int(width))), {})[name] = Rehearsed(allocated, reserved, least)
    return found


def _law(entry: Any, name: str, pixels: tuple[int, ...], places: int, least: float = 0.0) -> Law:
    variants = variants_of_laws(name)
    return Law(
        curves={variant: _curve(entry["curves"][variant], pixels, least) for variant in variants},
        growth=_growth(entry),
        spill=_spill(entry["spill"]),
        tables={variant: _table(entry["tables"][variant], places) for variant in variants if places},
    )


def _growth(entry: Any) -> dict[str, float]:
    """What grows at all."""
    return {str(name): value for name, value in entry["growth"].items() if _number(value)}


def _spill(entry: Any) -> Spill | None:
    if entry is None:
        return None
    growth = _growth(entry)
    return Spill(_number(entry["constant"]), _number(entry["share"]), growth)


def _table(values: Any, places: int) -> Sequence[float]:
    if len(values) != places or set(map(type, values)) - {int, float} or not all(map(isfinite, values)):
        raise ValueError(f"a table does not hold {places} numbers")
    return tuple(values)


def _curve(values: Any, pixels: tuple[int, ...], least: float) -> Curve:
    """The values at `pixels`, then the slope beyond. Five hundred of them are read for each command: no detours."""
    *sizes, slope = values
    if set(map(type, values)) - {int, float} or not all(map(isfinite, values)) or min(values) < least:
        raise ValueError(f"a curve holds something else than numbers of {least:g} or more")
    if len(sizes) != len(pixels):
        raise ValueError(f"a curve has {len(sizes)} values for {len(pixels)} pixels")
    if sizes != sorted(sizes):
        raise ValueError("a curve falls")
    return Curve(pixels, tuple(sizes), slope)


def _task(entry: Any) -> tuple[str, Task]:
    return check_word(entry["runtime"], "runtime", WHOSE), check_word(entry["task"], "task", TASKS)


def _margin(entry: Any) -> Margin:
    return Margin(ratio=_number(entry["ratio"]), rows=int(entry["rows"]))


def _correction(entry: Any) -> Correction:
    context = entry["context_bytes"]
    return Correction(
        gpu=str(entry["gpu"]),
        runtime=check_word(entry["runtime"], "runtime", RUNTIMES),
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
