"""The fitted coefficients: a committed text file that `sam2-plan fit` remakes."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from math import ceil, inf, isfinite
from pathlib import Path
from typing import Any, NamedTuple

from planner.domain import RUNTIMES, TASKS, VARIANTS
from planner.errors import FileError
from planner.locations import profiles_folder

SCHEMA_VERSION = 5
FITTED_FILE = "memory_model.jsonl"
"""In the user's folder: what `sam2-plan fit` made. A line of JSON for what is common, then one for each group."""
WIDTHS = ("half", "autocast", "float32")
"""Of weights and activations: precisions of one width are alike, byte for byte."""
GENERATIONS = {"7.5": (7, 5), "8.6": (8, 6), "12.0": (12, 0)}
"""Capabilities that have laws of their own; the others take those of the nearest, which generation_of names."""
OTHER_PROGRAM = "any"
"""In a generation's place: of the published re-implementation, whose GPU nobody named."""
REMAKE = "Make it again with sam2-plan fit, or take the file of this release."


_KEY = re.compile(r'{"group": \["(\w+)", "(\w+)", "(\w+)", "([\w.]+)"\]')
Key = tuple[str, str, str, str]


def generation_of(capability: tuple[int, int] | None) -> str:
    """The generation whose laws hold for a capability; of None that of most cards."""
    if capability is None or capability[0] == 8:
        return "8.6"
    return "7.5" if capability[0] < 8 else "12.0"


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
class Spill:
    """What is reserved once the masks of large pictures or of many objects no longer fit into the cache.

    Up to there they take blocks that the encoder left, and cost nothing.
    """

    constant: float
    share: float
    """Of the law's table or curve: what is still in use then, or of no use."""
    growth: Mapping[str, float]
    """As a law's."""


@dataclass(frozen=True, slots=True)
class Law:
    """How one quantity of a runtime, task and width follows from pixels, the variant and the features."""

    curves: Mapping[str, Curve]
    """By variant: bytes beside the weights and the features."""
    growth: Mapping[str, float]
    """By feature (planner.memory_model.features): bytes for each of its units."""
    spill: Spill | None = None
    """Of reserved bytes; None where everything that grows is added."""
    tables: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """By variant: the same as a curve, at each resolution of the group that was run; it may fall from one to the next,
    as what the allocator reserves does."""

    def at(self, variant: str, place: int | None, pixels: float) -> float:
        """Bytes at the resolution in that place of the group's list, or of None at so many pixels."""
        return self.curves[variant].at(pixels) if place is None else self.tables[variant][place]


class Rehearsed(NamedTuple):
    """A run that was rehearsed. Bytes of the allocator."""

    allocated: int
    reserved: int
    least: int | None
    """Reserved bytes with which it still completes, where they were sought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The laws of one runtime, task, width and generation of GPUs."""

    runtime: str
    task: str
    width: str
    generation: str
    """One of GENERATIONS, or OTHER_PROGRAM."""
    phases: Mapping[str, Law]
    """Allocated bytes at the peak of each phase, in order, weights not counted."""
    reserved: Law
    """Reserved bytes at the end, weights not counted."""
    provenance: str
    """Of what was fitted: rehearsed or published."""
    places: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """Where a resolution, shorter side first, stands in the laws' tables."""
    run: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """By variant: the places of resolutions that were run on this generation; the others are taken from another."""
    known: Mapping[tuple[str, tuple[int, int]], Mapping[str, Rehearsed]] = field(default_factory=dict)
    """Runs by variant and resolution, then by name_of."""
    most_reserved: float = inf
    """The most that any run reserved of what it allocated; math attention keeps scores of every length, and more."""
    largest_pixels: int
    """Of the resolutions that were fitted to, as are the following."""
    largest_objects: int
    largest_frame_pixels: int
    """Of the source's pictures."""

    def was_run(self, variant: str, resolution: tuple[int, int]) -> bool:
        """Whether the variant was run at that resolution on this generation."""
        place = self.places.get((min(resolution), max(resolution)))
        return place is not None and place in self.run.get(variant, ())


