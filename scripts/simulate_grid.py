#!/usr/bin/env python3
"""Simulate the grid that a memory model can be fitted to, and write it as a profile.

    python scripts/simulate_grid.py            run what the journal lacks, then write profiles/simulated/stock.yaml
    python scripts/simulate_grid.py --list     print the points

Interrupt it at any time and run it again: a journal beside the profile keeps every finished point.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from planner.documents import write
from planner.locations import profiles_folder
from planner.measurement import Environment, Figure, Measurement
from planner.profiles import profile_text
from planner.simulator.grid import grid, run_grid

NAME = "simulated-stock"
CAPABILITY = "8.6"
TITLE = "Stock sam2, traced on fake CUDA tensors and played through a model of torch's caching allocator"


def main() -> int:
    """Run the grid and write the profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journal", type=Path, default=Path("simulated-grid.jsonl"), help="finished points")
    parser.add_argument("--out", type=Path, default=profiles_folder() / "simulated" / "stock.yaml")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes side by side")
    parser.add_argument("--list", action="store_true", help="print the points and stop")
    arguments = parser.parse_args()
    points = grid()
    if arguments.list:
        print("\n".join(point.id for point in points))
        return 0
    # One thread each: the tracer computes nothing, and the processes share the cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    start = time.monotonic()

    def progress(done: int, total: int, name: str) -> None:
        spent = time.monotonic() - start
        print(f"[{done}/{total}] {spent:5.0f} s  {name}", file=sys.stderr, flush=True)

    try:
        rows = run_grid(points, arguments.journal, arguments.workers, progress)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 1
    failed = [row for row in rows.values() if "error" in row]
    for row in failed:
        print(f"failed: {row['id']}: {row['error']}", file=sys.stderr)
    measurements = [measurement(rows[point.id]) for point in points if "simulation" in rows[point.id]]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write(arguments.out, profile_text(measurements, TITLE))
    print(f"{arguments.out.name}: {len(measurements)} points, {len(failed)} failed")
    return 1 if failed else 0


def measurement(row: dict[str, Any]) -> Measurement:
    """The row of a journal as a measurement of a simulated profile."""
    point, found = row["point"], row["simulation"]
    figures = [
        _figure("allocated", found["allocated_bytes"]),
        _figure("reserved", found["reserved_bytes"]),
        _figure("context", found["context_bytes"]),
        _figure("total", found["total_bytes"]),
        *(_figure("allocated", phase["allocated_bytes"], phase=phase["name"]) for phase in found["phases"]),
    ]
    if found["growth"]:
        figures.append(_figure("allocated", found["growth"]["per_frame_bytes"], "per_frame"))
        figures.append(_figure("allocated", found["growth"]["per_object_bytes"], "per_object"))
    task = point["task"]
    return Measurement(
        profile=NAME,
        id=row["id"],
        kind="simulated",
        use="fit",
        task=task,
        objects=point["objects"],
        frames=point["frames"],
        frame_size=tuple(point["frame_size"]),
        variant=point["variant"],
        version=point["version"],
        resolution=(point["resolution"], point["resolution"]),
        precision=point["precision"],
        attention="auto",
        object_batch=point["points_per_batch"] if task == "automask" else point["objects"] if task == "image" else 1,
        bounded_memory_bank=False if task == "video" else None,
        offload_video=point["offload_video"] if task == "video" else None,
        offload_state=point["offload_state"] if task == "video" else None,
        figures=tuple(figures),
        environment=Environment(
            gpu=f"none: simulated for compute capability {CAPABILITY}",
            torch=version("torch"),
            sam2=version("sam2"),
            command="python scripts/simulate_grid.py",
            implementation="stock predictors of the sam2 package",
        ),
        date=date.today().isoformat(),
        url=None,
    )


def _figure(metric: str, size_bytes: int, of: str = "peak", phase: str | None = None) -> Figure:
    return Figure(
        metric=metric,
        read_as=metric,
        of=of,
        relation="equal",
        value=size_bytes,
        unit="B",
        bytes=size_bytes,
        rounding_bytes=0,
        phase=phase,
    )


if __name__ == "__main__":
    sys.exit(main())
