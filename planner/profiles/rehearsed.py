"""Rehearsed runs as tables: thousands of rows of one machine's campaign, a line each (profiles/rehearsed/*.tsv).

A campaign differs from a profile of measurements in having one environment and many rows, so that what they share
stands once, in the comments above them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal, get_args

from planner.errors import FileError
from planner.nouns.run import SWITCHES, Configuration, Run, Transformers, Usage, Workload, bounds_memory, unusual
from planner.nouns.words import (
    ALL_VARIANTS,
    ATTENTIONS,
    OTHER_MODELS,
    PRECISIONS,
    PROCESSING_DEVICES,
    RUNTIMES,
    TASKS,
    VERSIONS,
    Runtime,
)
from planner.text.spelling import check_word

COLUMNS = (
    "use", "task", "variant", "version", "height", "width", "precision", "attention", "capability", "objects", "batch",
    "frames", "frame_height", "frame_width", *SWITCHES, "allocated", "reserved", "least", "phases",
    "small", "extents", "ways",
)  # fmt: skip
OPTIONAL = (*SWITCHES, "small", "extents", "ways")
"""Columns that a file may lack: where it is older, of segments that do not grow, and ways of calling where all runs are
called as usual."""
MAY_BE_EMPTY = ("small", "extents", "ways")
"""Of these, what no line of a file has is left out of it."""
RehearsedUse = Literal["fit", "drawn", "held_out"]
USES: tuple[RehearsedUse, ...] = get_args(RehearsedUse)
FIT, DRAWN, HELD_OUT = USES
_VERSION = re.compile(r"# (\w+) (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsedRun:
    """One line. Bytes as torch's allocator counted them."""

    run: Run
    usage: Usage
    use: RehearsedUse
    """fit (laid out for it), drawn (at random, fitted to as well) or held_out (drawn and kept apart to judge)."""
    capability: tuple[int, int]


def file_name(run: Run) -> str:
    """The file that holds a run: of its runtime, and of its model where that is not SAM 2."""
    variant = run.configuration.variant
    return f"{run.runtime}-{variant}.tsv" if variant in OTHER_MODELS else f"{run.runtime}.tsv"


def runs_text(runs: Iterable[RehearsedRun], versions: Mapping[str, str]) -> str:
    """The file of runs of one runtime, sorted. `versions`: of the packages that ran."""
    out = StringIO()
    out.write("# Rehearsed: the real code on torch's own CUDA build and imaginary GPUs (scripts/rehearse_grid.py).\n")
    out.write("# Not measured on a GPU. Bytes; least: what the allocator still completes with, where it was sought.\n")
    for name, version in versions.items():
        out.write(f"# {name} {version}\n")
    writer = csv.writer(out, dialect="excel-tab", lineterminator="\n")
    rows = sorted(map(_cells, runs))
    columns = [place for place, name in enumerate(COLUMNS) if name not in MAY_BE_EMPTY or any(r[place] for r in rows)]
    writer.writerows([row[place] for place in columns] for row in (list(COLUMNS), *rows))
    return out.getvalue()


def read_runs(path: Path) -> tuple[list[RehearsedRun], dict[str, str]]:
    """The runs of a file, whose name begins with the runtime, and the versions it names.

    Raises FileError for a broken one.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: cannot be read: {error}.") from error
    versions = {found[1]: found[2] for line in lines if (found := _VERSION.fullmatch(line))}
    body = [line for line in lines if not line.startswith("#")]
    rows = csv.DictReader(body, dialect="excel-tab")
    columns = tuple(rows.fieldnames or ())
    if columns != tuple(name for name in COLUMNS if name in columns or name not in OPTIONAL):
        raise FileError(f"{path}: its columns are not {', '.join(COLUMNS)}.", "Make it with scripts/rehearse_grid.py.")
    runs = []
    for number, row in enumerate(rows, 2):
        try:
            runs.append(_run(check_word(path.stem.partition("-")[0], "runtime", RUNTIMES), row))
        except (ValueError, KeyError, TypeError) as error:
            why = str(error).rstrip(".")
            raise FileError(f"{path}, row {number}: {why}.", "Make it with scripts/rehearse_grid.py.") from error
    return runs, versions


def _cells(one: RehearsedRun) -> list[str]:
    c, w, usage = one.run.configuration, one.run.workload, one.usage
    values: list[Any] = [
        one.use, w.task, c.variant, c.version, *c.resolution, c.precision, c.attention,
        f"{one.capability[0]}.{one.capability[1]}", w.objects, c.object_batch, w.frames, *w.frame_size,
        *(int(getattr(c, name)) for name in SWITCHES), usage.allocated_bytes, usage.reserved_bytes,
        "" if usage.least_bytes is None else usage.least_bytes,
        _sizes_text(usage.phases), "" if usage.small_bytes is None else usage.small_bytes,
        _sizes_text(usage.extents), _ways(one.run),
    ]  # fmt: skip
    return [str(value) for value in values]


def _sizes_text(sizes: Mapping[str, int]) -> str:
    return " ".join(f"{name}={size}" for name, size in sizes.items())


def _sizes(text: str) -> dict[str, int]:
    return {name: int(size) for name, size in (part.split("=") for part in text.split())}


def _ways(run: Run) -> str:
    """What of how it is called is not as usual."""
    words = ["keeps-all"] * (run.runtime == "ultralytics" and not run.configuration.bounded_memory_bank)
    return " ".join([*words, *(f"{name}={value}" for name, value in unusual(run.transformers).items())])


def _run(runtime: Runtime, row: Mapping[str, str]) -> RehearsedRun:
    major, minor = row["capability"].split(".")
    ways = dict(word.partition("=")[::2] for word in (row.get("ways") or "").split())
    configuration = Configuration(
        variant=check_word(row["variant"], "variant", ALL_VARIANTS),
        version=check_word(row["version"], "version", VERSIONS),
        resolution=(int(row["height"]), int(row["width"])),
        precision=check_word(row["precision"], "precision", PRECISIONS),
        attention=check_word(row["attention"], "attention", ATTENTIONS),
        object_batch=int(row["batch"]),
        bounded_memory_bank=bounds_memory(runtime, keep_all="keeps-all" in ways),
        **{name: row.get(name) == "1" for name in SWITCHES},
    )
    workload = Workload(
        task=check_word(row["task"], "task", TASKS),
        objects=int(row["objects"]),
        frames=int(row["frames"]),
        frame_size=(int(row["frame_height"]), int(row["frame_width"])),
    )
    usage = Usage(
        allocated_bytes=int(row["allocated"]),
        reserved_bytes=int(row["reserved"]),
        least_bytes=int(row["least"]) if row["least"] else None,
        phases=_sizes(row["phases"]),
        small_bytes=int(row["small"]) if row.get("small") else None,
        extents=_sizes(row.get("extents") or ""),
    )
    transformers = Transformers(
        streaming="streaming" in ways,
        processing_device=check_word(ways.get("processing_device", "cuda"), "device", PROCESSING_DEVICES),
    )
    run = Run(runtime=runtime, configuration=configuration, workload=workload, transformers=transformers)
    return RehearsedRun(
        run=run, usage=usage, use=check_word(row["use"], "use", USES), capability=(int(major), int(minor))
    )
