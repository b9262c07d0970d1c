"""Overlay pictures and videos, looked at through PIL and PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="overlay videos need PyAV")
image_module = pytest.importorskip("PIL.Image", reason="pictures need Pillow")

from planner.errors import EnvironmentFailure, FileError, UsageError
from planner.outputs import overlay_video
from planner.outputs.annotation import RANDOM_WEIGHTS, Mark, annotate
from planner.outputs.overlay import overlay, write_overlay_picture
from planner.outputs.overlay_video import OverlayVideo, frame_rate, join_video_parts
from planner.outputs.palette import colour

SIZE = (40, 60)
GREY = np.full((*SIZE, 3), 100, dtype=np.uint8)


def square(top: int, left: int, side: int = 12) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_an_overlay_is_half_the_picture_and_half_the_colour_with_a_contour() -> None:
    before = GREY.copy()
    laid = overlay(GREY, {1: square(5, 5), 2: square(20, 30)})
    assert np.array_equal(GREY, before), "the picture is left as it is"
    assert laid[0, 0].tolist() == [100, 100, 100]
    for number, (row, column) in {1: (5, 5), 2: (20, 30)}.items():
        assert laid[row, column].tolist() == list(colour(number)), "the contour has the full colour"
        mean = [(100 + level) // 2 for level in colour(number)]
        assert laid[row + 5, column + 5].tolist() == mean
    assert (laid != GREY).any(axis=2).sum() == 2 * 144


def test_the_lowest_id_lies_on_top_and_no_mask_changes_nothing() -> None:
    laid = overlay(GREY, {3: square(5, 5), 300: square(5, 5)})
    assert np.array_equal(laid, overlay(GREY, {3: square(5, 5)}))
    assert np.array_equal(overlay(GREY, {}), GREY)
    assert np.array_equal(overlay(GREY, {1: np.zeros(SIZE, dtype=bool)}), GREY)


def test_ids_beyond_the_palette_have_colours_too() -> None:
    assert (overlay(GREY, {256: square(5, 5)}) != GREY).any()


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.jpeg", "JPEG")])
def test_an_overlay_picture_is_one(name: str, kind: str, tmp_path: Path) -> None:
    write_overlay_picture(tmp_path / name, GREY, {1: square(5, 5)})
    with image_module.open(tmp_path / name) as picture:
        assert (picture.format, picture.size, picture.mode) == (kind, SIZE[::-1], "RGB")
        assert abs(int(np.asarray(picture)[0, 30, 0]) - 100) < 4


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gif"):
        write_overlay_picture(tmp_path / "a.gif", GREY, {})


@pytest.fixture(params=["libx264", "mpeg4"])
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each encoder in turn; wheels without the first fall back to the second."""
    name: str = request.param
    if name not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {name}")
    monkeypatch.setattr(av, "codecs_available", {name})
    return name


def write_part(path: Path, levels: list[int], size: tuple[int, int], rate: Fraction) -> Path:
    with path.open("w+b") as file, OverlayVideo(file, size, rate) as video:
        for level in levels:
            video.add(np.full((*size, 3), level, dtype=np.uint8))
    return path


@pytest.mark.parametrize("size", [(40, 60), (41, 61), (1, 1), (17, 1080)])
@pytest.mark.parametrize("speed", [None, 30000 / 1001, 12.5, 240])
def test_joined_parts_are_one_video(size: tuple[int, int], speed: float | None, codec: str, tmp_path: Path) -> None:
    if min(size) < 16 and codec == "libx264":
        size = (16, 17)
    rate = frame_rate(speed)
    levels = [*range(0, 200, 10), 7]
    cuts = [levels[:8], levels[8:16], levels[16:]]
    parts = [write_part(tmp_path / f"{number}.mp4", cut, size, rate) for number, cut in enumerate(cuts)]
    join_video_parts(parts, tmp_path / "whole.mp4", rate)
    with av.open(str(tmp_path / "whole.mp4")) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.average_rate == rate
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.height, stream.width) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
        assert [frame.pts * frame.time_base * rate for frame in frames] == list(range(len(levels)))
    means = [frame.to_ndarray(format="rgb24").mean() for frame in frames]
    assert np.allclose(means, levels, atol=6)


def test_joining_the_same_parts_gives_the_same_bytes(codec: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        part = write_part(tmp_path / f"{name}-part.mp4", [10, 20, 30], SIZE, Fraction(25))
        join_video_parts([part, part], tmp_path / f"{name}.mp4", Fraction(25))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        (None, Fraction(25)), (0, Fraction(25)), (float("nan"), Fraction(25)), (1e9, Fraction(25)),
        (29.97002997, Fraction(30000, 1001)), (23.976023976, Fraction(24000, 1001)), (0.5, Fraction(1, 2)),
        (119.88011988, Fraction(120)), (1e-9, Fraction(1)),
    ],
)  # fmt: skip
def test_frame_rates_are_such_as_encoders_count(given: float | None, rate: Fraction) -> None:
    assert frame_rate(given) == rate


def test_a_part_that_is_gone_or_broken_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    for name in ("gone.mp4", "broken.mp4"):
        with pytest.raises(FileError, match=name):
            join_video_parts([tmp_path / name], tmp_path / "whole.mp4", Fraction(25))
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]


def test_a_build_without_an_encoder_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay_video, "_codec", overlay_video._codec)
    monkeypatch.setattr(av, "codecs_available", set())
    with pytest.raises(EnvironmentFailure, match="PyAV"), (tmp_path / "a").open("w+b") as file:
        OverlayVideo(file, SIZE, Fraction(25))


# What is written on overlays.


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.any(before != after, axis=2)


def test_a_number_stands_on_its_mask_and_prompts_where_they_were_given() -> None:
    plain = np.full((360, 480, 3), 90, np.uint8)
    masks = {name: np.zeros((360, 480), bool) for name in (1, 7, 9)}
    masks[1][40:160, 40:200], masks[7][200:330, 300:460] = True, True
    masks[7][240:280, 340:420] = False  # a ring, whose centre is not in it; and 9 is empty
    numbered = annotate(plain, masks)
    for name in (1, 7):
        rows, columns = np.nonzero(
            changed(plain, numbered) & (np.arange(480) < 250 if name == 1 else np.arange(480) > 250)
        )
        assert rows.size and masks[name][round(rows.mean()), round(columns.mean())], name
    box = Mark(object=7, points=[(380, 300), (20, 20)], labels=[1, 0], box=(310, 210, 450, 320))
    marked = changed(numbered, annotate(plain, masks, [box]))
    assert marked[300, 380] and marked[20, 20] and marked[210, 310:440].all() and marked[210:300, 310].all()
    assert not marked[:, 200:300].any()
    np.testing.assert_array_equal(plain, 90)


@pytest.mark.parametrize("size", [(16, 16), (37, 52), (1080, 1920)])
def test_the_note_stands_in_a_corner_at_every_size(size: tuple[int, int]) -> None:
    plain = np.full((*size, 3), 90, np.uint8)
    rows, columns = np.nonzero(changed(plain, annotate(plain, {}, (), RANDOM_WEIGHTS)))
    assert rows.size and rows.max() < max(20, size[0] / 10) and columns.min() < max(12, size[1] / 50)
    assert annotate(plain, {}) is plain
