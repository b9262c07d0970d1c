#!/usr/bin/env python3
"""Speed of planning, as ratios within one run: cold command, cold check, warm planning, prediction of a table.

    python scripts/benchmark_planning.py

Prints each figure beside the target it is held against; machines are noisy, so the target is no test. Where there is a
GPU the check looks at it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

import planner
from planner.nouns.words import PRECISIONS, VARIANTS

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


def cold(commands: dict[str, list[str]]) -> dict[str, float]:
    """Median seconds of each, run in turn so that noise hits all alike. A check without a GPU ends with 1."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, words in commands.items():
            start = time.perf_counter()
            done = subprocess.run(words, capture_output=True)
            times[name].append(time.perf_counter() - start)
            assert done.returncode in (0, 1), done.stderr
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    """Print the three figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/plan.yaml"
        planner.plan(task="video", objects=10, vram="2GB").save(path)
        check = [sys.executable, "-m", "planner", "check", path]
        found = cold(
            {
                "imports": [sys.executable, "-c", BASELINE],
                "plan": COMMAND,
                "check": check,
                "check --vram": [*check, "--vram", "2GB"],
            }
        )
    print(f"cold: {' '.join(COMMAND[1:])}")
    print(
        f"  {found['plan'] * 1e3:.0f} ms, {found['plan'] / found['imports']:.2f} x `python -c '{BASELINE}'` "
        f"({found['imports'] * 1e3:.0f} ms)  target 3 x"
    )
    for name in ("check", "check --vram"):
        print(f"  {name}: {found[name] * 1e3:.0f} ms, {found[name] / found['plan']:.2f} x planning  target 2 x")

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
