"""Video files of every sort, from any frame, in both directions, frame by frame."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from planner.sources import video_files
from planner.sources.ahead import Ahead
from planner.sources.depth import PictureWarning
from planner.sources.frames import open_frames
from tests.runtime.media import (
    SIZE,
    number_in,
    rewritten,
    shown,
    video,
)

COUNT = 40
VIDEOS: dict[str, Callable[[Path], Path]] = {
    "h264 in mp4": lambda path: video(path / "a.mp4"),
    "B-frames in mp4": lambda path: video(path / "a.mp4", b_frames=3),
    "B-frames in mkv": lambda path: video(path / "a.mkv", b_frames=3),
    "B-frames in avi, which has no times for them": lambda path: video(path / "a.avi", b_frames=3),
    "B-frames in ts": lambda path: video(path / "a.ts", b_frames=3),
    "open groups of pictures": lambda path: video(path / "a.mkv", b_frames=3, options={"x264-params": "open-gop=1"}),
    "one key frame": lambda path: video(path / "a.mp4", gop=1000, b_frames=2),
    "key frames only": lambda path: video(path / "a.mp4", gop=1),
    "late start in mp4": lambda path: video(path / "a.mp4", b_frames=3, time=lambda number: 50 + number),
    "late start in mkv": lambda path: video(path / "a.mkv", b_frames=3, time=lambda number: 50 + number),
    "variable rate in mp4": lambda path: video(
        path / "a.mp4", b_frames=3, time=lambda number: 7 + number**2 // 3 + number
    ),
    "variable rate in mkv": lambda path: video(path / "a.mkv", b_frames=3, time=lambda number: 4 * number + number % 3),
    "hevc, open groups": lambda path: video(
        path / "a.mp4", "libx265", b_frames=3, options={"x265-params": "log-level=none:open-gop=1"}
    ),
    "mpeg4 in avi": lambda path: video(path / "a.avi", "mpeg4"),
    "mpeg4 with B-frames in avi": lambda path: video(path / "a.avi", "mpeg4", b_frames=2),
    "mpeg2 with B-frames": lambda path: video(path / "a.mpg", "mpeg2video", b_frames=2),
    "ffv1 in mkv": lambda path: video(path / "a.mkv", "ffv1"),
    "vp8 with hidden frames": lambda path: video(
        path / "a.webm", "libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good"}
    ),
    "vp9": lambda path: video(path / "a.webm", "libvpx-vp9", options={"auto-alt-ref": "1", "lag-in-frames": "16"}),
    "motion jpeg": lambda path: video(path / "a.avi", "mjpeg"),
    "gif": lambda path: video(path / "a.gif", "gif"),
    "bare h264 without any times": lambda path: video(path / "a.h264", b_frames=3, kind="h264"),
    "fragments": lambda path: video(
        path / "a.mp4", b_frames=2, container_options={"movflags": "frag_keyframe+empty_moov"}
    ),
    "header in front": lambda path: video(path / "a.mp4", b_frames=2, container_options={"movflags": "faststart"}),
}


@pytest.fixture(scope="module", params=VIDEOS)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return VIDEOS[request.param](tmp_path_factory.mktemp("clip"))


def test_a_video_forward(clip: Path) -> None:
    with open_frames(clip) as frames:
        assert (frames.length, frames.size, frames.rereadable) == (COUNT, SIZE, True)
        assert frames.name == str(clip)
        assert shown(frames.read()) == list(range(COUNT))
        assert shown(frames.read()) == list(range(COUNT))


def test_a_video_backward(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_files, "FEWEST_HELD", 7)
    monkeypatch.setattr(video_files, "HELD_BYTES", 0)
    frames = open_frames(str(clip))
    assert shown(frames.read(COUNT - 1, -1)) == list(range(COUNT))[::-1]
    assert shown(frames.read(17, -1)) == list(range(18))[::-1]
    assert shown(frames.read(0, -1)) == [0]


def test_a_video_from_every_frame(clip: Path) -> None:
    frames = open_frames(clip)
    for start in range(COUNT):
        assert shown(itertools.islice(frames.read(start), 2)) == list(range(start, min(start + 2, COUNT)))


def test_readings_do_not_disturb_each_other(clip: Path) -> None:
    frames = open_frames(clip)
    for (one, first), (two, second) in zip(frames.read(5), frames.read(30, -1), strict=False):
        assert (number_in(first), number_in(second)) == (one, two)


def test_frames_per_second(tmp_path: Path) -> None:
    assert open_frames(video(tmp_path / "a.mp4", count=5)).frames_per_second == 25


def test_a_whole_clip_is_never_held(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mkv", "ffv1", count=120, gop=200, size=(256, 512))
    frames = open_frames(path)
    picture_bytes = 256 * 512 * 3
    peaks = {}
    for step, start in ((1, 0), (-1, 119)):
        tracemalloc.start()
        for _ in frames.read(start, step):
            pass
        peaks[step] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[1] < 6 * picture_bytes
    video_files_held = max(video_files.FEWEST_HELD, video_files.HELD_BYTES // picture_bytes)
    assert peaks[-1] < (video_files_held + 6) * picture_bytes


def test_frames_read_ahead(tmp_path: Path) -> None:
    frames = open_frames(video(tmp_path / "a.mp4", b_frames=2))
    with Ahead(frames.read(3)) as ahead:
        assert shown(ahead) == list(range(3, COUNT))


def test_frames_cut_out_by_an_edit_list_are_not_counted(tmp_path: Path) -> None:
    # Times before zero are edited out by the muxer: such frames are decoded but not shown.
    path = video(tmp_path / "a.mp4", count=30, time=lambda number: number - 5)
    frames = open_frames(path)
    numbers = [number_in(picture) for _, picture in frames.read()]
    assert numbers == list(range(30 - len(numbers), 30)) and len(numbers) == frames.length
    assert [number_in(picture) for _, picture in frames.read(frames.length - 1, -1)] == numbers[::-1]


def test_a_recording_that_starts_between_key_frames(tmp_path: Path) -> None:
    whole = video(tmp_path / "whole.ts", b_frames=3, count=40, gop=12)
    path = rewritten(whole, tmp_path / "late.ts", lambda place, data: None if place < 5 else data)
    with pytest.warns(PictureWarning, match="starts between key frames"):
        frames = open_frames(path)
    numbers = [number_in(picture) for _, picture in frames.read()]
    assert numbers == list(range(12, 40)) and frames.length == 28
    assert [number_in(picture) for _, picture in frames.read(27, -1)] == numbers[::-1]


def test_frames_that_say_as_before_repeat_the_one_before(tmp_path: Path) -> None:
    whole = video(tmp_path / "whole.avi", "mpeg4", count=20)
    empty = {7, 8}

    def change(place: int, data: bytes) -> bytes:
        if place not in empty:
            return data
        bits = "01" + "0" + "1" + f"{place:05b}" + "1" + "0" + "0111"
        bits += "1" * (-len(bits) % 8)
        return b"\0\0\1\xb6" + int(bits, 2).to_bytes(len(bits) // 8, "big")

    frames = open_frames(rewritten(whole, tmp_path / "xvid.avi", change))
    pictures = [picture for _, picture in frames.read()]
    assert len(pictures) == frames.length == 20
    for number in empty:
        np.testing.assert_array_equal(pictures[number], pictures[6])
    backward = [picture for _, picture in frames.read(19, -1)]
    for one, other in zip(pictures, backward[::-1], strict=True):
        np.testing.assert_array_equal(one, other)
