"""Where the files of one run lie in its folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from planner.errors import UsageError
from planner.nouns.words import SAVES, Save, Task
from planner.text.files import SUFFIX, neighbour_of
from planner.text.spelling import check_word

EARLY_ENDS = (5, 10, 20, 50)
"""Frames after which the first parts end: at a few seconds a frame, a hundred of them are too much to lose."""
PART_FRAMES = 100
"""Frames of one part of a clip, the first ones aside: what a killed run loses at most."""
_FRAME_FILE = re.compile(r"\.?\d{5,}\.(png|npz)(\.partial)?", re.ASCII)


def check_saves(saves: Sequence[str] | None, task: Task) -> tuple[Save, ...]:
    """What to save, in a fixed order; None is the default of the task. Raises UsageError for an unknown word."""
    if saves is None:
        return ("coco", "overlay") if task == "automask" else ("png", "coco", "overlay")
    for save in saves:
        check_word(save, "kind of file", SAVES)
    if not saves:
        raise UsageError("There is nothing to save.", f"Choose from {', '.join(SAVES)}.")
    return tuple(save for save in SAVES if save in saves)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The names in a run's folder."""

    folder: Path
    """Made by the run; may hold files of the user's besides."""

    @property
    def record(self) -> Path:
        """What the run is and how far it got; the last file to be written."""
        return self.folder / "run.json"

    @property
    def png(self) -> Path:
        """Folder of indexed PNGs, a file per frame."""
        return self.folder / "png"

    @property
    def npz(self) -> Path:
        """Folder of NPZs, a file per frame."""
        return self.folder / "npz"

    @property
    def coco(self) -> Path:
        """The COCO document of all frames."""
        return self.folder / "coco.json"

    @property
    def video(self) -> Path:
        """The overlay of a clip."""
        return self.folder / "overlay.mp4"

    @property
    def picture(self) -> Path:
        """The overlay of a picture."""
        return self.folder / "overlay.jpg"

    @property
    def parts(self) -> Path:
        """Folder of what is joined at the end; gone once the run is finished."""
        return self.folder / ".parts"

    def frame(self, kind: str, index: int) -> Path:
        """The file of a frame; `kind` is png or npz. Five digits, as in DAVIS."""
        return self.folder / kind / f"{index:05d}.{kind}"

    def coco_part(self, part: int) -> Path:
        """COCO entries of one part."""
        return self.parts / f"coco-{part:06d}.jsonl"

    def video_part(self, part: int) -> Path:
        """The overlay of one part."""
        return self.parts / f"overlay-{part:06d}.mp4"

    def state(self, part: int) -> Path:
        """The state of tracking after so many parts."""
        return self.parts / f"state-{part:06d}.pt"

    def answer(self, save: Save, task: Task) -> Path:
        """The file or folder that a run of that task leaves for one of SAVES."""
        if save == "overlay":
            return self.video if task == "video" else self.picture
        return {"png": self.png, "npz": self.npz, "coco": self.coco}[save]

    def present(self) -> list[Path]:
        """What is there of names that a run would write, but for the record."""
        names = (self.png, self.npz, self.coco, self.video, self.picture, self.parts)
        return [path for path in names if path.exists() or path.is_symlink()]

    def make(self, saves: tuple[Save, ...]) -> None:
        """Make the folders for what is saved. Raises OSError."""
        self.parts.mkdir(exist_ok=True)
        for kind in ("png", "npz"):
            if kind in saves:
                (self.folder / kind).mkdir(exist_ok=True)

    def clear(self) -> None:
        """Delete what runs write here and nothing else. Raises OSError. The record goes last."""
        for path in (*self._of_frames(), self.coco, self.video, self.picture):
            path.unlink(missing_ok=True)
            neighbour_of(path).unlink(missing_ok=True)
        self.clear_parts()
        for folder in (self.png, self.npz):
            with suppress(OSError):  # holds files that are not ours, or is not there
                folder.rmdir()
        self.record.unlink(missing_ok=True)

    def clear_parts(self) -> None:
        """Delete the parts and states."""
        if self.parts.is_dir() and not self.parts.is_symlink():
            for path in self.parts.iterdir():
                path.unlink()
            self.parts.rmdir()

    def clear_partial(self) -> None:
        """Delete what a killed process left half written."""
        for folder in (self.folder, self.png, self.npz, self.parts):
            if folder.is_dir():
                for path in folder.glob(".*" if folder == self.parts else f".*{SUFFIX}"):
                    path.unlink(missing_ok=True)

    def _of_frames(self) -> Iterator[Path]:
        for folder in (self.png, self.npz):
            if folder.is_dir():
                yield from [path for path in folder.iterdir() if _FRAME_FILE.fullmatch(path.name)]
