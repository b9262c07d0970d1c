#!/usr/bin/env python3
"""Simulate the points that the memory model is fitted to and judged by, and write them as profiles.

    python scripts/simulate_grid.py            run what the journal lacks, then write profiles/simulated/*.yaml
    python scripts/simulate_grid.py --list     print the points

Interrupt it at any time and run it again: a journal keeps every finished point. It takes about an hour on two cores.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from planner.documents import write
from planner.locations import profiles_folder
from planner.measurement import Environment, Figure, Measurement
from planner.profiles import profile_text
from planner.simulator.grid import Point, grid, random_points, run_grid

CAPABILITY = "8.6"
RANDOM_POINTS = 540
MANY_OBJECTS = 20
"""Points with so many take longest and come last, so that an interrupted run is worth something."""
NO_TENSORS = ("workspaces", "allocator rounding", "allocator cache", "CUDA context")
RUNTIMES = {
    "stock": "stock predictors of the sam2 package",
    "own": "the runtime behind planner.load",
}


def main() -> int:
    """Run the points and write the profiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journal", type=Path, default=Path("simulated-grid.jsonl"), help="finished points")
    parser.add_argument("--out", type=Path, default=profiles_folder() / "simulated", help="folder of the profiles")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes side by side")
    parser.add_argument("--list", action="store_true", help="print the points and stop")
    arguments = parser.parse_args()
    fitted, drawn = grid(), random_points(RANDOM_POINTS)
    points = [*fitted, *drawn]
    random.Random(1).shuffle(points)
    points.sort(key=lambda point: point.objects >= MANY_OBJECTS)
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
    for runtime in RUNTIMES:
        write_profile(arguments.out, runtime, fitted, rows)
        write_profile(arguments.out, f"{runtime}-random", drawn, rows)
    return 1 if failed else 0


def write_profile(folder: Path, name: str, points: Sequence[Point], rows: dict[str, dict[str, Any]]) -> None:
    """The profile of one runtime's points."""
    runtime = name.removesuffix("-random")
    own = [point for point in points if point.stock == (runtime == "stock") and "simulation" in rows[point.id]]
    measurements = [measurement(rows[point.id], f"simulated-{name}") for point in own]
    title = f"{RUNTIMES[runtime]}, traced on fake CUDA tensors and played through a model of torch's caching allocator"
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / f"{name}.yaml", profile_text(measurements, title))
    print(f"{name}: {len(measurements)} points")


def measurement(row: dict[str, Any], profile: str) -> Measurement:
    """The row of a journal as a measurement of a simulated profile."""
    point, found = row["point"], row["simulation"]
    figures = [
        _figure("tensors", sum(part["bytes"] for part in found["components"] if part["name"] not in NO_TENSORS)),
        _figure("allocated", found["allocated_bytes"]),
        _figure("reserved", found["reserved_bytes"]),
        _figure("context", found["context_bytes"]),
        _figure("total", found["total_bytes"]),
        *(_figure("allocated", phase["allocated_bytes"], phase=phase["name"]) for phase in found["phases"]),
    ]
    task, stock = point["task"], point["stock"]
    resolution = point["resolution"]
    batch = 1 if stock else point["object_batch"]
    return Measurement(
        profile=profile,
        id=row["id"],
        kind="simulated",
        use="fit",
        task=task,
        objects=point["objects"],
        frames=None if point["frames"] == "unlimited" else point["frames"],
        frame_size=tuple(point["frame_size"]),
        variant=point["variant"],
        version=point["version"],
        resolution=(resolution, resolution) if isinstance(resolution, int) else tuple(resolution),
        precision=point["precision"],
        attention="auto",
        object_batch=point["points_per_batch"] if task == "automask" else batch,
        bounded_memory_bank=not stock,
        offload_video=point["offload_video"],
        offload_state=point["offload_state"],
        runtime="stock" if stock else "own",
        figures=tuple(figures),
        environment=Environment(
            gpu=f"none: simulated for compute capability {CAPABILITY}",
            torch=version("torch"),
            sam2=version("sam2"),
            command="python scripts/simulate_grid.py",
            implementation=RUNTIMES["stock" if stock else "own"],
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
