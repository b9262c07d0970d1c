#!/usr/bin/env python3
"""The runtime against sam2's own predictors, side by side in one run: seconds, and their ratio.

Both start from the same JPEG files and end at boolean masks on the host, with random weights. Repeats alternate, so
that a busy machine slows both; medians are printed. A ratio below 1 means that the runtime is faster.

    scripts/benchmark_runtime.py --resolution 256 --variants tiny,base_plus
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image

import planner
from planner.driving import stock
from planner.driving.clips import Black
from planner.driving.watch import Watch
from planner.nouns.run import Configuration, Run, Workload
from planner.nouns.words import Task, Variant

PRECISIONS = ("float32", "autocast_bfloat16", "autocast_float16")
MANY = 10
"""Objects of the comparison of passes."""
POINTS = 8
"""Points per side of automatic masks."""

Action = Callable[[], object]


class Files(Black):
    """A folder of pictures that is there."""

    def __init__(self, frames: int, size: tuple[int, int], path: Path) -> None:
        super().__init__(frames, size)
        self.path = path

    def picture(self, number: int) -> numpy.ndarray:
        """Decoded."""
        return numpy.asarray(Image.open(self.path / f"{number:05d}.jpg"))

    @contextlib.contextmanager
    def folder(self) -> Iterator[str]:
        """As it is."""
        yield str(self.path)


class Masks(Watch):
    """Brings the masks of a video to the host, as whoever tracks would."""

    def holds(self, component: str, held: Any) -> None:
        """Of a frame."""
        if component == "outputs" and isinstance(held, torch.Tensor):
            (held > 0).cpu().numpy()


class Bench:
    """One variant, loaded by both sides."""

    def __init__(self, options: argparse.Namespace, variant: Variant, folder: Path) -> None:
        self.options, self.variant, self.folder = options, variant, folder
        self.device = options.device
        self.picture = numpy.asarray(Image.open(folder / "00000.jpg"))
        height, width = self.picture.shape[:2]
        steps = numpy.linspace(0.05, 0.6, MANY)
        self.boxes = [[width * s, height * s, width * (s + 0.3), height * (s + 0.3)] for s in steps]

    # -- sam2 -----------------------------------------------------------------------------------------

    def run(self, task: Task, objects: int = 1) -> Run:
        """What sam2's own predictors are asked to do."""
        side = self.options.resolution
        return Run(
            runtime="stock",
            configuration=Configuration(
                variant=self.variant,
                version="2.1",
                resolution=(side, side),
                precision=self.options.precision,
                object_batch=64 if task == "automask" else 1,
                bounded_memory_bank=False,
            ),
            workload=Workload(
                task=task, objects=objects, frames=self.options.frames, frame_size=self.picture.shape[:2]
            ),
        )

    def stock(self, task: Task) -> Any:
        """sam2's model at the resolution."""
        torch.manual_seed(0)
        return stock.load(self.run(task), self.device, Watch())

    def drive(self, model: Any, task: Task, objects: int = 1, **options: Any) -> None:
        """Let sam2's predictors do it."""
        clip = Files(self.options.frames, self.picture.shape[:2], self.folder)
        stock.drive(self.run(task, objects), model, Masks(), clip, rounds=1, **options)

    # -- the runtime ----------------------------------------------------------------------------------

    def session(self, *, object_batch: int = 1) -> Any:
        """The same configuration, loaded by the runtime."""
        side = self.options.resolution
        configuration = Configuration(
            variant=self.variant,
            version="2.1",
            resolution=(side, side),
            precision=self.options.precision,
            object_batch=object_batch,
        )
        return planner.load(configuration, device=self.device, random_weights=True)

    def video(self, session: Any, objects: int) -> None:
        """Track `objects` through the clip."""
        prompts = [{"frame": 0, "object": number, "box": box} for number, box in enumerate(self.boxes[:objects], 1)]
        for _ in session.track(self.folder, prompts):
            pass

    # -- comparisons ----------------------------------------------------------------------------------

    def comparisons(self) -> Iterator[tuple[str, float, dict[str, Action]]]:
        """(what, by how much to divide, {side: what to time})."""
        frames = float(self.options.frames)
        model, session, batched = self.stock("video"), self.session(), self.session(object_batch=MANY)
        still, points = self.stock("image"), self.session(object_batch=64)
        for objects in self.options.objects:
            yield (
                f"video, {objects} object{'s' * (objects > 1)}, per frame",
                frames,
                {
                    "stock": lambda n=objects: self.drive(model, "video", n),  # type: ignore[misc]
                    "runtime": lambda n=objects: self.video(session, n),  # type: ignore[misc]
                },
            )
        yield (
            f"video, {MANY} objects, per frame",
            frames,
            {
                "stock": lambda: self.drive(model, "video", MANY),
                "runtime": lambda: self.video(session, MANY),
                f"runtime, passes of {MANY}": lambda: self.video(batched, MANY),
            },
        )
        yield (
            "image, one box",
            1.0,
            {
                "stock": lambda: self.drive(still, "image"),
                "runtime": lambda: session.segment(self.picture, boxes=self.boxes[0]),
            },
        )
        yield (
            f"automask, {POINTS}x{POINTS} points",
            1.0,
            {
                "stock": lambda: self.drive(still, "automask", points_per_side=POINTS, pred_iou_thresh=0.0),
                "runtime": lambda: points.automask(self.picture, points_per_side=POINTS, pred_iou_threshold=0.0),
            },
        )

    def timed(self, side: str, run: Action) -> float:
        """Seconds of one run."""
        began = time.perf_counter()
        if side == "stock":
            with stock.computing(self.run("video"), self.device):
                run()
        else:
            run()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began


