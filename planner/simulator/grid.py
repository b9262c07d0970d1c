"""The points that a memory model is fitted to and judged by, simulated resumably over a few processes.

The grid is thinned where a factor adds the same bytes whatever the others are: the two half precisions are byte for
byte alike, objects add what one more of them adds (tests/simulator hold both). Random points are drawn over the whole
range; each is judged by a model that was fitted without it.
"""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from planner.domain import PRECISIONS, VARIANTS, VERSIONS
from planner.errors import PlannerError
from planner.journal import append, open_journal, read_journal

WIDTHS = ("autocast_bfloat16", "float32", "float16")
"""A precision of each width: the others are alike, byte for byte."""
FRAMES = 24
VGA, HD, FULL_HD, PORTRAIT, ULTRA_HD = (480, 854), (720, 1280), (1080, 1920), (1920, 1080), (2160, 3840)
FRAME_SIZES = (VGA, HD, FULL_HD, FULL_HD, PORTRAIT, ULTRA_HD)
SQUARES = (256, 384, 512, 576, 640, 704, 768, 832, 896, 960, 1024, 1152, 1280, 1408, 1536, 1792, 2048)
OBLONGS = ((448, 768), (512, 896), (576, 1024), (1024, 576), (768, 1024), (512, 1024), (1088, 1920))
VIDEO_SQUARES = (256, 384, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048)
FEW_SQUARES = (512, 768, 1024, 2048)

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One simulation to be run; the fields are simulate's arguments."""

    task: str
    variant: str
    stock: bool = True
    version: str = "2.1"
    resolution: int | Size = 1024
    frames: int | None = 1
    """None is a clip without end."""
    objects: int = 1
    object_batch: int = 1
    precision: str = "autocast_bfloat16"
    frame_size: Size = FULL_HD
    offload_video: bool = False
    offload_state: bool = False
    points_per_batch: int = 64

    @property
    def id(self) -> str:
        """A name that says all fields, the same in every run."""
        words = ["stock" if self.stock else "own", self.task, self.variant, self.version, _words(self.resolution)]
        words += [self.precision, _words(self.frame_size)]
        if self.task == "automask":
            words.append(f"{self.points_per_batch}p")
        else:
            words.append(f"{self.objects}o")
        if self.task == "video":
            words.append(f"{self.frames}f" if self.frames else "endless")
            words += [f"{self.object_batch}b"] * (not self.stock)
            words += ["offload-video"] * self.offload_video + ["offload-state"] * self.offload_state
        return "-".join(words)


def grid() -> list[Point]:
    """The points to fit to, each once."""
    every = (*_own(), *_stock())
    return list({point.id: point for point in every}.values())


def random_points(count: int, seed: int = 0) -> list[Point]:
    """Points to judge by, drawn over everything that can be asked for; none is in the grid."""
    known = {point.id for point in grid()}
    drawn: dict[str, Point] = {}
    source = random.Random(seed)
    while len(drawn) < count:
        point = _draw(source)
        if point.id not in known:
            drawn[point.id] = point
    return list(drawn.values())


def _words(size: int | Size) -> str:
    return str(size) if isinstance(size, int) else "x".join(map(str, size))


def _own() -> Iterator[Point]:
    for variant in VARIANTS:
        for precision in WIDTHS:
            own: dict[str, Any] = {"variant": variant, "stock": False, "precision": precision}
            for resolution in (*SQUARES, *OBLONGS):
                yield Point(task="image", resolution=resolution, **own)
            for resolution in (*VIDEO_SQUARES, *OBLONGS[1::2]):
                yield Point(task="video", resolution=resolution, frames=None, **own)
            yield from _own_sharing(variant, precision)
            yield from _own_automasks(variant, precision)


def _own_sharing(variant: str, precision: str) -> Iterator[Point]:
    """Several objects, in passes of one and of more, and the memory bank on the host."""
    for side in FEW_SQUARES[:-1]:
        for objects, batch, offload in ((4, 1, False), (4, 1, True), (8, 4, False)):
            yield Point(
                task="video", variant=variant, stock=False, precision=precision, resolution=side, objects=objects,
                object_batch=batch, offload_state=offload, frames=None,
            )  # fmt: skip
    if variant == "tiny":
        for objects, batch, offload in ((16, 8, False), (12, 2, False), (8, 8, True)):
            yield Point(
                task="video", variant=variant, stock=False, precision=precision, objects=objects,
                object_batch=batch, offload_state=offload, frames=None,
            )  # fmt: skip
        for size in (VGA, PORTRAIT, ULTRA_HD):
            yield Point(
                task="video", variant=variant, stock=False, precision=precision, resolution=512, objects=2,
                frame_size=size, frames=None,
            )  # fmt: skip
        for objects in (5, 20):
            yield Point(task="image", variant=variant, stock=False, precision=precision, objects=objects)


