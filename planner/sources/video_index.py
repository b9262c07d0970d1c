"""Which frames a video file holds, and from which key frame each is reached; found without decoding.

A frame is known by its packet's presentation time (pts). Where those do not order the frames (AVI stores
none) the decoder's order is asked once, when it is needed; where they do not even tell the frames apart (a
bare H.264 stream) frames can only be counted from the start.
"""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import FileError
from planner.sources import decoding
from planner.sources.depth import PictureWarning
from planner.text.units import counted

LONGEST_REORDERING = 20
"""Frames by which display and decoding order may differ (16 in H.264 and HEVC); more means that the clock was set
back on the way."""
_SHORT = 0.95
"""The share of the duration in the header; a clip that holds less is worth a warning."""
_EMPTY_BYTES = 32
"""MPEG-4 (Xvid) writes frames that only say "as before"; the decoder passes over them in silence."""
_NO_TIME = -(2**63)
_CLOCK = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,9})?)", re.ASCII)


class FrameOrder:
    """The frames' times in display order, in ticks of the stream, no two the same."""

    def __init__(self, times: Iterable[int]) -> None:
        self._times = np.fromiter(times, dtype=np.int64)
        self._numbers = np.argsort(self._times, kind="stable")
        self._sorted = self._times[self._numbers]

    def number_of(self, time: int | None) -> int | None:
        """The frame with that time, or None."""
        if time is None:
            return None
        at = int(np.searchsorted(self._sorted, time))
        if at == len(self._sorted) or self._sorted[at] != time:
            return None
        return int(self._numbers[at])

    def time_of(self, number: int) -> int:
        """The time of a frame."""
        return int(self._times[number])

    def numbers_of(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """The frames with those times, all of which must be known."""
        return self._numbers[np.searchsorted(self._sorted, times)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VideoIndex:
    """One entry per frame, in the order of the file. Times in the stream's own ticks."""

    times: NDArray[np.int64]
    """Presentation times."""
    seeks: NDArray[np.int64]
    """Decoding times, or where there are none the presentation times: what containers seek by."""
    keys: NDArray[np.bool_]
    """True for key frames."""
    corrupt: frozenset[int]
    """Times of the packets that the container itself calls corrupt."""
    empty: frozenset[int]
    """Times of the packets that repeat the frame before."""
    distinct: bool
    """True where each frame has a time of its own."""
    in_order: bool
    """True where the times also order the frames as they are shown."""

    @property
    def length(self) -> int:
        """Frames that the decoder should give."""
        return len(self.times)

    def order(self) -> FrameOrder | None:
        """The display order, where times tell it."""
        return FrameOrder(np.sort(self.times)) if self.in_order else None

    def without_leading(self, first: int | None, name: str) -> VideoIndex:
        """Without the frames before the first that can be shown: they need frames that were cut off.

        `first` is the time of the first frame that the decoder gave; `name` is for the warning.
        """
        start = self.times[0]
        if not self.in_order or first != start:
            return self
        kept = self.times >= start
        _tell_of_start(name, int((~kept).sum()))
        return VideoIndex(
            times=self.times[kept],
            seeks=self.seeks[kept],
            keys=self.keys[kept],
            corrupt=self.corrupt,
            empty=self.empty,
            distinct=self.distinct,
            in_order=self.in_order,
        )


def index_of(container: Any, stream: Any, name: str) -> VideoIndex:
    """Read every packet of the stream once. Raises FileError where the file breaks off or holds nothing."""
    entries = _entries(container, stream, name)
    _check_table(container, stream, name, entries)
    _check_duration(stream, name, entries)
    while entries and entries[-1].corrupt:
        entries.pop()  # cut short within a frame
    keys = [entry.key for entry in entries]
    if any(keys):
        # A recording that starts between key frames: nothing can be shown before the first.
        _tell_of_start(name, sum(entry.shown for entry in entries[: keys.index(True)]))
        entries = entries[keys.index(True) :]
    entries = [entry for entry in entries if entry.shown]
    if not entries:
        raise FileError(f"{name} holds no frames.", "It may have been cut short: take another copy.")
    times = np.array([_NO_TIME if entry.time is None else entry.time for entry in entries], dtype=np.int64)
    seeks = np.array([time if entry.seek is None else entry.seek for entry, time in zip(entries, times, strict=True)])
    distinct = len(np.unique(times)) == len(times) and _NO_TIME not in times
    reorders = bool(getattr(stream.codec_context, "has_b_frames", 0))
    return VideoIndex(
        times=times,
        seeks=seeks,
        keys=np.array([entry.key for entry in entries]),
        corrupt=frozenset(entry.time for entry in entries if entry.corrupt and entry.time is not None),
        empty=frozenset(entry.time for entry in entries if entry.empty and entry.time is not None),
        distinct=distinct,
        in_order=distinct and _times_tell_the_order(times, reorders and container.format.name == "avi"),
    )


def repair_hint(name: str) -> str:
    """What to do with a video that is damaged."""
    return f"Take another copy, or keep what can be read: ffmpeg -i {shlex.quote(name)} repaired.mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    time: int | None
    seek: int | None
    duration: int
    key: bool
    corrupt: bool
    shown: bool
    empty: bool


def _entries(container: Any, stream: Any, name: str) -> list[_Entry]:
    av = decoding.pyav()
    codec = stream.codec_context.name
    hides, repeats = codec in ("vp8", "libvpx"), codec == "mpeg4"
    entries: list[_Entry] = []
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            # Edit lists cut frames out; VP8 has frames that are only referred to (RFC 6386, 9.1: show_frame).
            hidden = packet.is_discard or (hides and not memoryview(packet)[0] & 0x10)
            entries.append(
                _Entry(
                    time=packet.pts,
                    seek=packet.pts if packet.dts is None else packet.dts,
                    duration=packet.duration or 0,
                    key=bool(packet.is_keyframe),
                    corrupt=bool(packet.is_corrupt),
                    shown=not hidden,
                    empty=repeats and packet.size <= _EMPTY_BYTES,
                )
            )
    except (av.FFmpegError, OSError) as error:
        held = f"{counted(len(entries), 'frame')} can be read" if entries else "no frame is there"
        raise FileError(f"{name} breaks off: {held}, then {decoding.reason(error)}.", repair_hint(name)) from None
    return entries


def _tell_of_start(name: str, lost: int) -> None:
    if lost:
        warnings.warn(
            f"{name} starts between key frames: {counted(lost, 'frame')} before the first cannot be shown or counted.",
            PictureWarning,
            stacklevel=5,
        )


def _times_tell_the_order(times: NDArray[np.int64], made_up: bool) -> bool:
    """False where times run on although frames are reordered (AVI's are made up), or where they jump back."""
    if bool(np.all(np.diff(times) > 0)):
        return not made_up
    places = np.arange(len(times))
    shown_at = np.empty_like(places)
    shown_at[np.argsort(times, kind="stable")] = places
    return int(np.abs(shown_at - places).max()) <= LONGEST_REORDERING


def _check_table(container: Any, stream: Any, name: str, entries: list[_Entry]) -> None:
    """MP4 lists its frames, often in front: more in the table than in the file means that it was cut short."""
    if "mp4" not in container.format.name:
        return
    # Older PyAV does not show the table; its length in the header counts frames that an edit list cuts out.
    promised, found = len(getattr(stream, "index_entries", ())), sum(not entry.corrupt for entry in entries)
    if found < promised:
        held = f"frames 0 to {found - 1} are" if found else "none is"
        raise FileError(
            f"{name} is cut short: its header promises {counted(promised, 'frame')}, {held} there.", repair_hint(name)
        )


def _check_duration(stream: Any, name: str, entries: list[_Entry]) -> None:
    """Elsewhere the header only says how long the video is, and not every writer keeps to it."""
    promised = _promised_seconds(stream)
    times = [entry.time for entry in entries if entry.time is not None]
    if not promised or not times:
        return
    frame = max(entry.duration for entry in entries)
    # Matroska counts from zero and not from the first frame, hence the larger of both.
    ticks = max(times) + frame - min(0, *times)
    found = float(ticks * stream.time_base)
    if found < _SHORT * promised and promised - found > 2 * float(frame * stream.time_base):
        warnings.warn(
            f"{name} may be cut short: its header promises {promised:.1f} s of video, "
            f"what is there, {counted(len(entries), 'frame')}, lasts {found:.1f} s.",
            PictureWarning,
            stacklevel=6,
        )


def _promised_seconds(stream: Any) -> float | None:
    if stream.duration:
        return float(stream.duration * stream.time_base)
    match = _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))  # Matroska's tag
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None
