"""Video files that are broken, cut short or no video: right frames, then an error that says how far."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from planner.errors import FileError, UsageError
from planner.prompts.prompts import prompts_from
from planner.sources import decoding
from planner.sources.depth import PictureWarning
from planner.sources.frames import open_frames
from tests.runtime.media import (
    MATRICES,
    SIZE,
    cut,
    noise,
    number_in,
    numbered,
    picture_file,
    rewritten,
    shown,
    sound,
    turned,
    video,
)

COUNT = 40


def read_up_to(path: Path) -> tuple[int, FileError | None]:
    """How many right frames came, and the error after them."""
    came = 0
    try:
        for index, picture in open_frames(path).read():
            assert index == came == number_in(picture)
            came += 1
    except FileError as error:
        assert str(path) in error.message and error.hint
        return came, error
    return came, None


@pytest.mark.parametrize(
    ("name", "codec", "b_frames"),
    [
        ("a.mp4", "libx264", 0),
        ("a.mkv", "libx264", 0),
        ("a.avi", "libx264", 0),
        ("a.avi", "mpeg4", 0),
        ("a.mkv", "ffv1", 0),
        ("a.mp4", "libx264", 3),
    ],
)
def test_a_frame_that_cannot_be_decoded_ends_the_clip_with_an_error(
    tmp_path: Path, name: str, codec: str, b_frames: int
) -> None:
    whole = video(tmp_path / f"whole{name}", codec, b_frames=b_frames)
    broken = rewritten(whole, tmp_path / name, lambda place, data: noise(len(data)) if place == 15 else data)
    came, error = read_up_to(broken)
    assert error is not None and (came == 15 if not b_frames else 12 <= came <= 16)
    assert f"up to frame {came - 1} only: frame {came} is damaged" in error.message
    frames = open_frames(broken)
    assert frames.length == COUNT
    assert shown(frames.read(came - 1, -1)) == list(range(came))[::-1]
    with pytest.raises(FileError, match=f"frame {came} is damaged"):
        list(frames.read(came + 1 if came + 1 < 24 else came))
    assert shown(itertools.islice(frames.read(30), 3)) == [30, 31, 32]
    with pytest.raises(FileError, match="is damaged"):
        list(frames.read(COUNT - 1, -1))


def test_a_first_frame_that_cannot_be_decoded(tmp_path: Path) -> None:
    whole = video(tmp_path / "whole.mkv", "ffv1", gop=1)
    broken = rewritten(whole, tmp_path / "a.mkv", lambda place, data: data[:2] + noise(90) if place == 0 else data)
    came, error = read_up_to(broken)
    assert came == 0 and error is not None and "frame 0 is damaged" in error.message


def test_a_first_frame_that_is_no_key_frame_any_more_is_told_of(tmp_path: Path) -> None:
    whole = video(tmp_path / "whole.mp4", gop=1)
    broken = rewritten(whole, tmp_path / "a.mp4", lambda place, data: noise(len(data)) if place == 0 else data)
    with pytest.warns(PictureWarning, match="1 frame before the first cannot be shown"):
        frames = open_frames(broken)
    assert [number_in(picture) for _, picture in frames.read()] == list(range(1, COUNT))


@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.ts", "a.webm"])
@pytest.mark.parametrize("share", [0.6, 0.8])
@pytest.mark.filterwarnings("ignore:.*may be cut short")
def test_a_file_cut_short_gives_what_is_there(tmp_path: Path, name: str, share: float) -> None:
    codec = {"a.webm": "libvpx-vp9", "a.avi": "mjpeg"}.get(name, "libx264")
    path = cut(video(tmp_path / f"whole{name}", codec, gop=5), tmp_path / name, share)
    came, error = read_up_to(path)
    assert 0 < came < COUNT
    assert error is not None or came == open_frames(path).length


@pytest.mark.parametrize("name", ["a.mkv", "a.avi"])
def test_a_header_that_promises_more_is_told_of(tmp_path: Path, name: str) -> None:
    path = cut(video(tmp_path / f"whole{name}", "ffv1"), tmp_path / name, 0.5)
    with pytest.warns(PictureWarning, match=r"may be cut short: its header promises \d\.\d s"):
        open_frames(path)


def test_an_mp4_cut_short_says_how_far_it_goes_or_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cut short|no video|cannot be read"):
        open_frames(cut(video(tmp_path / "whole.mp4"), tmp_path / "a.mp4", 0.8))
    whole = video(tmp_path / "front.mp4", "libx264", container_options={"movflags": "faststart"})
    with pytest.raises(FileError, match=r"cut short: its header promises 40 frames, frames 0 to \d\d are there"):
        open_frames(cut(whole, tmp_path / "b.mp4", 0.9))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts", "a.webm", "a.gif"])
@pytest.mark.filterwarnings("ignore::planner.sources.pictures.PictureWarning")
def test_bytes_of_no_meaning_anywhere_give_frames_or_our_error(tmp_path: Path, name: str) -> None:
    codec = {"a.webm": "libvpx-vp9", "a.gif": "gif"}.get(name, "libx264")
    data = video(tmp_path / name, codec, count=20, b_frames=0 if codec != "libx264" else 2).read_bytes()
    random = np.random.default_rng(3)
    for trial in range(25):
        broken = bytearray(data)
        at = int(random.integers(0, len(data)))
        broken[at : at + 20] = noise(min(20, len(data) - at), trial)
        path = tmp_path / f"{trial}{name}"
        path.write_bytes(broken)
        try:
            frames = open_frames(path)
            indices = [index for index, _ in frames.read()]
            assert indices == list(range(frames.length or 0))
            for index, _ in frames.read(frames.length - 1, -1):
                assert index == indices.pop()
        except FileError as error:
            assert str(path) in error.message
        path.unlink()


@pytest.mark.filterwarnings("ignore:.*marks its data as corrupt")
def test_a_video_that_changes_its_size(tmp_path: Path) -> None:
    small = video(tmp_path / "small.ts", count=10).read_bytes()
    large = video(tmp_path / "large.ts", count=10, size=(64, 160)).read_bytes()
    (tmp_path / "both.ts").write_bytes(small + large)
    frames = open_frames(tmp_path / "both.ts")
    came = []
    with pytest.raises(FileError, match=r"both\.ts: frame 10 is 64×160 .* frame 0 is 32×128") as caught:
        for index, _ in frames.read():
            came.append(index)
    assert came == list(range(10)) and "same size" in caught.value.hint


@pytest.mark.filterwarnings("ignore:.*marks its data as corrupt")
def test_a_clock_that_is_set_back_on_the_way(tmp_path: Path) -> None:
    one = video(tmp_path / "one.ts", count=30, time=lambda number: 500 + number).read_bytes()
    two = video(tmp_path / "two.ts", count=30).read_bytes()
    (tmp_path / "both.ts").write_bytes(one + two)
    frames = open_frames(tmp_path / "both.ts")
    wanted = [*range(30), *range(30)]
    assert [number_in(picture) for _, picture in frames.read()] == wanted
    assert [number_in(picture) for _, picture in frames.read(59, -1)] == wanted[::-1]
    for start in range(0, 60, 7):
        assert number_in(next(frames.read(start))[1]) == wanted[start]


@pytest.mark.parametrize("degrees", MATRICES)
def test_a_video_comes_out_as_players_show_it(tmp_path: Path, degrees: int) -> None:
    path = turned(video(tmp_path / "phone.mp4", count=20, gop=4), degrees)
    size = SIZE if degrees in (0, 180) else SIZE[::-1]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        frames = open_frames(path)
    assert [warning.category for warning in told] == [PictureWarning] * (degrees != 0)
    assert frames.size == size
    for text in (*(str(warning.message) for warning in told), *([frames.orientation] if degrees else [])):
        assert f"turned by {degrees} degrees clockwise" in text
    # Upright again, each frame shows its number: nothing is mirrored, forward, backward and from the middle.
    for start, step in ((0, 1), (13, 1), (13, -1)):
        upright = [
            (number, np.ascontiguousarray(np.rot90(seen, degrees // 90))) for number, seen in frames.read(start, step)
        ]
        assert shown(upright) == list(range(start, 20)) if step == 1 else list(range(start, -1, -1))


@pytest.mark.parametrize("degrees", MATRICES)
def test_a_pyav_that_names_no_rotation_gives_the_same(tmp_path: Path, degrees: int) -> None:
    with av.open(str(turned(video(tmp_path / "phone.mp4", count=1), degrees))) as container:
        frame = next(container.decode(video=0))
    older = SimpleNamespace(side_data=frame.side_data)
    assert decoding.rotation_of(older) % 360 == decoding.rotation_of(frame) % 360 == -degrees % 360


def test_a_place_outside_a_turned_clip_names_the_turn(tmp_path: Path) -> None:
    path = turned(video(tmp_path / "phone.mp4", count=2), 90)
    with pytest.warns(PictureWarning):
        frames = open_frames(path)
    outside = {"points": [[SIZE[1] - 1, 3]]}, {"box": [0, 0, SIZE[1], SIZE[0]]}, {"mask": np.ones(SIZE, bool)}
    for entry in outside:
        with pytest.raises(UsageError, match="turned by 90 degrees clockwise"):
            prompts_from([entry], frames.size, frames.length, frames.orientation)


def test_files_that_are_no_video(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video" * 100)
    (tmp_path / "art.txt").write_text("no video" * 100)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    for path, words in {
        sound(tmp_path / "sound.wav"): "sound but no video",
        tmp_path / "text.mp4": "cannot be read as a video|no video",
        tmp_path / "art.txt": "text|cannot be read|no video",
        tmp_path / "empty.mp4": "cannot be read as a video",
        tmp_path / "list.m3u8": "is a playlist",
        picture_file(tmp_path / "still.png", numbered(0)): "single picture",
        picture_file(tmp_path / "still.jpg", numbered(0)): "single picture",
        tmp_path / "absent.mp4": "does not exist",
        Path("nul\0.mp4"): "not a path",
        Path(""): "holds no pictures|no pictures",
    }.items():
        with pytest.raises(FileError, match=words):
            open_frames(path)
    with pytest.raises(FileError, match="not a path"):
        open_frames("   ")


def test_a_video_without_frames(tmp_path: Path) -> None:
    whole = video(tmp_path / "whole.mkv", count=2)
    with pytest.raises(FileError):
        open_frames(rewritten(whole, tmp_path / "none.mkv", lambda place, data: None))


def test_names_that_look_like_protocols_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    video(tmp_path / "a.mkv", count=3).rename(tmp_path / "concat:a b%d.mkv")
    assert shown(open_frames("concat:a b%d.mkv").read()) == [0, 1, 2]
