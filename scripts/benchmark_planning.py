#!/usr/bin/env python3
"""Speed of planning, as ratios within one run: cold command, warm planning, prediction of a table.

    python scripts/benchmark_planning.py

Prints each figure beside the target it is held against; machines are noisy, so the target is no test.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

import planner
from planner.domain import PRECISIONS, VARIANTS

RUNS = 10
TABLE_ROWS = 100_000
BASELINE = "import click, yaml"
COMMAND = [sys.executable, "-m", "planner", "--vram", "2GB", "--task", "video", "--objects", "10"]


def seconds(run: Callable[[], object], runs: int = RUNS) -> float:
    """Median wall-clock seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def cold() -> tuple[float, float]:
    """(baseline, command), run alternately so that noise hits both alike."""
    baseline: list[float] = []
    command: list[float] = []
    for _ in range(RUNS):
        for words, times in (([sys.executable, "-c", BASELINE], baseline), (COMMAND, command)):
            start = time.perf_counter()
            subprocess.run(words, check=True, capture_output=True)
            times.append(time.perf_counter() - start)
    return statistics.median(baseline), statistics.median(command)


def main() -> None:
    """Print the three figures."""
    baseline, command = cold()
    print(f"cold: {' '.join(COMMAND[1:])}")
    print(
        f"  {command * 1e3:.0f} ms, {command / baseline:.2f} x `python -c '{BASELINE}'` "
        f"({baseline * 1e3:.0f} ms)  target 3 x"
    )

    plan = planner.plan(task="video", objects=10, vram="2GB")
    warm = seconds(lambda: planner.plan(task="video", objects=10, vram="2GB"))
    print(f"warm: {plan.candidates:,} candidates in {warm * 1e3:.1f} ms  target 2,000 in 50 ms")
    nothing = seconds(lambda: planner.plan(task="video", objects=10, vram="0.5GB"))
    print(f"  where nothing fits: {nothing * 1e3:.1f} ms")

    random = np.random.default_rng(0)
    columns = {
        "variant": random.choice(VARIANTS, TABLE_ROWS),
        "precision": random.choice(PRECISIONS, TABLE_ROWS),
        "height": random.integers(16, 65, TABLE_ROWS) * 32,
        "width": random.integers(16, 65, TABLE_ROWS) * 32,
    }
    objects = random.integers(1, 50, TABLE_ROWS)
    table = seconds(lambda: planner.predict_table(columns, task="video", objects=objects))
    print(f"table: {TABLE_ROWS:,} predictions in {table * 1e3:.0f} ms  target 200 ms")


if __name__ == "__main__":
    main()
