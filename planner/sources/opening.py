"""Opening what a user gives as INPUT, in one way for whoever runs it and for whoever only checks that it would run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import UsageError

if TYPE_CHECKING:
    from planner.sources.frames import Frames

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")
VIDEO_ENDINGS = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp",
    ".ogv", ".mxf", ".y4m", ".gif",
)  # fmt: skip
"""Files of a folder that are taken for clips. One that is named itself may end in anything."""


def open_clip(source: Any) -> Frames:
    """The opened clip; a picture in its place is told apart from a broken video. Raises as open_frames."""
    from planner.sources.frames import open_frames
    from planner.sources.pages import several_pages

    is_file = isinstance(source, (str, os.PathLike)) and Path(source).is_file()
    if is_file and Path(source).suffix.lower() in PICTURE_ENDINGS and not several_pages(Path(source)):
        raise UsageError(f"{source} is a picture; the plan's task is video.", "Give a clip, or plan with --task image.")
    return open_frames(source)


def open_picture(source: Any) -> Any:
    """The picture, H×W×3 uint8 RGB. Raises UsageError for a folder, and as read_picture."""
    from planner.sources.pictures import read_picture

    if isinstance(source, (str, os.PathLike)) and Path(source).is_dir():
        raise UsageError(
            f"{source} is a folder, not a picture.",
            "Give a file of it (run takes a folder that holds pictures, one after the other), or plan with --task "
            "video to track through them.",
        )
    return read_picture(source)


def orientation_of(source: Any) -> str:
    """A sentence on a picture's EXIF orientation, which is not applied; empty where there is none."""
    from planner.sources.pictures import orientation_note

    return orientation_note(source)
