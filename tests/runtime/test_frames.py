"""Folders, arrays and generators as clips, and what all clips have in common."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from planner.errors import FileError, UsageError
from planner.sources.depth import PictureWarning
from planner.sources.frames import open_frames
from tests.runtime.media import (
    SIZE,
    folder,
    numbered,
    shown,
    video,
)

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


@pytest.mark.parametrize("beside", ["thumb.jpg", "00000_mask.png", "preview-2.webp"])
def test_what_lies_beside_numbered_frames_is_no_frame_and_said_so(tmp_path: Path, beside: str) -> None:
    folder(tmp_path, ["00000.jpg", "00001.jpg", "00002.jpg"])
    (tmp_path / beside).write_bytes((tmp_path / "00000.jpg").read_bytes())
    with pytest.warns(PictureWarning, match=f"{beside} is no frame: only the 3 pictures"):
        frames = open_frames(tmp_path)
    assert shown(frames.read()) == [0, 1, 2]


@pytest.mark.parametrize("beside", ["thumb.png", "mask_000.png"])
def test_a_folder_whose_frames_are_not_plain_is_refused(tmp_path: Path, beside: str) -> None:
    folder(tmp_path, ["frame_000.png", "frame_001.png", beside])
    with pytest.raises(FileError, match=f"pictures of 2 sorts, such as .*{beside}") as caught:
        open_frames(tmp_path)
    assert "frames alone" in caught.value.hint


def deep(number: int) -> np.ndarray:
    """A frame of 12 bits; number 0 is the darkest."""
    return (numbered(number)[:, :, 0].astype(np.uint16) << 4) if number else numbered(0)[:, :, 0].astype(np.uint16) // 3


@pytest.mark.parametrize("form", ["folder", "array", "stack"])
def test_all_frames_of_16_bits_are_scaled_alike(tmp_path: Path, form: str) -> None:
    pictures = [deep(number) for number in range(20)]
    source: Any = np.stack(pictures)[..., None]
    if form == "folder":
        source = tmp_path
        for number, values in enumerate(pictures):
            Image.fromarray(values).save(tmp_path / f"{number}.png")
    elif form == "stack":
        source = tmp_path / "stack.tif"
        first, *rest = map(Image.fromarray, pictures)
        first.save(source, save_all=True, append_images=rest)
    with pytest.warns(PictureWarning, match="use 12 of their 16 bits"):
        frames = open_frames(source)
    read = dict(frames.read())
    assert read[0].max() < 3  # dark beside the others, as it is
    assert shown((number, read[number]) for number in range(1, 20)) == list(range(1, 20))


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "PNG"])
def test_the_pages_of_a_file_are_frames(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"pages.{kind.lower()}"
    first, *rest = (Image.fromarray(numbered(number)) for number in range(6))
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    first.save(path, save_all=True, append_images=rest, **({"duration": 100} if kind != "TIFF" else {}), **options)
    frames = open_frames(path)
    assert (frames.length, frames.size, frames.rereadable) == (6, SIZE, True)
    assert frames.frames_per_second == (None if kind == "TIFF" else 10)
    assert shown(frames.read()) == [0, 1, 2, 3, 4, 5]
    assert shown(frames.read(4, -1)) == [4, 3, 2, 1, 0]


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
    ids=lambda value: value[:30] if isinstance(value, str) else type(value).__name__,
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