def _own_automasks(variant: str, precision: str) -> Iterator[Point]:
    for side in (256, 512, 640, 768, 1024, 1280, 1536, 2048):
        for points in (64, 16) if side in FEW_SQUARES else (64,):
            yield Point(
                task="automask", variant=variant, stock=False, precision=precision, resolution=side,
                points_per_batch=points,
            )  # fmt: skip
    for side in (512, 1024):
        for points in (1, 4):
            yield Point(
                task="automask", variant=variant, stock=False, precision=precision, resolution=side,
                points_per_batch=points,
            )  # fmt: skip
    if variant == "tiny":
        for points in (8, 32):
            yield Point(task="automask", variant=variant, stock=False, precision=precision, points_per_batch=points)
        for size in (VGA, PORTRAIT, ULTRA_HD):
            yield Point(task="automask", variant=variant, stock=False, precision=precision, frame_size=size)


def _stock() -> Iterator[Point]:
    for variant in VARIANTS:
        for precision in WIDTHS:
            for side in SQUARES:
                yield Point(task="image", variant=variant, resolution=side, precision=precision)
            for side in VIDEO_SQUARES:
                yield Point(task="video", variant=variant, resolution=side, precision=precision, frames=FRAMES)
            for side in FEW_SQUARES:
                yield Point(
                    task="video", variant=variant, resolution=side, precision=precision, objects=3, frames=FRAMES
                )
                yield Point(task="automask", variant=variant, resolution=side, precision=precision)
            for state in (False, True):
                yield Point(
                    task="video", variant=variant, precision=precision, frames=FRAMES, objects=3, offload_video=True,
                    offload_state=state,
                )  # fmt: skip
            for points in (8, 16):
                yield Point(task="automask", variant=variant, precision=precision, points_per_batch=points)
    for precision in WIDTHS:
        for side in (512, 1024):
            for frames, objects in ((100, 1), (1000, 1), (60, 8), (300, 4)):
                yield Point(
                    task="video", variant="tiny", resolution=side, precision=precision, frames=frames, objects=objects
                )
        for size in (VGA, PORTRAIT, ULTRA_HD):
            yield Point(task="video", variant="tiny", precision=precision, frames=FRAMES, objects=3, frame_size=size)
            yield Point(task="image", variant="tiny", precision=precision, frame_size=size)
            yield Point(task="automask", variant="tiny", precision=precision, frame_size=size)
        for objects in (5, 20):
            yield Point(task="image", variant="tiny", precision=precision, objects=objects)


def _draw(source: random.Random) -> Point:
    stock = source.random() < 0.4
    task = source.choices(("image", "video", "automask"), (3, 5, 2))[0]
    common: dict[str, Any] = {
        "task": task,
        "stock": stock,
        "variant": source.choice(VARIANTS),
        "version": source.choice(VERSIONS),
        "precision": source.choice(PRECISIONS),
        "resolution": _draw_resolution(source, square=stock or source.random() < 0.5),
        "frame_size": source.choice(FRAME_SIZES),
    }
    if task == "automask":
        return Point(**common, points_per_batch=source.choice((1, 2, 4, 8, 16, 32, 64)))
    objects = source.choices((1, 2, 3, 5, 8, 12, 20, 50), (8, 4, 4, 4, 3, 2, 2, 1))[0]
    if task == "image":
        return Point(**common, objects=objects)
    offload = source.random() < 0.3
    if stock:
        return Point(
            **common,
            objects=min(objects, 20),
            frames=source.choice((2, 10, 30, 100, 300, 1000)),
            offload_video=offload,
            offload_state=offload and source.random() < 0.5,
        )
    batch = source.choice((1, 1, 1, *(batch for batch in (2, 4, 8) if batch <= objects)))
    frames = source.choice((None, None, 10, 100, 100_000))
    return Point(**common, objects=objects, frames=frames, object_batch=batch, offload_state=offload)


def _draw_resolution(source: random.Random, *, square: bool) -> int | Size:
    """Multiples of 32 from 256 to 2048, small ones as often as large ones."""
    long = 32 * round(256 * 8 ** source.random() / 32)
    if square:
        return long
    short = max(256, 32 * round(long * source.choice((9 / 16, 3 / 4, 1 / 2, 2 / 3)) / 32))
    return (short, long) if source.random() < 0.7 else (long, short)


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
    fields["frames"] = fields["frames"] or "unlimited"
    try:
        found = simulate(**fields)
    except PlannerError as error:
        return {"id": point.id, "point": fields, "error": str(error)}
    return {"id": point.id, "point": fields, "simulation": found.to_dict()}
