#!/usr/bin/env python3
"""How far `predict` lies from `simulate`, on the points of profiles/simulated/stock.yaml.

Neither is the truth: the one is fitted to published figures of a re-implementation, the other traces the stock code
and was never held against a GPU. Images and videos are predicted as stock runs them (unbounded memory bank).
"""

from __future__ import annotations

from collections import defaultdict
from statistics import median

import planner
from planner.locations import profiles_folder
from planner.measurement import Measurement
from planner.profiles import load_profile
from planner.report.text import table


def errors(row: Measurement) -> tuple[float, float, bool]:
    """Signed relative error of allocated and total, and whether the upper bound covers the simulated total."""
    assert row.variant
    assert row.resolution
    assert row.precision
    peaks = {f.metric: f.bytes for f in row.figures if f.of == "peak" and f.phase is None}
    estimate = planner.predict(
        variant=row.variant,
        resolution=row.resolution,
        task=row.task,
        version=row.version or "2.1",
        precision=row.precision,
        objects=row.objects if row.task != "automask" and row.objects else 1,
        frames=row.frames if row.task == "video" else None,
        frame_size=row.frame_size,
        object_batch=row.object_batch,
        bounded_memory_bank=False,
        offload_video=bool(row.offload_video),
        offload_state=bool(row.offload_state),
    )
    allocated = estimate.allocated_bytes / peaks["allocated"] - 1
    return allocated, estimate.total_bytes / peaks["total"] - 1, estimate.upper_bytes >= peaks["total"]


def main() -> None:
    """Print the errors by task and precision."""
    groups = defaultdict(list)
    for row in load_profile(profiles_folder() / "simulated" / "stock.yaml"):
        groups[row.task, str(row.precision)].append(errors(row))
    lines = [["task", "precision", "n", "allocated: median", "lowest", "highest", "total: median", "lowest", "covered"]]
    for (task, precision), found in sorted(groups.items()):
        allocated, total = [e[0] for e in found], [e[1] for e in found]
        figures = (median(allocated), min(allocated), max(allocated), median(total), min(total))
        covered = f"{sum(e[2] for e in found)}/{len(found)}"
        lines.append([task, precision, str(len(found)), *(f"{figure:+.0%}" for figure in figures), covered])
    print("\n".join(table(lines, right=range(2, 9))))


if __name__ == "__main__":
    main()