def make_clip(folder: Path, frames: int, size: tuple[int, int]) -> None:
    """JPEG files of a square that moves over noise."""
    random = numpy.random.default_rng(0)
    noise = random.integers(0, 255, (*size, 3), dtype=numpy.uint8)
    for index in range(frames):
        picture = noise.copy()
        start = 10 + index
        picture[start : start + size[0] // 4, start : start + size[0] // 4] = (220, 60, 40)
        Image.fromarray(picture).save(folder / f"{index:05d}.jpg")


def measure(bench: Bench, repeats: int) -> Iterator[tuple[str, dict[str, float]]]:
    """(what, {side: median seconds}) of each comparison."""
    for what, count, sides in bench.comparisons():
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        # The first round warms up and does not count.
        for turn in range(repeats + 1):
            for side, run in sides.items():
                taken = bench.timed(side, run)
                if turn:
                    seconds[side].append(taken / count)
        yield what, {side: statistics.median(values) for side, values in seconds.items()}


def parse(words: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--variants", default="tiny,base_plus", type=lambda text: text.split(","))
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--objects", default=[1, 3], type=lambda text: [int(word) for word in text.split(",")])
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", default=(360, 640), type=lambda text: tuple(int(word) for word in text.split("x")))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run and print."""
    options = parse(words)
    name = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    height, width = options.size
    print(f"{name}, torch {torch.__version__}, {options.resolution}x{options.resolution}, {options.precision}")
    print(f"{options.frames} frames of {height}x{width}, median of {options.repeats}")
    print(f"{'variant':10} {'what':30} {'side':24} {'seconds':>9} {'to stock':>9}")
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        # What sam2 says of the machine, and its progress bars, are not what is measured.
        warnings.simplefilter("ignore")
        folder = Path(name)
        make_clip(folder, options.frames, options.size)
        for variant in options.variants:
            bench = Bench(options, variant, folder)
            results = measure(bench, options.repeats)
            while True:
                with contextlib.redirect_stderr(io.StringIO()):
                    result = next(results, None)
                if result is None:
                    break
                what, medians = result
                for side, seconds in medians.items():
                    print(
                        f"{variant:10} {what:30} {side:24} {seconds:9.4f} {seconds / medians['stock']:9.2f}", flush=True
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
