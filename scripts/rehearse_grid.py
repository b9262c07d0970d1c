#!/usr/bin/env python3
"""Rehearse the runs that the memory model is fitted to and judged by, and write them as profiles.

    python scripts/rehearse_grid.py            run what the journal lacks, then write profiles/rehearsed/*.tsv
    python scripts/rehearse_grid.py --list     print the runs

Interrupt it at any time and run it again: the journal keeps every finished run. It takes about two hours on two cores.
Rehearsed, all of it: torch's own CUDA build on imaginary GPUs; nothing here was measured on a GPU.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import Any, TextIO

from planner.journal import append, open_journal, read_journal
from planner.locations import profiles_folder
from planner.measure.trial import RAN, Outcome
from planner.rehearsal.forking import Forks
from planner.rehearsal.grid import Point, points
from planner.rehearsal.machine import imaginary_gpu

HELD_OUT, DRAWN = 560, 700
ENOUGH_BYTES = 300 * 2**30
"""Of the imaginary GPU: nothing runs out, so that the allocator never gives cache back."""


def rehearsed(forks: Forks, point: Point) -> dict[str, Any]:
    """The row of a point."""
    began = time.perf_counter()
    gpu = imaginary_gpu(capability=point.capability, total_bytes=ENOUGH_BYTES)
    found = forks.run(point.trial, gpu)
    row = {"id": point.id, "use": point.use, "capability": list(point.capability), "trial": point.trial.to_dict()}
    return row | _figures(found) | {"seconds": round(time.perf_counter() - began, 2)}


def _figures(found: Outcome) -> dict[str, Any]:
    if found.outcome != RAN:
        return {"error": found.error or found.outcome}
    phases = {name: phase["allocated_bytes"] for name, phase in found.phases.items()}
    versions = {name: value for name, value in found.versions.items() if name != "driver"}
    return {
        "allocated": found.allocated_bytes,
        "reserved": found.reserved_bytes,
        "phases": phases,
        "versions": versions,
    }


def work(queue: Queue[Point], file: TextIO, lock: threading.Lock, done: Counter[str], total: int) -> None:
    """Take points until none is left."""
    with Forks() as forks:
        while True:
            try:
                point = queue.get_nowait()
            except Empty:
                return
            row = rehearsed(forks, point)
            with lock:
                append(file, row)
                done["failed" if "error" in row else "ran"] += 1
                told = row.get("error") or f"{row['reserved'] / 1e6:,.0f} MB reserved"
                print(f"[{sum(done.values())}/{total}] {point.id}: {told}, {row['seconds']} s", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, and write the profiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journal", type=Path, default=Path("rehearsed-grid.jsonl"), help="finished runs")
    parser.add_argument("--out", type=Path, default=profiles_folder() / "rehearsed", help="folder of the profiles")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs side by side")
    parser.add_argument("--list", action="store_true", help="print the runs and stop")
    options = parser.parse_args(arguments)
    every = points(HELD_OUT, DRAWN)
    if options.list:
        print("\n".join(point.id for point in every))
        return 0
    rows = read_journal(options.journal)
    queue: Queue[Point] = Queue()
    for point in every:
        if point.id not in rows:
            queue.put(point)
    done, lock = Counter({"ran": len(every) - queue.qsize()}), threading.Lock()
    with open_journal(options.journal) as file:
        threads = [
            threading.Thread(target=work, args=(queue, file, lock, done, len(every)), daemon=True)
            for _ in range(options.jobs)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
