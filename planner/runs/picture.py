"""One picture: the masks of prompted objects, or all masks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from planner.errors import PlannerError, UsageError
from planner.outputs.coco import CocoPart, automatic_entry, image_entry, join_coco_parts, mask_entry
from planner.outputs.labels import Masks, check_label_ids, write_label_png
from planner.outputs.layout import Layout
from planner.outputs.npz import write_npz
from planner.outputs.overlay import write_overlay_picture
from planner.runs.clip import plain_step
from planner.runs.job import Job
from planner.runs.record import Record
from planner.text.files import failing_as, sync_folder, whole_file

if TYPE_CHECKING:
    import numpy as np

    from planner.runtime.session import Session


def run_picture(job: Job, layout: Layout, record: Record, clock: Callable[[], float] = time.monotonic) -> Record:
    """Segment a picture, write its files, and return the record of the finished run.

    Raises what the session or the disk raises; the same command then starts again.
    """
    session = job.load(job.plan)
    try:
        began = clock()
        if job.task == "automask":
            masks, entries = _all_masks(job, session, clock)
        else:
            masks, entries = _prompted(job, session)
        _write(job, layout, masks, entries)
    except PlannerError as error:
        error.hint = f"{error.hint} The same command starts again.".strip()
        raise
    memory = session.memory()
    record = replace(
        record,
        status="finished",
        ended=True,
        frames=1,
        last_frame=0,
        seconds=clock() - began,
        objects=len(masks),
        device=session.device,
        steps=tuple(map(plain_step, session.steps)),
        allocated_bytes=memory.peak_allocated_bytes if memory else None,
        reserved_bytes=memory.peak_reserved_bytes if memory else None,
    )
    record.write(layout.record)
    layout.clear_parts()
    return record


Found = tuple[Masks, list[dict[str, Any]]]
"""Masks H×W bool by object id, and their COCO entries."""


def _prompted(job: Job, session: Session) -> Found:
    """The masks of prompted objects. Objects with the same sorts of prompts go through SAM 2 together."""
    masks: dict[int, np.ndarray] = {}
    for prompts in _alike(job.prompts):
        answer = session.segment(job.picture, multimask=job.multimask, **_stacked(prompts))
        for prompt, best in zip(prompts, answer.best(), strict=True):
            masks[prompt.object] = best
    found = (mask_entry(0, object_id, masks[object_id]) for object_id in sorted(masks))
    return masks, [entry for entry in found if entry]


def _alike(prompts: Sequence[Any]) -> list[list[Any]]:
    """Prompts in groups with as many points, and a box or mask or not, in the order of their first."""
    groups: dict[tuple[int, bool, bool], list[Any]] = {}
    seen: set[int] = set()
    for prompt in prompts:
        if prompt.object in seen:
            raise UsageError(
                f"Object {prompt.object} is prompted twice on one picture.", "Put all its points into one prompt."
            )
        seen.add(prompt.object)
        points = 0 if prompt.points is None else len(prompt.points)
        groups.setdefault((points, prompt.box is not None, prompt.mask is not None), []).append(prompt)
    return list(groups.values())


def _stacked(prompts: Sequence[Any]) -> dict[str, Any]:
    """The arguments of Session.segment for N objects with the same sorts of prompts."""
    import numpy as np

    first = prompts[0]
    given: dict[str, Any] = {}
    if first.points is not None and len(first.points):
        given["points"] = np.stack([np.asarray(prompt.points, dtype=np.float64) for prompt in prompts])
        given["labels"] = np.stack([np.asarray(prompt.labels) for prompt in prompts])
    if first.box is not None:
        given["boxes"] = np.stack([np.asarray(prompt.box, dtype=np.float64) for prompt in prompts])
    if first.mask is not None:
        given["masks"] = np.stack([np.asarray(prompt.mask, dtype=bool) for prompt in prompts])
    return given


def _all_masks(job: Job, session: Session, clock: Callable[[], float]) -> Found:
    """Automatic masks, numbered from the smallest to the largest: the lowest id lies on top."""
    began = clock()

    def tell(done: int, total: int) -> None:
        job.tell(session, "point", done, done, total, clock() - began)

    asked = {"points_per_side": job.points_per_side, "crop_layers": job.crop_layers}
    found = session.automask(job.picture, progress=tell, **{key: n for key, n in asked.items() if n is not None})
    numbered = list(enumerate(sorted(found, key=lambda mask: mask.area), 1))
    if "png" in job.saves:
        check_label_ids((number for number, _ in numbered[-1:]), "coco, npz or overlay")
    entries = [
        automatic_entry(0, number, mask.rle, mask.area, mask.bbox, mask.predicted_iou, mask.stability_score)
        for number, mask in numbered
    ]
    return _Decoded(dict(numbered)), entries


class _Decoded(Mapping[int, Any]):
    """Automatic masks by id, each decoded when it is looked up: hundreds at once would take a gigabyte."""

    def __init__(self, masks: dict[int, Any]) -> None:
        self._masks = masks

    def __getitem__(self, number: int) -> np.ndarray:
        pixels: np.ndarray = self._masks[number].segmentation
        return pixels

    def __iter__(self) -> Iterator[int]:
        return iter(self._masks)

    def __len__(self) -> int:
        return len(self._masks)


def _write(job: Job, layout: Layout, masks: Masks, entries: list[dict[str, Any]]) -> None:
    assert job.picture is not None
    size = job.size
    with failing_as(layout.folder):
        layout.make(job.saves)
    if "png" in job.saves:
        write_label_png(layout.frame("png", 0), masks, size)
    if "npz" in job.saves:
        write_npz(layout.frame("npz", 0), masks, size)
    if "coco" in job.saves:
        with whole_file(layout.coco_part(0)) as file, failing_as(layout.coco_part(0)):
            CocoPart(file).add(image_entry(0, job.name, size), entries)
        info = {"description": f"masks of {job.name} by sam2-plan"}
        join_coco_parts([layout.coco_part(0)], layout.coco, info)
    if "overlay" in job.saves:
        write_overlay_picture(layout.picture, job.picture, masks, job.annotations())
    for folder in (layout.png, layout.npz, layout.folder):
        sync_folder(folder)
