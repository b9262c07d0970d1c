"""Clips of every sort, from any frame, in both directions, and every way in which they are broken."""

from __future__ import annotations

import http.server
import itertools
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from planner.errors import EnvironmentFailure, FileError, UsageError
from planner.runtime import video_files
from planner.runtime.ahead import Ahead
from planner.runtime.frames import open_frames
from planner.runtime.pictures import PictureWarning
from tests.runtime.media import (
    SIZE,
    cut,
    folder,
    noise,
    number_in,
    numbered,
    picture_file,
    rewritten,
    shown,
    sound,
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


# Broken files.


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
    with pytest.warns(PictureWarning, match="its first 1 frames cannot be shown and are not counted"):
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
@pytest.mark.filterwarnings("ignore::planner.runtime.pictures.PictureWarning")
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


def test_a_rotated_video_is_told_of_and_not_turned(tmp_path: Path) -> None:
    path = tmp_path / "turned.mp4"
    data = bytearray(video(tmp_path / "a.mp4", count=3).read_bytes())
    at = data.rindex(b"tkhd") + 4 + 40  # the matrix of the track header: 90 degrees
    data[at : at + 36] = b"".join(
        value.to_bytes(4, "big", signed=True) for value in (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    )
    path.write_bytes(data)
    with pytest.warns(PictureWarning, match="rotated by -?90 degrees, which is not applied"):
        frames = open_frames(path)
    assert frames.size == SIZE and shown(frames.read()) == [0, 1, 2]


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


# Folders.


@pytest.mark.parametrize(
    "names",
    [
        ["0.png", "1.png", "2.png", "10.png"],
        ["00000.jpg", "00001.jpg", "00002.jpg"],
        ["9.jpg", "010.jpg", "0011.jpg"],
        ["frame2.png", "frame10.png", "Frame11.png"],
        ["a.bmp", "b.tif", "c.webp"],
        ["shot1_9.png", "shot1_10.png", "shot2_1.png"],
    ],
    ids=" ".join,
)
def test_a_folder_in_its_order(tmp_path: Path, names: list[str]) -> None:
    folder(tmp_path, names)
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "below.png").mkdir()
    frames = open_frames(tmp_path)
    assert (frames.length, frames.size, frames.rereadable) == (len(names), SIZE, True)
    assert frames.frames_per_second is None
    assert shown(frames.read()) == list(range(len(names)))
    assert shown(frames.read(1, -1)) == [1, 0]


def test_folders_that_are_no_clip(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="holds no pictures"):
        open_frames(tmp_path)
    folder(tmp_path, ["1.png", "1.jpg"])
    with pytest.raises(FileError, match=r"both 1\.jpg and 1\.png"):
        open_frames(tmp_path)


def test_a_folder_with_a_broken_picture(tmp_path: Path) -> None:
    folder(tmp_path, ["1.png", "2.png", "3.png"])
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:60])
    frames = open_frames(tmp_path)
    with pytest.raises(FileError, match=r"Frame 1: .*2\.png"):
        list(frames.read())
    (tmp_path / "2.png").unlink()
    with pytest.raises(FileError, match=r"Frame 1: .*2\.png: No such file"):
        list(frames.read())


def test_a_folder_of_several_sizes(tmp_path: Path) -> None:
    folder(tmp_path, ["1.png", "2.png", "3.png"])
    Image.fromarray(numbered(2, (40, 200))).save(tmp_path / "3.png")
    with pytest.raises(FileError, match=r"frame 2 is 40×200 .* frame 0 is 32×128"):
        list(open_frames(tmp_path).read())


def test_a_turned_picture_in_a_folder_is_told_of_once(tmp_path: Path) -> None:
    for number in range(3):
        image = Image.fromarray(numbered(number))
        image.getexif()[0x0112] = 3
        image.save(tmp_path / f"{number}.png", exif=image.getexif())
    with pytest.warns(PictureWarning, match="orientation 3") as told:
        assert shown(open_frames(tmp_path).read()) == [0, 1, 2]
    assert len(told) == 1


# What is in the program already.

