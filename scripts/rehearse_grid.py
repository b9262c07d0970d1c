#!/usr/bin/env python3
"""Rehearse the runs that the memory model is fitted to and judged by, and write them as profiles.

    python scripts/rehearse_grid.py            run what the journal lacks, then write profiles/rehearsed/*.tsv
    python scripts/rehearse_grid.py --list     print the runs
    python scripts/rehearse_grid.py --runtime transformers --journal hf.jsonl     of another runtime
    python scripts/rehearse_grid.py --model edgetam --journal edgetam.jsonl     of a model of transformers'

Interrupt it at any time and run it again: the journal keeps every finished run. It takes about two hours on two cores.
Rehearsed, all of it: torch's own CUDA build on imaginary GPUs; nothing here was measured on a GPU.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from planner.driving.least import least_of
from planner.measure.forking import Forks, kept
from planner.measure.grid import Point, points
from planner.measure.grid_others import points as points_of
from planner.measure.trial import RAN, Outcome, Trial
from planner.nouns.run import Usage
from planner.nouns.words import DRIVEN_RUNTIMES, OTHER_MODELS, OTHER_RUNTIMES
from planner.profiles.rehearsed import DRAWN, RehearsedRun, file_name, runs_text
from planner.rehearsal.machine import imaginary_gpu
from planner.text.files import read_journal, write
from planner.text.locations import profiles_folder

JUDGES, FITTED = 560, 700
OF_OTHERS = 150, 300
"""The same of transformers and of Ultralytics."""
OF_MODELS = 15, 35
"""The same of EdgeTAM and of SAM 3's tracker."""
QUICK_SECONDS = 3.0
ENOUGH_BYTES = 300 * 2**30
"""Of the imaginary GPU: nothing runs out, so that the allocator never gives cache back."""


def rehearsed(forks: Forks, point: Point) -> dict[str, Any]:
    """The row of a point."""
    began = time.perf_counter()
    gpu = imaginary_gpu(capability=point.capability, total_bytes=ENOUGH_BYTES)
    trial = Trial.of(point.run)
    found = forks.run(trial, gpu)
    row = {"id": point.id, "use": point.use, "capability": list(point.capability), "trial": trial.to_dict()}
    return row | _figures(found) | {"seconds": round(time.perf_counter() - began, 2)}


def _figures(found: Outcome) -> dict[str, Any]:
    if found.outcome != RAN:
        return {"error": found.error or found.outcome}
    versions = {name: value for name, value in found.versions.items() if name != "driver"}
    return {
        "allocated": found.allocated_bytes,
        "reserved": found.reserved_bytes,
        "phases": found.usage.phases,
        "small": found.usage.small_bytes,
        "extents": found.usage.extents,
        "versions": versions,
    }


def least_of_row(forks: Forks, point: Point, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the reserved bytes in which it still completes, by running it on smaller and smaller GPUs."""
    began = time.perf_counter()

    def completes(total_bytes: int) -> bool:
        gpu = imaginary_gpu(capability=point.capability, total_bytes=total_bytes, context_bytes=0)
        return forks.run(Trial.of(point.run), gpu).outcome == RAN

    least = least_of(completes, row["reserved"], row["allocated"], 0)
    # A granule of the driver is no more than it, and may be less than what is allocated.
    return {**row, "least": max(least, row["allocated"]), "least_seconds": round(time.perf_counter() - began, 2)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, and write the profiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journal", type=Path, default=Path("rehearsed-grid.jsonl"), help="finished runs")
    parser.add_argument("--out", type=Path, default=profiles_folder() / "rehearsed", help="folder of the profiles")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs side by side")
    parser.add_argument("--least", type=int, metavar="N", help="of N runs that the journal has, what they complete in")
    parser.add_argument("--write-only", action="store_true", help="run nothing, write what the journal has")
    parser.add_argument("--runtime", choices=DRIVEN_RUNTIMES, help="of this runtime instead of own and stock")
    parser.add_argument("--model", choices=OTHER_MODELS, help="of this model, in transformers")
    parser.add_argument("--list", action="store_true", help="print the runs and stop")
    options = parser.parse_args(arguments)
    if options.runtime in OTHER_RUNTIMES:
        every = points_of(options.runtime, *OF_OTHERS)
    else:
        every = [one for one in points(JUDGES, FITTED) if options.runtime in (None, one.run.runtime)]
    if options.model:
        every = points_of("transformers", *OF_MODELS, variants=(options.model,))
    if options.list:
        print("\n".join(point.id for point in every))
        return 0
    if options.write_only:
        write_profiles(every, read_journal(options.journal), options.out)
        return 0
    rows = read_journal(options.journal)
    if options.least:
        points_of_least = least_points(every, rows)[: options.least]
        todo, total = [point for point in points_of_least if "least" not in rows[point.id]], len(points_of_least)
    else:
        todo, total = [point for point in every if point.id not in rows], len(every)

    def row_of(forks: Forks, point: Point) -> dict[str, Any]:
        return least_of_row(forks, point, rows[point.id]) if options.least else rehearsed(forks, point)

    for number, row in enumerate(kept(options.journal, todo, row_of, options.jobs), total - len(todo) + 1):
        told = row.get("error") or f"{row['reserved'] / 1e6:,.0f} MB reserved"
        told += f", least {row['least'] / 1e6:,.0f} MB" if "least" in row else ""
        print(f"[{number}/{total}] {row['id']}: {told}, {row['seconds']} s", file=sys.stderr)
    write_profiles(every, read_journal(options.journal), options.out)
    return 0


def least_points(every: Sequence[Point], rows: Mapping[str, Mapping[str, Any]]) -> list[Point]:
    """Those of which the least may be sought, of each runtime and task in turn.

    Drawn at random and fitted to, and done in seconds, since each takes some ten runs.
    """
    quick = [point for point in ran(every, rows) if point.use == DRAWN and rows[point.id]["seconds"] < QUICK_SECONDS]
    quick.sort(key=lambda point: crc32(point.id.encode()))
    seen: Counter[tuple[str, str]] = Counter()
    turns = {}
    for point in quick:
        kind = point.run.runtime, point.run.workload.task
        turns[point.id] = seen[kind]
        seen[kind] += 1
    return sorted(quick, key=lambda point: turns[point.id])


def ran(every: Sequence[Point], rows: Mapping[str, Mapping[str, Any]]) -> list[Point]:
    """The points that the journal has and that did not fail."""
    return [point for point in every if point.id in rows and "error" not in rows[point.id]]


def write_profiles(every: Sequence[Point], rows: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """What ran of the points, a file for each runtime and model."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(file_name(point.run) for point in every):
        points = [point for point in ran(every, rows) if file_name(point.run) == name]
        runs = [_run(point, rows[point.id]) for point in points]
        versions: Mapping[str, str] = next(iter(rows[point.id]["versions"] for point in points), {})
        write(folder / name, runs_text(runs, versions))
        print(f"{name}: {len(runs)} runs", file=sys.stderr)


def _run(point: Point, row: Mapping[str, Any]) -> RehearsedRun:
    usage = Usage(
        allocated_bytes=row["allocated"],
        reserved_bytes=row["reserved"],
        least_bytes=row.get("least"),
        phases=row["phases"],
        small_bytes=row.get("small"),
        extents=row.get("extents", {}),
    )
    return RehearsedRun(run=point.run, usage=usage, use=point.use, capability=point.capability)


if __name__ == "__main__":
    sys.exit(main())
