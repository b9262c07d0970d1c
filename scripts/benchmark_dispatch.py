#!/usr/bin/env python3
"""What a frame of video costs the host: our runtime beside sam2's own predictor, rehearsed, in pairs in one run.

    python scripts/benchmark_dispatch.py [--variants tiny,large] [--rounds 7]

Both run on torch's CUDA build and an imaginary GPU, whose kernels do nothing: the time is what the host alone needs to
ask for them. On a GPU that is faster than its host, as most are with SAM 2 run eagerly, it is the time of a frame;
elsewhere a lower bound of it. Sides take turns; a figure is the median over rounds, of each round's median over frames
with a full memory bank. Seconds are this machine's, ratios and kernels may be quoted. Both start from the same JPEG
files, and what sam2 decodes before its first frame is left out of its time, not of ours.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from planner.nouns.run import Configuration, Run, Workload

WARM = 20
"""Frames left out: until then the bank and the pointers fill."""
FRAMES = 40
CASES: dict[str, tuple[int, tuple[int, int], dict[str, int]]] = {
    "1 object, 1024x1024": (1, (1024, 1024), {"own": 1}),
    "1 object, 1080x1920": (1, (1080, 1920), {"own": 1}),
    "10 objects, 1024x1024": (10, (1024, 1024), {"own": 1, "own, one pass": 10}),
}
"""Objects, size of frames, and the object batch of each side beside stock."""
SPACES: dict[str, int | None] = {"": None, ", no spare memory": 0}


@dataclasses.dataclass(frozen=True)
class Taken:
    """One round of one side."""

    milliseconds: float
    thread_milliseconds: float
    kernels: float


class Ticks:
    """Marks of time and kernels, frame by frame."""

    def __init__(self) -> None:
        self._kernels: Callable[[], int] = ctypes.CDLL(None).imaginary_kernels
        self.marks = [self._now()]

    def _now(self) -> tuple[float, float, int]:
        return time.perf_counter(), time.thread_time(), self._kernels()

    def tick(self) -> None:
        """A frame is done."""
        self.marks.append(self._now())

    def taken(self) -> Taken:
        """The median frame after the warm ones."""
        steps = [[b - a for a, b in zip(*pair, strict=True)] for pair in zip(self.marks[WARM:], self.marks[WARM + 1 :])]
        wall, thread, kernels = (statistics.median(column) for column in zip(*steps, strict=True))
        return Taken(1e3 * wall, 1e3 * thread, kernels)


def run_of(variant: Any, precision: Any, objects: int, size: tuple[int, int], runtime: Any, batch: int) -> Run:
    """The run of one side."""
    return Run(
        runtime=runtime,
        configuration=Configuration(
            variant=variant,
            version="2.1",
            resolution=(1024, 1024),
            precision=precision,
            object_batch=batch,
            bounded_memory_bank=runtime == "own",
        ),
        workload=Workload(task="video", objects=objects, frames=FRAMES, frame_size=size),
    )


def stock_side(run: Run, folder: Path) -> Callable[[], Taken]:
    """sam2's own predictor, loaded once."""
    from planner.driving import prompts, stock
    from planner.driving.watch import Watch

    model = stock.load(run, "cuda", Watch())

    def once() -> Taken:
        with stock.computing(run, "cuda"):
            state = model.init_state(str(folder))
            for number, box in enumerate(prompts.boxes(run)):
                model.add_new_points_or_box(state, 0, number, box=box)
            ticks = Ticks()
            for output in model.propagate_in_video(state):
                # What whoever wants masks does next; our runtime does it itself.
                (output[2] > 0).cpu()
                ticks.tick()
            return ticks.taken()

    return once


def own_side(run: Run, folder: Path) -> Callable[[], Taken]:
    """Our runtime, loaded once."""
    import planner
    from planner.driving import prompts

    session = planner.load(run.configuration, device="cuda", random_weights=True)
    boxes = prompts.boxes(run).tolist()

    def once() -> Taken:
        asked = [{"frame": 0, "object": number, "box": box} for number, box in enumerate(boxes, 1)]
        with session.track(folder, asked) as tracking:
            ticks = Ticks()
            for _ in tracking:
                ticks.tick()
            return ticks.taken()

    return once


def write_clip(folder: Path, size: tuple[int, int]) -> None:
    """JPEG files, another picture each."""
    from planner.driving.clips import Noise

    clip = Noise(FRAMES, size)
    for number in range(FRAMES):
        clip.write(number, folder / f"{number:05d}.jpg")


def compare(variant: str, precision: str, rounds: int) -> Iterator[dict[str, Any]]:
    """Rows of a variant."""
    for name, (objects, size, sides) in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_clip(folder, size)
            acts = {"stock": stock_side(run_of(variant, precision, objects, size, "stock", 1), folder)}
            for side, batch in sides.items():
                acts[side] = own_side(run_of(variant, precision, objects, size, "own", batch), folder)
            taken: dict[str, list[Taken]] = {side: [] for side in acts}
            for _ in range(rounds):
                for side, act in acts.items():
                    taken[side].append(act())
            yield {
                "variant": variant,
                "case": name,
                "sides": {
                    side: [
                        statistics.median(dataclasses.astuple(one)[column] for one in rows) for column in range(3)
                    ]
                    for side, rows in taken.items()
                },
            }


def inside(options: argparse.Namespace) -> None:
    """On the stage: a JSON row a line."""
    warnings.simplefilter("ignore")
    for variant in options.variants:
        for row in compare(variant, options.precision, options.rounds):
            print(json.dumps(row), flush=True)


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", default="tiny,large", type=lambda text: text.split(","))
    parser.add_argument("--precision", default="autocast_bfloat16")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(options)
        return 0
    from planner.rehearsal.machine import imaginary_gpu
    from planner.rehearsal.stage import SIZES_ONLY, Stage

    print(f"{'variant':8} {'case':24} {'side':16} {'ms':>7} {'to stock':>8} {'thread ms':>9} {'kernels':>8} {'to stock':>8}")
    with Stage([imaginary_gpu(total_bytes=80 * 10**9)], zero_scalars=SIZES_ONLY) as stage:
        words = [sys.executable, __file__, "--inside", *sys.argv[1:]]
        process = subprocess.Popen(words, env=stage.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        for line in process.stdout:
            row = json.loads(line)
            stock = row["sides"]["stock"]
            for side, (wall, thread, kernels) in row["sides"].items():
                print(
                    f"{row['variant']:8} {row['case']:24} {side:16} {wall:7.2f} {wall / stock[0]:8.2f}"
                    f" {thread:9.2f} {kernels:8.0f} {kernels / stock[2]:8.2f}",
                    flush=True,
                )
        return process.wait()


if __name__ == "__main__":
    sys.exit(main())
