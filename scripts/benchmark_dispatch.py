#!/usr/bin/env python3
"""What a frame of video costs the host: our runtime beside sam2's own predictor, rehearsed, in pairs in one run.

    python scripts/benchmark_dispatch.py [--variants tiny,large] [--rounds 7]
    python scripts/benchmark_dispatch.py --trade     bytes against kernels: strips of the encoder, objects of a pass

Both run on torch's CUDA build and an imaginary GPU, whose kernels do nothing: the time is what the host alone needs to
ask for them. On a GPU that is faster than its host, as most are with SAM 2 run eagerly, it is the time of a frame;
elsewhere a lower bound of it. Sides take turns; a figure is the median over rounds, of each round's median over frames
with a full memory bank. Seconds are this machine's, ratios and kernels may be quoted.

Both start from the same JPEG files. Columns: "asking", CPU time of the thread that asks for kernels; "clip", seconds of
the whole clip by its frames, reading included: sam2 decodes and resizes all frames before its first, our runtime
meanwhile, in other threads.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import itertools
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
STRIPS_MIB = (8, 16, 32, 64, 128, 1024)
PASSES = (1, 2, 4, 5, 10)


@dataclasses.dataclass(frozen=True)
class Taken:
    """One round of one side: milliseconds and kernels per frame."""

    asking: float
    clip: float
    kernels: float


class Ticks:
    """Marks of time and kernels, frame by frame."""

    def __init__(self) -> None:
        self._kernels: Callable[[], int] = ctypes.CDLL(None).imaginary_kernels
        self.began = time.perf_counter()
        self.marks = [self._now()]

    def _now(self) -> tuple[float, int]:
        return time.thread_time(), self._kernels()

    def tick(self) -> None:
        """A frame is done."""
        self.marks.append(self._now())

    def taken(self) -> Taken:
        """The median frame after the warm ones."""
        steps = [[b - a for a, b in zip(*pair, strict=True)] for pair in itertools.pairwise(self.marks[WARM:])]
        thread, kernels = (statistics.median(column) for column in zip(*steps, strict=True))
        whole = (time.perf_counter() - self.began) / (len(self.marks) - 1)
        return Taken(1e3 * thread, 1e3 * whole, kernels)


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
        ticks = Ticks()
        with stock.computing(run, "cuda"):
            state = model.init_state(str(folder))
            for number, box in enumerate(prompts.boxes(run)):
                model.add_new_points_or_box(state, 0, number, box=box)
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
        ticks = Ticks()
        with session.track(folder, asked) as tracking:
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
                    side: [statistics.median(dataclasses.astuple(one)[column] for one in rows) for column in range(3)]
                    for side, rows in taken.items()
                },
            }


def trade(variant: str, precision: str) -> Iterator[dict[str, Any]]:
    """Bytes and kernels of our runtime, by what a strip may take and by objects of a pass."""
    import torch

    from planner.runtime import encoder

    usual = encoder.STRIP_BYTES
    choices = [(f"strips of {mib} MiB", 1, 1, mib * 2**20) for mib in STRIPS_MIB]
    choices += [(f"10 objects, {batch} a pass", 10, batch, usual) for batch in PASSES]
    for name, objects, batch, strip in choices:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_clip(folder, (1024, 1024))
            encoder.STRIP_BYTES = strip
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            taken = own_side(run_of(variant, precision, objects, (1024, 1024), "own", batch), folder)()
            encoder.STRIP_BYTES = usual
            peaks = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
            yield {"variant": variant, "trade": name, "peaks": peaks, "kernels": taken.kernels}


def inside(options: argparse.Namespace) -> None:
    """On the stage: a JSON row a line."""
    warnings.simplefilter("ignore")
    for variant in options.variants:
        rows = (
            trade(variant, options.precision) if options.trade else compare(variant, options.precision, options.rounds)
        )
        for row in rows:
            print(json.dumps(row), flush=True)


COMPARED = (
    "| variant | case | side | asking, ms | / stock | clip, ms | / stock | kernels | / stock |\n" + "|---" * 9 + "|"
)
TRADED = "| variant | choice | allocated, MB | reserved, MB | kernels a frame |\n" + "|---" * 5 + "|"


def compared(row: dict[str, Any]) -> Iterator[str]:
    """Lines of a table."""
    stock = row["sides"]["stock"]
    for side, figures in row["sides"].items():
        cells = [
            f"{figure:,.{places}f} | {figure / its:.2f}"
            for figure, its, places in zip(figures, stock, (2, 1, 0), strict=True)
        ]
        yield f"| {row['variant']} | {row['case']} | {side} | {' | '.join(cells)} |"


def traded(row: dict[str, Any]) -> Iterator[str]:
    """One line."""
    allocated, reserved = (f"{peak / 1e6:,.0f}" for peak in row["peaks"])
    yield f"| {row['variant']} | {row['trade']} | {allocated} | {reserved} | {row['kernels']:,.0f} |"


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", default="tiny,large", type=lambda text: text.split(","))
    parser.add_argument("--precision", default="autocast_bfloat16")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--trade", action="store_true", help="bytes against kernels, of our runtime")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(options)
        return 0
    from planner.rehearsal.machine import imaginary_gpu
    from planner.rehearsal.stage import SIZES_ONLY, Stage

    print(TRADED if options.trade else COMPARED)
    with Stage([imaginary_gpu(total_bytes=80 * 10**9)], zero_scalars=SIZES_ONLY) as stage:
        words = [sys.executable, __file__, "--inside", *sys.argv[1:]]
        process = subprocess.Popen(words, env=stage.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        for line in process.stdout:
            print(*(traded if options.trade else compared)(json.loads(line)), sep="\n", flush=True)
        return process.wait()


if __name__ == "__main__":
    sys.exit(main())
