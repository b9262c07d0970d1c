#!/usr/bin/env python3
"""Whether memory stays flat: a generator of many frames, tracked at a low resolution; the process's memory as it goes.

Prints the resident memory (Linux) and, on a GPU, what torch has allocated, every thousand frames; then the slope of a
straight line through the second half.

    scripts/benchmark_constant_memory.py --frames 20000
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy
import torch

import planner
from planner.nouns.run import Configuration

STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Of this process."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def frames(count: int, size: tuple[int, int]) -> Iterator[numpy.ndarray]:
    """Pictures that differ: a bright square goes round over a slope."""
    rows, columns = numpy.mgrid[: size[0], : size[1]]
    slope = numpy.stack([rows, columns, rows + columns], axis=-1).astype(numpy.uint8)
    for index in range(count):
        picture = slope.copy()
        x = index % (size[1] - 20)
        picture[20:50, x : x + 20] = 255
        yield picture


def parse(words: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--every", type=int, default=1000)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--objects", type=int, default=2)
    parser.add_argument("--history", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--most", type=float, default=20.0, help="bytes per frame that are still called flat")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Track and print; 1 where memory grows by more than --most bytes per frame."""
    if not STATM.exists():
        print("Needs Linux: it reads /proc/self/statm.", file=sys.stderr)
        return 2
    options = parse(words)
    size = (90, 120)
    side = options.resolution
    session = planner.load(
        Configuration(variant="tiny", version="2.1", resolution=(side, side), precision="float32"),
        device=options.device,
        random_weights=True,
    )
    prompts = [{"frame": 0, "object": number, "box": [5, 20, 25, 50]} for number in range(1, options.objects + 1)]
    marks: list[tuple[int, int]] = []
    began = time.perf_counter()
    with session.track(frames(options.frames, size), prompts, history=options.history) as tracking:
        for index, _ in tracking:
            if (index + 1) % options.every:
                continue
            marks.append((index + 1, resident_bytes()))
            use = session.memory()
            allocated = "" if use is None else f"   allocated {use.allocated_bytes / 1e6:8.2f} MB"
            rate = (index + 1) / (time.perf_counter() - began)
            print(
                f"{index + 1:7} frames   resident {marks[-1][1] / 1e6:8.2f} MB{allocated}   {rate:5.1f} fps", flush=True
            )
    half = marks[len(marks) // 2 :]
    if len(half) < 2:
        print("Too few marks for a slope: raise --frames or lower --every.", file=sys.stderr)
        return 2
    slope = float(numpy.polyfit([index for index, _ in half], [taken for _, taken in half], 1)[0])
    growth = half[-1][1] - half[0][1]
    print(f"second half: {growth / 1e6:+.2f} MB in all, {slope:+.1f} bytes per frame")
    return 0 if slope <= options.most else 1


if __name__ == "__main__":
    sys.exit(main())
