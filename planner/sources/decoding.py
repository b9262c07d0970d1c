"""PyAV's corners in one place: import, opening, the video stream, colours, warnings.

Knows nothing of frame numbers. A stream must not be touched after its container is closed: PyAV would read
freed memory.
"""

from __future__ import annotations

import math
import struct
import warnings
from typing import Any

import numpy as np

from planner.errors import FileError
from planner.sources.depth import PictureWarning
from planner.sources.pictures import Picture
from planner.text.libraries import library

VIDEO_FORMS = "Give a video file (mp4, mkv, avi, webm, gif, ...) or a folder of pictures."
_TEXT_ART = ("tty", "bin", "xbin", "adf", "idf")
"""Demuxers that play text files as video."""

_PLAYLISTS = (b"#EXTM3U", b"\xef\xbb\xbf#EXTM3U", b"ffconcat")
"""How lists of other files begin; FFmpeg would try for minutes to open what it may not."""


def pyav() -> Any:
    """The av package, imported when the first video is opened."""
    return library("av", "PyAV")


def open_file(name: str) -> Any:
    """The container of a local file, which cannot make the program read other files or addresses."""
    av = pyav()
    try:
        with open(name, "rb") as file:
            head = file.read(16)
        if head.startswith(_PLAYLISTS):
            raise FileError(f"{name} is a playlist, not a video.", "Give one of the files that it names.")
        # Without the prefix a name such as "concat:a.ts" would be taken for a protocol.
        return av.open(f"file:{name}", container_options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise FileError(f"{name}: permission denied.", "Check the file's permissions.") from None
        raise FileError(
            f"{name} cannot be read as a video: {reason(error)}.", f"It may be broken or cut short. {VIDEO_FORMS}"
        ) from None


def video_stream(container: Any, name: str) -> Any:
    """The first stream of moving pictures; a FileError where there is none."""
    kind = container.format.name
    if kind.endswith("_pipe") or kind.startswith("image2"):
        raise FileError(f"{name} is a single picture, not a video.", f"Segment it as an image. {VIDEO_FORMS}")
    if kind in _TEXT_ART:
        raise FileError(f"{name} is text, not a video.", VIDEO_FORMS)
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not streams:
        if container.streams.audio:
            raise FileError(f"{name} holds sound but no video.", VIDEO_FORMS)
        raise FileError(f"{name} holds no video.", f"It may have been cut short. {VIDEO_FORMS}")
    stream = streams[0]
    if getattr(stream, "codec_context", None) is None:
        raise FileError(f"{name} is coded in a way that this PyAV cannot decode.", "Convert it to H.264 with ffmpeg.")
    # With slices, unlike frames, decoded in parallel, an error comes with the packet that is to blame.
    stream.thread_type = "SLICE"
    return stream


def _is_cover(stream: Any) -> bool:
    """An audio file's cover is a video stream of one picture."""
    disposition = getattr(stream, "disposition", None)
    return "ATTACHED_PIC" in str(getattr(disposition, "name", disposition)).upper()


def rate_of(stream: Any) -> float | None:
    """Frames per second as the file says, or None."""
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate else None


def picture_of(frame: Any, quarters: int = 0) -> Picture:
    """A decoded frame as height × width × 3 uint8 RGB, turned so often by 90 degrees anticlockwise.

    Raises what PyAV raises.
    """
    picture: Picture = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), quarters))
    return picture


def quarters_of(frame: Any, name: str) -> int:
    """Quarter turns anticlockwise that the file asks to be shown by; warns of those, and of what is no quarter turn.

    Stock SAM 2 reads MP4 with decord, which turns by 90, 180 and 270 degrees and by nothing else, and does not mirror
    (decord, video_reader.cc: GetRotation; threaded_decoder.cc: SetCodecContext). The same here, of every container.
    """
    rotation = rotation_of(frame)
    if not rotation:
        return 0
    quarters, rest = divmod(rotation % 360, 90)
    if rest:
        told = f"{name} asks to be shown turned by {-rotation % 360} degrees clockwise, which is not applied."
        warnings.warn(told, PictureWarning, stacklevel=4)
        return 0
    height, width = shown_size(frame, quarters)
    warnings.warn(
        f"{name} is turned by {-rotation % 360} degrees clockwise, as it asks and as stock SAM 2 does: points, boxes "
        f"and masks are in the turned picture of {width} × {height} pixels (width × height).",
        PictureWarning,
        stacklevel=4,
    )
    return int(quarters)


def rotation_of(frame: Any) -> int:
    """Degrees anticlockwise by which a decoded frame is to be turned for display."""
    known = getattr(frame, "rotation", None)
    if known is not None:
        return int(known)
    # An older PyAV: from the display matrix, as libavutil's av_display_rotation_get does it.
    for data in frame.side_data:
        if str(getattr(data.type, "name", data.type)) == "DISPLAYMATRIX":
            a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
            if math.hypot(a, c) and math.hypot(b, d):
                return round(-math.degrees(math.atan2(b / math.hypot(b, d), a / math.hypot(a, c))))
    return 0


def orientation_note(quarters: int) -> str:
    """For errors about places in a picture that was turned; empty where it was not."""
    if not quarters:
        return ""
    degrees = 360 - 90 * quarters
    return f"The clip is turned by {degrees} degrees clockwise, as its file asks; places are in the turned picture."


def shown_size(frame: Any, quarters: int) -> tuple[int, int]:
    """Height and width of a decoded frame after those quarter turns."""
    return (frame.width, frame.height) if quarters % 2 else (frame.height, frame.width)


def reason(error: BaseException) -> str:
    """FFmpeg's words without the number and the file name that PyAV puts around them."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    text = str(words).strip().rstrip(".")
    return text[:1].lower() + text[1:]
