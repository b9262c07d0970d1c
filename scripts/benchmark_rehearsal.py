#!/usr/bin/env python3
"""Time rehearsing beside simulating, in one run: a picture, thirty frames of stock video, and the first build.

    python scripts/benchmark_rehearsal.py [--rounds 3]

Each side is a process of its own from its start to its end, imports included, in turn with the other. Seconds are of
this machine; the ratio is what may be quoted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from planner.measure.trial import RAN, Trial, run_trial
from planner.nouns.run import Configuration, Workload
from planner.rehearsal.building import libraries
from planner.rehearsal.machine import imaginary_gpu
from planner.rehearsal.stage import Stage

RUNS = {
    "stock, image, tiny": ("image", 1),
    "stock, video of 30 frames, tiny": ("video", 30),
}


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        libraries(cache=Path(folder))
        print(f"first build: {time.perf_counter() - began:.1f} s")
    print("| run | rehearsed, s | simulated, s | ratio |\n| --- | ---: | ---: | ---: |")
    for name, (task, frames) in RUNS.items():
        pairs = [(_rehearse(task, frames), _simulate(task, frames)) for _ in range(rounds)]
        rehearsed, simulated = (statistics.median(side) for side in zip(*pairs, strict=True))
        print(f"| {name} | {rehearsed:.1f} | {simulated:.1f} | {rehearsed / simulated:.2f} |")
    return 0


def _rehearse(task: Any, frames: int) -> float:
    trial = Trial(
        runtime="stock",
        configuration=Configuration(
            variant="tiny",
            version="2.1",
            resolution=(1024, 1024),
            precision="autocast_bfloat16",
            bounded_memory_bank=False,
        ),
        workload=Workload(task=task, objects=1, frames=frames, frame_size=(1080, 1920)),
    )
    began = time.perf_counter()
    with Stage([imaginary_gpu()]) as stage:
        outcome = run_trial(trial, environment=stage.environment())
    assert outcome.outcome == RAN, outcome.error
    return time.perf_counter() - began


def _simulate(task: str, frames: int) -> float:
    words = ["simulate", "--runtime", "stock", "--task", task, "--variant", "tiny"]
    words += ["--frames", str(frames)] if task == "video" else []
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "planner", *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
