"""A video file as frames that can be read from anywhere, forward and backward.

Each reading opens the file for itself, goes to the key frame at or before the wanted frame and decodes from
there. Whether it got there is seen by the frames' own times, never assumed.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import FileError
from planner.sources import decoding
from planner.sources.depth import PictureWarning
from planner.sources.frames import Frames
from planner.sources.pictures import Picture
from planner.sources.video_index import FrameOrder, index_of, repair_hint

FEWEST_HELD, HELD_BYTES = 16, 64 * 2**20
"""Backward, frames are decoded in blocks: as many as fit these bytes, but at least so many."""
SEEKS = 4
"""Key frames to try before decoding from the beginning."""


class VideoFrames(Frames):
    """The frames of a file that PyAV can read. Opening reads the file once, without decoding, and the first frame."""

    rereadable = True
    fault = FileError

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        container = decoding.open_file(self.name)
        try:
            stream = decoding.video_stream(container, self.name)
            self.frames_per_second = decoding.rate_of(stream)
            index = index_of(container, stream, self.name)
        finally:
            container.close()
        self._index = index
        self._order: FrameOrder | None = None
        self.length = index.length
        self._told = False
        self._look_at_first()

    def _look_at_first(self) -> None:
        with self._decoder() as decoder:
            frame = next(decoder.frames(decoder.packets()), None)
            if frame is None:
                raise self._damage(0, decoder.complaint)
            self._quarters = decoding.quarters_of(frame, self.name)
            self.size = decoding.shown_size(frame, self._quarters)
            self.orientation = decoding.orientation_note(self._quarters)
            self._index = self._index.without_leading(frame.pts, self.name)
        self.length = self._index.length
        self._set_order(self._index.order())

    def _set_order(self, order: FrameOrder | None) -> None:
        """With the order of the frames, the numbers of the key frames are known."""
        self._order = order
        keys = self._index.keys if order else np.zeros_like(self._index.keys)
        numbers = order.numbers_of(self._index.times[keys]) if order else np.empty(0, dtype=np.int64)
        ascending = np.argsort(numbers)
        self._key_numbers = numbers[ascending]
        self._key_times = self._index.times[keys][ascending]
        self._key_seeks = self._index.seeks[keys][ascending]

    def _pictures(self, start: int, step: int) -> Iterator[tuple[int, Picture]]:
        if self._order is None and self._index.distinct and (start or step == -1):
            self._set_order(self._order_of_decoder())
        return self._forward(start, self._index.length) if step == 1 else self._backward(start)

    def _backward(self, start: int) -> Iterator[tuple[int, Picture]]:
        block = max(FEWEST_HELD, HELD_BYTES // (3 * self.size[0] * self.size[1]))
        end = start + 1
        while end:
            # From a key frame, where one lies in the block, nothing is decoded twice.
            at = int(np.searchsorted(self._key_numbers, end - block))
            key = int(self._key_numbers[at]) if at < len(self._key_numbers) else end
            begin = key if key < end else max(0, end - block)
            held = list(self._forward(begin, end))
            while held:
                yield held.pop()
            end = begin

    def _forward(self, start: int, end: int) -> Iterator[tuple[int, Picture]]:
        """Frames from `start` up to `end`, each exactly once, or a FileError at the first that is damaged."""
        with self._decoder() as decoder:
            landed, packets = self._packets_at(decoder, start)
            expected, before = landed, None
            for number, frame in self._numbered(decoder, packets):
                if number < expected:
                    continue  # it needs frames before the key frame, or is shown twice
                self._tell_of_corrupt(number, frame)
                if frame.is_corrupt:
                    raise self._damage(number if before or number == expected else expected, decoder.complaint)
                while expected < min(number, end):
                    self._check_gap(before, expected, decoder.complaint)
                    if expected >= start:
                        yield expected, self._picture(before, expected)
                    expected += 1
                if expected < end and expected >= start:
                    yield expected, self._picture(frame, expected)
                expected, before = expected + 1, frame
                if expected >= end:
                    return
            while expected < end:
                self._check_gap(before, expected, decoder.complaint)
                if expected >= start:
                    yield expected, self._picture(before, expected)
                expected += 1

    def _tell_of_corrupt(self, number: int, frame: Any) -> None:
        """Warn of what the container calls corrupt and the decoder does not: a lost piece, or two clips joined."""
        if frame.pts in self._index.corrupt and not self._told:
            self._told = True
            warnings.warn(
                f"{self.name}: frame {number} may be damaged: the file marks its data as corrupt.",
                PictureWarning,
                stacklevel=2,
            )

    def _check_gap(self, before: Any, expected: int, complaint: str | None) -> None:
        """A frame that did not come is like the one before if it says so; otherwise it is damaged."""
        said = self._order is not None and self._order.time_of(expected) in self._index.empty
        if complaint is not None or before is None or not said:
            raise self._damage(expected, complaint)

    def _numbered(self, decoder: _Decoder, packets: Iterator[Any]) -> Iterator[tuple[int, Any]]:
        """Each decoded frame with its number; counted where the times do not tell."""
        for count, frame in enumerate(decoder.frames(packets)):
            number = count if self._order is None else self._order.number_of(frame.pts)
            if number is not None:
                yield number, frame

    def _packets_at(self, decoder: _Decoder, start: int) -> tuple[int, Iterator[Any]]:
        """The key frame at or before `start` and the packets from there on.

        That is frame 0 where there is none, or where seeking does not get to it.
        """
        last = int(np.searchsorted(self._key_numbers, start, side="right")) if start else 0
        # Containers seek by presentation time or by decoding time; the latter lies earlier, hence surely not too late.
        seeks = self._key_seeks[max(0, last - SEEKS) : last][::-1].tolist()
        for seek in [*self._key_times[max(0, last - 1) : last].tolist(), *seeks]:
            packets = decoder.packets_from(seek)
            first = next(packets, None)
            number = None if first is None or self._order is None else self._order.number_of(first.pts)
            if number is not None and number <= start:
                return number, itertools.chain([first], packets)
        if last:
            decoder.reopen()
        return 0, decoder.packets()

    def _order_of_decoder(self) -> FrameOrder | None:
        """The display order as the decoder gives it: every frame is decoded once, none is kept."""
        with self._decoder() as decoder:
            times = [frame.pts for frame in decoder.frames(decoder.packets())]
        known = None not in times and len(set(times)) == len(times) == self._index.length
        return FrameOrder(times) if known else None

    def _decoder(self) -> _Decoder:
        return _Decoder(self.name, keyed=bool(self._index.keys.any()))

    def _picture(self, frame: Any, number: int) -> Picture:
        size = decoding.shown_size(frame, self._quarters)
        if size != self.size:
            raise self._another_size(number, size)
        av = decoding.pyav()
        try:
            return decoding.picture_of(frame, self._quarters)
        except (av.FFmpegError, ValueError) as error:
            raise self._damage(number, decoding.reason(error)) from None

    def _damage(self, number: int, complaint: str | None) -> FileError:
        readable = f"can be read up to frame {number - 1} only" if number else "cannot be read from its first frame on"
        why = complaint or "the decoder gives no whole picture"
        return FileError(f"{self.name} {readable}: frame {number} is damaged ({why}).", repair_hint(self.name))


class _Decoder:
    """One reading of a file: its container, and what the decoder complained of."""

    def __init__(self, name: str, keyed: bool) -> None:
        self._name = name
        self._keyed = keyed
        self.complaint: str | None = None
        self._open()

    def _open(self) -> None:
        self._container = decoding.open_file(self._name)
        self._stream = decoding.video_stream(self._container, self._name)

    def __enter__(self) -> _Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def reopen(self) -> None:
        """Back to the beginning, surely."""
        self._container.close()
        self._open()

    def packets(self) -> Iterator[Any]:
        """Packets from the next key frame on; where none is marked, from where the file stands."""
        av = decoding.pyav()
        started = not self._keyed
        try:
            for packet in self._container.demux(self._stream):
                started = started or packet.is_keyframe
                if started and packet.size:
                    yield packet
        except (av.FFmpegError, OSError) as error:
            self.complaint = decoding.reason(error)

    def packets_from(self, seek: int) -> Iterator[Any]:
        """Packets from the key frame at or before a time, as far as the container finds it; none where it cannot."""
        av = decoding.pyav()
        try:
            self._container.seek(seek, stream=self._stream, backward=True)
        except (av.FFmpegError, OSError):
            return iter(())
        return self.packets()

    def frames(self, packets: Iterator[Any]) -> Iterator[Any]:
        """Decoded frames in display order. After the first error only those that were complete before it."""
        av = decoding.pyav()
        for packet in packets:
            try:
                yield from self._stream.decode(packet)
            except (av.FFmpegError, OSError) as error:
                self.complaint = decoding.reason(error)
                break
        try:
            yield from self._stream.decode(None)
        except (av.FFmpegError, OSError) as error:
            self.complaint = self.complaint or decoding.reason(error)