KINDS = USUAL, OTHER = "usual", "other"
"""Of runs: at a resolution that was rehearsed, as planning proposes it first; and all else (beyond.is_usual)."""
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

    groups: Mapping[Key, Group]
    """By runtime, task, width and generation."""
    margins: Mapping[tuple[str, str, str], Margin]
    """By runtime, task and kind (USUAL or OTHER): of reserved bytes."""
    least: Mapping[tuple[str, str], float]
    """By runtime and task: the share of the cache, what is reserved beyond what is allocated, that a run cannot give
    back when memory runs short."""
    beyond: float
    """Relative, of reserved bytes: how far more pixels than were fitted to lay above the prediction, when held out."""
    corrections: tuple[Correction, ...]
    profiles: tuple[str, ...]
    memory_model: str
    """Name of this fit."""
    versions: Mapping[str, str]
    """Of the packages that were rehearsed."""

    def group(self, runtime: str, task: str, width: str, generation: str) -> Group | None:
        """The laws of a generation; where it has none those of most cards, and of the published program its own."""
        for name in (generation, generation_of(None), OTHER_PROGRAM):
            found = self.groups.get((runtime, task, width, name))
            if found is not None:
                return found
        return None


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
        raise FileError(f"{path}: not a file of coefficients: {error}.", REMAKE) from error


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
        margins={(*_task(entry), _word(entry["kind"], KINDS)): _margin(entry) for entry in value["margins"]},
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
            self._texts[found[1], found[2], found[3], found[4]] = line

    def __getitem__(self, key: Key) -> Group:
        known = self._read.get(key)
        if known is None:
            text = self._texts[key]
            try:
                known = self._read[key] = _group(json.loads(text))
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                where = self._path or "the coefficients"
                raise FileError(f"{where}: the group {' '.join(key)} cannot be read: {error}.", REMAKE) from error
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
    runtime, task, width, generation = entry["group"]
    return Group(
        runtime=_word(runtime, RUNTIMES),
        task=_word(task, TASKS),
        width=_word(width, WIDTHS),
        generation=_word(generation, (*GENERATIONS, OTHER_PROGRAM)),
        phases={name: _law(law, pixels, len(places)) for name, law in entry["phases"].items()},
        reserved=_law(entry["reserved"], pixels, len(places)),
        provenance=_word(entry["provenance"], ("rehearsed", "published")),
        places=places,
        run={_word(variant, VARIANTS): frozenset(map(int, found)) for variant, found in entry["run"].items()},
        known=_known(entry["known"]),
        most_reserved=_most(entry["most_reserved"]),
        largest_pixels=pixels[-1],
        largest_objects=int(entry["largest_objects"]),
        largest_frame_pixels=int(entry["largest_frame_pixels"]),
    )


def _most(value: Any) -> float:
    if value is not None and not 1 <= value < inf:
        raise ValueError(f"{value!r} is no ratio of reserved to allocated bytes")
    return inf if value is None else float(value)


def _known(entries: Any) -> dict[tuple[str, tuple[int, int]], dict[str, Rehearsed]]:
    found: dict[tuple[str, tuple[int, int]], dict[str, Rehearsed]] = {}
    for name, sizes in entries.items():
        variant, _, height, width, _ = name.split(" ", 4)
        allocated, reserved, least = sizes
        if not 0 < allocated <= reserved or (least is not None and not allocated <= least <= reserved):
            raise ValueError(f"{sizes!r} are not the bytes of a run")
        found.setdefault((variant, (int(height), int(width))), {})[name] = Rehearsed(allocated, reserved, least)
    return found


def _law(entry: Any, pixels: tuple[int, ...], places: int) -> Law:
    return Law(
        curves={variant: _curve(entry["curves"][variant], pixels) for variant in VARIANTS},
        growth=_growth(entry),
        spill=_spill(entry["spill"]),
        tables={variant: _table(entry["tables"][variant], places) for variant in VARIANTS if places},
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


def _task(entry: Any) -> tuple[str, str]:
    return _word(entry["runtime"], RUNTIMES), _word(entry["task"], TASKS)


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
