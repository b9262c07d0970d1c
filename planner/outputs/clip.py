"""The files of one part of a clip, written frame by frame; and the parts joined."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, Any

from planner.nouns.words import Save
from planner.outputs.annotation import Annotations, annotate
from planner.outputs.behind import Behind
from planner.outputs.coco import CocoPart, image_entry, join_coco_parts, mask_entry
from planner.outputs.labels import Masks, write_label_png
from planner.outputs.layout import Layout
from planner.outputs.npz import write_npz
from planner.outputs.overlay import overlay
from planner.outputs.overlay_video import OverlayVideo, join_video_parts
from planner.text.files import failing_as, sync_folder, whole_file

if TYPE_CHECKING:
    import numpy as np


class ClipPart:
    """A stretch of a clip on its way to disk.

    Leaving the block well completes its files; an error discards those that hold the whole part, and leaves the files
    of single frames, which are complete.
    """

    def __init__(
        self,
        layout: Layout,
        part: int,
        saves: Sequence[Save],
        size: tuple[int, int],
        rate: Fraction,
        annotations: Annotations | None = None,
    ) -> None:
        self._annotations = annotations
        self._layout, self._part, self._saves, self._size, self._rate = layout, part, saves, size, rate
        self._files = ExitStack()
        self._behind = Behind()
        self._coco: CocoPart | None = None
        self._video: OverlayVideo | None = None

    def __enter__(self) -> ClipPart:
        with ExitStack() as files:
            if "coco" in self._saves:
                self._coco = CocoPart(files.enter_context(whole_file(self._layout.coco_part(self._part))))
            if "overlay" in self._saves:
                path = self._layout.video_part(self._part)
                file = files.enter_context(whole_file(path))
                self._video = OverlayVideo(file, self._size, self._rate)
                files.push(self._end_video)
            files.enter_context(self._behind)
            self._files = files.pop_all()
        return self

    def _end_video(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What the encoder still holds is written now, and may not find room any more."""
        assert self._video is not None
        with failing_as(self._layout.video_part(self._part)):
            self._video.__exit__(kind, error, trace)

    def add(self, index: int, picture: np.ndarray | None, masks: Masks) -> None:
        """Take a frame: its index in the source, H×W×3 uint8 RGB (for overlays), H×W bool by object id.

        The arrays are read later, in a thread, and must not be changed. Raises EnvironmentFailure naming a file of
        this frame or an earlier one that cannot be written.
        """
        self._behind.do(self._write, index, picture, masks)

    def wait(self) -> None:
        """Wait until all frames that were taken are written. Raises as `add` does."""
        self._behind.wait()

    def _write(self, index: int, picture: np.ndarray | None, masks: Masks) -> None:
        if "png" in self._saves:
            write_label_png(self._layout.frame("png", index), masks, self._size)
        if "npz" in self._saves:
            write_npz(self._layout.frame("npz", index), masks, self._size)
        if self._coco is not None:
            found = (mask_entry(index, object_id, masks[object_id]) for object_id in sorted(masks))
            name = self._layout.frame("png", index).name
            with failing_as(self._layout.coco_part(self._part)):
                self._coco.add(image_entry(index, name, self._size), [entry for entry in found if entry])
        if self._video is not None:
            assert picture is not None
            laid = overlay(picture, masks)
            if self._annotations is not None:
                laid = annotate(laid, masks, self._annotations.marks.get(index, ()), self._annotations.note)
            with failing_as(self._layout.video_part(self._part)):
                self._video.add(laid)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)
        if kind is None:
            for folder in (self._layout.png, self._layout.npz, self._layout.parts):
                sync_folder(folder)


def join_clip(layout: Layout, parts: int, saves: Sequence[Save], rate: Fraction, info: dict[str, Any]) -> None:
    """The files of the whole clip from those of its parts. The same parts give the same bytes.

    Raises EnvironmentFailure naming the file that cannot be written.
    """
    if "coco" in saves:
        join_coco_parts([layout.coco_part(part) for part in range(parts)], layout.coco, info)
    if "overlay" in saves and parts:
        join_video_parts([layout.video_part(part) for part in range(parts)], layout.video, rate)
    sync_folder(layout.folder)