PICTURES = [numbered(number) for number in range(5)]
SEQUENCES: dict[str, Callable[[], Any]] = {
    "an array": lambda: np.stack(PICTURES),
    "16 bits": lambda: np.stack(PICTURES).astype(np.uint16) << 8,
    "alpha": lambda: np.concatenate([np.stack(PICTURES), np.zeros((5, *SIZE, 1), np.uint8)], axis=3),
    "a list": lambda: PICTURES,
    "a tuple of images": lambda: tuple(map(Image.fromarray, PICTURES)),
    "grey and colour": lambda: [PICTURES[0], *(picture[:, :, 0] for picture in PICTURES[1:])],
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences(name: str) -> None:
    frames = open_frames(SEQUENCES[name]())
    assert (frames.length, frames.size, frames.rereadable) == (5, SIZE, True)
    assert shown(frames.read()) == [0, 1, 2, 3, 4]
    assert shown(frames.read(3, -1)) == [3, 2, 1, 0]
    assert shown(frames.read(4)) == [4]


def test_a_list_of_paths(tmp_path: Path) -> None:
    folder(tmp_path, ["b.png", "a.png"])
    assert shown(open_frames([tmp_path / "b.png", str(tmp_path / "a.png")]).read()) == [0, 1]


def generator() -> Iterator[np.ndarray]:
    yield from PICTURES


@pytest.mark.parametrize("make", [generator, partial(map, Image.fromarray, PICTURES), partial(iter, PICTURES)])
def test_iterators_pass_by_once(make: Callable[[], Any]) -> None:
    frames = open_frames(make())
    assert (frames.length, frames.size, frames.rereadable) == (None, SIZE, False)
    for arguments, words in {(1, 1): "from frame 1", (0, -1): "backward"}.items():
        with pytest.raises(UsageError, match=words) as caught:
            frames.read(*arguments)
        assert "Save it as a video file" in caught.value.hint
    assert shown(frames.read()) == [0, 1, 2, 3, 4]
    with pytest.raises(UsageError, match="a second time"):
        frames.read()


def test_a_generator_is_drawn_from_only_as_needed() -> None:
    drawn = []

    def make() -> Iterator[np.ndarray]:
        for number in itertools.count():
            drawn.append(number)
            yield numbered(number % 256)

    frames = open_frames(make())
    assert drawn == [0]
    reading = frames.read()
    assert [next(reading)[0] for _ in range(3)] == [0, 1, 2] and drawn == [0, 1, 2]


def test_a_generator_that_fills_the_same_array_again() -> None:
    def make() -> Iterator[np.ndarray]:
        array = np.empty_like(PICTURES[0])
        for picture in PICTURES:
            array[:] = picture
            yield array

    assert shown(list(open_frames(make()).read())) == [0, 1, 2, 3, 4]


def test_what_a_generator_raises_comes_through() -> None:
    class Odd(Exception):
        pass

    def make(after: int) -> Iterator[np.ndarray]:
        yield from PICTURES[:after]
        raise Odd

    with pytest.raises(Odd):
        open_frames(make(0))
    reading = open_frames(make(2)).read()
    assert [next(reading)[0], next(reading)[0]] == [0, 1]
    with pytest.raises(Odd):
        next(reading)


def test_other_sizes_and_bad_pictures_on_the_way() -> None:
    mixed = [PICTURES[0], PICTURES[1], numbered(2, (40, 128))]
    for source in (mixed, iter(mixed)):
        with pytest.raises(UsageError, match=r"frame 2 is 40×128 .* frame 0 is 32×128"):
            list(open_frames(source).read())
    for source in ([PICTURES[0], PICTURES[0] / 255], iter([PICTURES[0], PICTURES[0] / 255])):
        with pytest.raises(UsageError, match="frame 1: A picture array has the dtype float64"):
            list(open_frames(source).read())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "None is not a clip"),
        (3, "A int is not a clip"),
        (b"video", "bytes"),
        ({}, "dict"),
        ([], "holds no frames"),
        (np.zeros((0, 8, 8, 3), np.uint8), "holds no frames"),
        (iter(()), "gives no frames"),
        (PICTURES[0], r"\(32, 128, 3\) is not a clip"),
        (np.zeros((2, 8, 8, 3)), "frame 0: A picture array has the dtype float64"),
        (np.zeros((2, 3, 8, 8), np.uint8), "frame 0: A picture array has the shape"),
        (Image.fromarray(PICTURES[0]), "Image is not a clip"),
        ("camera:", "neither a camera nor"),
        ("camera:x", "neither a camera nor"),
        ("gopher://x/y", "neither a camera nor"),
        (["a", 3], "a: No such file|No such file"),
        ([3], "frame 0: A picture cannot be made from a int"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_clip(source: object, words: str) -> None:
    with pytest.raises((UsageError, FileError), match=words) as caught:
        open_frames(source)
    assert caught.value.hint


# What all have in common.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((5,), "has no frame 5: it has 5"),
        ((-1,), "-1 is not"),
        ((0, 2), "steps of 2"),
        ((0, 0), "steps of 0"),
        ((True,), "True is not"),
        ((0, True), "steps of True"),
        ((0.0,), "0.0 is not"),
    ],
)
def test_readings_that_cannot_be(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_frames(PICTURES).read(*arguments)


@pytest.mark.parametrize(
    "make", [lambda path: PICTURES, lambda path: iter(PICTURES), lambda path: video(path / "a.mp4")]
)
def test_nothing_is_read_after_closing(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    with open_frames(make(tmp_path)) as frames:
        assert open_frames(frames) is frames
    with pytest.raises(UsageError, match="has been closed"):
        frames.read()
    frames.close()


# Streams.


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(EnvironmentFailure, match="camera:98 cannot be opened") as caught:
        open_frames("camera:98")
    assert "connected" in caught.value.hint


def test_an_address_that_does_not_answer() -> None:
    with pytest.raises(EnvironmentFailure, match="cannot be opened"):
        open_frames("http://127.0.0.1:9/a.ts")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_address_passes_by_once(served: tuple[Path, str]) -> None:
    path, address = served
    video(path / "a.ts", b_frames=2)
    with open_frames(f"{address}/a.ts") as frames:
        assert (frames.length, frames.size, frames.rereadable) == (None, SIZE, False)
        assert shown(frames.read()) == list(range(COUNT))
        with pytest.raises(UsageError, match="a second time"):
            frames.read()
    with pytest.raises(EnvironmentFailure, match="cannot be opened"):
        open_frames(f"{address}/absent.ts")
    with open_frames(f"{address}/a.ts") as frames, pytest.raises(UsageError, match="backward"):
        frames.read(0, -1)


def test_damaged_frames_of_a_stream_are_passed_over(served: tuple[Path, str]) -> None:
    path, address = served
    whole = video(path / "whole.avi", "ffv1", gop=1)
    rewritten(whole, path / "a.avi", lambda place, data: noise(len(data)) if place == 5 else data)
    frames = open_frames(f"{address}/a.avi")
    with pytest.warns(PictureWarning, match="passed over"):
        numbers = [number_in(picture) for _, picture in frames.read()]
    assert numbers == [number for number in range(COUNT) if number != 5]
    frames.close()
