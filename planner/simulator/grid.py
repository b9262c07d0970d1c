"""The grid of simulated points that a memory model can be fitted to, run resumably over a few processes.

Thinned where a factor adds the same bytes whatever the others are: the two half precisions are byte for byte
alike, objects and frames add what one more of them adds (tests/simulator hold both), so two values of each say all.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from planner.domain import VARIANTS
from planner.errors import PlannerError
from planner.journal import append, open_journal, read_journal

SIDES = (512, 768, 1024, 1536, 2048)
PRECISIONS = ("autocast_bfloat16", "float32", "float16")
SAME_WIDTH_PRECISIONS = ("autocast_float16", "bfloat16")
FRAMES = 24
FULL_HD, SMALL_FRAME, LARGE_FRAME = (1080, 1920), (480, 854), (2160, 3840)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One simulation to be run; the fields are simulate's arguments."""

    task: str
    variant: str
    version: str = "2.1"
    resolution: int = 1024
    frames: int = 1
    objects: int = 1
    precision: str = "autocast_bfloat16"
    frame_size: tuple[int, int] = FULL_HD
    offload_video: bool = False
    offload_state: bool = False
    points_per_batch: int = 64

    @property
    def id(self) -> str:
        """A name that says all fields, the same in every run."""
        size = "x".join(map(str, self.frame_size))
        words = [self.task, self.variant, self.version, str(self.resolution), self.precision, size]
        if self.task == "video":
            words += [f"{self.frames}f", f"{self.objects}o"]
            words += ["offload-video"] * self.offload_video + ["offload-state"] * self.offload_state
        if self.task == "automask":
            words.append(f"{self.points_per_batch}p")
        return "-".join(words)


def grid() -> list[Point]:
    """The points, cheap ones first within a task so that an interrupted run is worth something."""
    return list({point.id: point for point in (*_images(), *_videos(), *_automasks())}.values())


def _images() -> Iterator[Point]:
    for side in SIDES:
        for variant in VARIANTS:
            for precision in PRECISIONS:
                yield Point(task="image", variant=variant, resolution=side, precision=precision)
    for variant in VARIANTS:
        for precision in SAME_WIDTH_PRECISIONS:
            yield Point(task="image", variant=variant, precision=precision)
        yield Point(task="image", variant=variant, version="2.0")
    for size in (SMALL_FRAME, LARGE_FRAME):
        yield Point(task="image", variant="tiny", frame_size=size)


def _videos() -> Iterator[Point]:
    for side in SIDES:
        for variant in VARIANTS:
            for precision in PRECISIONS:
                for objects in (1, 3):
                    yield Point(
                        task="video", variant=variant, resolution=side, precision=precision, objects=objects,
                        frames=FRAMES,
                    )  # fmt: skip
    for variant in VARIANTS:
        yield Point(task="video", variant=variant, version="2.0", frames=FRAMES)
        for precision in PRECISIONS:
            for state in (False, True):
                yield Point(
                    task="video", variant=variant, precision=precision, frames=FRAMES, objects=3, offload_video=True,
                    offload_state=state,
                )  # fmt: skip
    for frames in (60, 240, 1000):
        yield Point(task="video", variant="tiny", frames=frames, objects=2)
    for size in (SMALL_FRAME, LARGE_FRAME):
        yield Point(task="video", variant="tiny", frames=FRAMES, objects=3, frame_size=size)


def _automasks() -> Iterator[Point]:
    for variant in VARIANTS:
        for precision in PRECISIONS:
            for points in (64, 16):
                yield Point(task="automask", variant=variant, precision=precision, points_per_batch=points)
        yield Point(task="automask", variant=variant, resolution=512)
        yield Point(task="automask", variant=variant, version="2.0")
    for size in (SMALL_FRAME, LARGE_FRAME):
        yield Point(task="automask", variant="tiny", frame_size=size)


def run_grid(
    points: Sequence[Point],
    journal: Path,
    workers: int = 2,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """All rows by id, running those that the journal lacks; each is on disk before the next counts as done.

    A point that fails is a row with an error. Interrupting loses only the points under way.
    """
    rows = read_journal(journal)
    todo = [point for point in points if point.id not in rows]
    done = len(points) - len(todo)
    context = multiprocessing.get_context("spawn")
    with open_journal(journal) as file, ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting: dict[Future[dict[str, Any]], Point] = {}
        queue = iter(todo)
        try:
            while True:
                # Few ahead, so that an interrupt has little to wait for.
                while len(waiting) < workers and (point := next(queue, None)) is not None:
                    waiting[pool.submit(run_point, point)] = point
                if not waiting:
                    return rows
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    point = waiting.pop(future)
                    rows[point.id] = future.result()
                    append(file, rows[point.id])
                    done += 1
                    if progress:
                        progress(done, len(points), point.id)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run_point(point: Point) -> dict[str, Any]:
    """The row of one point: its fields and the simulation, or the error."""
    from planner.simulator.simulation import simulate

    fields = asdict(point)
    try:
        found = simulate(stock=True, **fields)
    except PlannerError as error:
        return {"id": point.id, "point": fields, "error": str(error)}
    return {"id": point.id, "point": fields, "simulation": found.to_dict()}
