"""Cameras and network addresses: frames that pass by once, for as long as they come."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from planner.errors import EnvironmentFailure
from planner.sources import decoding
from planner.sources.depth import PictureWarning
from planner.sources.frames import Frames
from planner.sources.pictures import Picture

OPENING_SECONDS, READING_SECONDS = 15.0, 30.0
"""How long a network stream may keep silent."""


class StreamFrames(Frames):
    """What PyAV reads from a device or an address. Damaged frames are passed over: a live stream does not repeat."""

    rereadable = False
    fault = EnvironmentFailure

    def __init__(self, name: str, address: str, kind: str | None, options: dict[str, str], hint: str) -> None:
        self.name = name
        self.length = None
        self._hint = hint
        self._lock = threading.Lock()
        av = decoding.pyav()
        try:
            self._container = av.open(address, format=kind, options=options, timeout=(OPENING_SECONDS, READING_SECONDS))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise EnvironmentFailure(f"{name} cannot be opened: {decoding.reason(error)}.", hint) from None
        try:
            stream = decoding.video_stream(self._container, name)
            self.frames_per_second = decoding.rate_of(stream)
            self._frames = self._decoded(stream)
            self._first = next(self._frames, None)
            if self._first is None:
                raise EnvironmentFailure(f"{name} gives no frames.", hint)
        except BaseException:
            self._container.close()
            raise
        self._quarters = decoding.quarters_of(self._first, name)
        self.size = decoding.shown_size(self._first, self._quarters)
        self.orientation = decoding.orientation_note(self._quarters)

    @classmethod
    def of_camera(cls, number: int) -> StreamFrames:
        """The camera with that number, as the system counts them."""
        kind, address = _camera(number)
        hint = "Check that it is connected, that no other program uses it, and that you may read it."
        return cls(f"camera:{number}", address, kind, {}, hint)

    @classmethod
    def of_address(cls, address: str) -> StreamFrames:
        """The stream at a URL."""
        # UDP loses packets in silence, and with them parts of frames.
        options = {"rtsp_transport": "tcp"} if address.lower().startswith("rtsp") else {}
        return cls(address, address, None, options, "Check the address and the network.")

    def close(self) -> None:
        """Let go of the device or the connection."""
        super().close()
        with self._lock:
            self._container.close()

    def _pictures(self, start: int, step: int) -> Iterator[tuple[int, Picture]]:
        first, self._first = self._first, None
        if first is not None:
            yield 0, decoding.picture_of(first, self._quarters)
        del first
        for index, frame in enumerate(self._frames, 1):
            if self._closed:
                return
            size = decoding.shown_size(frame, self._quarters)
            if size != self.size:
                raise self._another_size(index, size)
            yield index, decoding.picture_of(frame, self._quarters)

    def _decoded(self, stream: Any) -> Iterator[Any]:
        """Whole frames until the stream ends; a connection that breaks is an error."""
        av = decoding.pyav()
        told, complaint = False, ""
        packets = self._container.demux(stream)
        while True:
            frames = []
            # Another thread may read ahead: closing under it would free what PyAV is using.
            with self._lock:
                if self._closed:
                    return
                try:
                    packet = next(packets)
                except StopIteration:
                    return
                except (av.FFmpegError, OSError) as error:
                    raise EnvironmentFailure(f"{self.name} broke off: {decoding.reason(error)}.", self._hint) from None
                try:
                    frames = [frame for frame in stream.decode(packet if packet.size else None) if not frame.is_corrupt]
                except (av.FFmpegError, OSError) as error:
                    complaint = decoding.reason(error)
            if complaint and not told:
                told = True
                text = f"{self.name}: damaged frames are passed over ({complaint})."
                warnings.warn(text, PictureWarning, stacklevel=2)
            yield from frames


def _camera(number: int) -> tuple[str, str]:
    """FFmpeg's kind of device and its address."""
    if sys.platform == "darwin":
        return "avfoundation", f"{number}:none"
    if sys.platform != "win32":
        return "v4l2", f"/dev/video{number}"
    return "dshow", _camera_of_windows(decoding.pyav(), number)  # type: ignore[unreachable, unused-ignore]


def _camera_of_windows(av: Any, number: int) -> str:
    """DirectShow knows cameras by name only."""
    if not hasattr(av, "enumerate_input_devices"):
        raise EnvironmentFailure("This PyAV cannot list cameras.", "Install a newer PyAV: pip install -U av.")
    names = [device.name for device in av.enumerate_input_devices("dshow") if "video" in str(device.media_types)]
    if number >= len(names):
        raise EnvironmentFailure(f"There is no camera {number}: {len(names)} are connected.", "Number them from 0.")
    return f"video={names[number]}"
