"""A clip and a session without SAM 2 or torch, whose masks hang on every frame before: a wrong resume shows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import planner
from planner.nouns.run import Configuration
from planner.runs.job import Job, Weights

SIZE = (37, 52)


@lru_cache(maxsize=4)
def video_plan(task: str = "video") -> Any:
    return planner.plan(task=task, objects=2 if task != "automask" else 1, vram="4GB", frame_size=SIZE)


def picture(index: int) -> np.ndarray:
    """Frame `index` of the clip: smooth, and unlike its neighbours."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([rows * 4, columns * 3, np.full(SIZE, index * 7 % 256)], axis=2).astype(np.uint8)


@dataclass
class FakeFrames:
    """A clip in the air."""

    length: int | None = 25
    rereadable: bool = True
    frames_per_second: float | None = 30.0
    size: tuple[int, int] = SIZE
    name: str = "a fake"
    count: int = 25
    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass(frozen=True)
class FakePrompt:
    frame: int
    object: int
    points: Any = ((5.0, 6.0),)
    labels: Any = (1,)
    box: Any = None
    mask: Any = None
    end: bool = False


class FakeTracking:
    """Two discs that move by what has been accumulated so far."""

    ready = True

    def __init__(
        self, session: FakeSession, frames: FakeFrames, prompts: Any, reverse: bool, start: Any, resume: Any
    ) -> None:
        self.session, self.frames, self.step = session, frames, -1 if reverse else 1
        self.picture: np.ndarray | None = None
        self.steps: tuple[Any, ...] = ()
        if resume is not None:
            state = json.loads(Path(resume).read_text())
            self.total, self.last, self.objects = state["total"], state["last"], tuple(state["objects"])
            self.next = self.last + self.step
        else:
            self.objects = tuple(sorted({prompt.object for prompt in prompts}))
            self.total, self.last = 0, None
            numbers = [prompt.frame for prompt in prompts]
            self.next = start if start is not None else max(numbers) if reverse else min(numbers)

    def __iter__(self) -> Iterator[tuple[int, dict[int, np.ndarray]]]:
        return self

    def __next__(self) -> tuple[int, dict[int, np.ndarray]]:
        if not 0 <= self.next < (self.frames.count if isinstance(self.frames, FakeFrames) else self.frames.length):
            raise StopIteration
        index, self.next = self.next, self.next + self.step
        self.session.on_frame(index)
        self.total = (self.total * 31 + index + 1) % 10_007
        self.picture, self.last = picture(index), index
        if index in self.session.steps_at:
            self.steps += (self.session.steps_at[index],)
        return index, {name: disc(self.total + 17 * name) for name in self.objects}

    def save(self, path: Path) -> None:
        Path(path).write_text(json.dumps({"total": self.total, "last": self.last, "objects": self.objects}))

    def close(self) -> None:
        self.frames.close()


def disc(seed: int) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return (rows - seed % SIZE[0]) ** 2 + (columns - seed * 3 % SIZE[1]) ** 2 < 90


class FakeSession:
    """Stands in for planner.runtime.session.Session."""

    device = "fake"
    steps: tuple[Any, ...] = ()

    def __init__(self, configuration: Configuration, on_frame: Callable[[int], None] = lambda _: None) -> None:
        self.configuration, self.on_frame = configuration, on_frame
        self.steps_at: dict[int, Any] = {}
        self.counted = None

    def track(
        self, source: Any, prompts: Any = (), *, reverse: bool = False, start: Any = None, resume: Any = None
    ) -> FakeTracking:
        return FakeTracking(self, source, prompts, reverse, start, resume)

    def segment(self, image: Any, points=None, labels=None, boxes=None, masks=None, multimask=False) -> Any:  # type: ignore[no-untyped-def]
        given = next(value for value in (points, boxes, masks) if value is not None)
        candidates = 3 if multimask else 1
        found = np.stack([[disc(int(np.sum(each)) + k) for k in range(candidates)] for each in given])
        scores = np.tile(np.arange(candidates, dtype=np.float32), (len(given), 1))
        return SimpleNamespace(masks=found, scores=scores, best=lambda: found[range(len(found)), scores.argmax(axis=1)])

    def automask(self, image: Any, *, progress: Any = None) -> list[Any]:
        from pycocotools import mask as coco

        found = []
        for seed in range(self.automatic):
            pixels = disc(seed * 11) & (np.arange(SIZE[1]) > seed % 7)
            rle = coco.encode(np.asfortranarray(pixels, dtype=np.uint8))
            area, box = int(coco.area(rle)), tuple(float(side) for side in coco.toBbox(rle))
            rle["counts"] = rle["counts"].decode()
            found.append(
                SimpleNamespace(
                    segmentation=pixels,
                    rle=rle,
                    area=area,
                    bbox=box,
                    predicted_iou=0.9,
                    stability_score=0.97,
                    point=(1.0, 2.0),
                )
            )
        if progress:
            progress(512, 1024)
            progress(1024, 1024)
        return found

    automatic = 9

    def memory(self) -> Any:
        return self.counted

    def process_bytes(self) -> int | None:
        return None


def job(out: Path, **changes: Any) -> Job:
    """A job on 25 fake frames in parts of 4, with two objects."""
    task = changes.pop("task", "video")
    on_frame = changes.pop("on_frame", lambda _: None)
    prompts = () if task == "automask" else (FakePrompt(0, 1), FakePrompt(0, 2))
    base = Job(
        plan=video_plan(task),
        source="clip.fake",
        frames=FakeFrames() if task == "video" else None,
        picture=picture(3) if task != "video" else None,
        out=out,
        prompts=prompts,
        saves=("png", "coco", "npz", "overlay"),
        weights=Weights(),
        load=lambda plan: FakeSession(plan.chosen.configuration, on_frame),
        part_frames=4,
    )
    return replace(base, **changes)


def files_of(folder: Path) -> dict[str, bytes]:
    """Everything in a folder but the record, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def main() -> None:
    """`python -m tests.runtime.fakes OUT SECONDS`: the job in a process that can be killed."""
    import sys

    from planner.runs.run import perform

    seconds = float(sys.argv[2])
    perform(job(Path(sys.argv[1]), on_frame=lambda _: time.sleep(seconds)))


if __name__ == "__main__":
    main()
