"""The script that measures J&F: its metrics against slow and obvious ones, and a run on a made folder."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import pytest

pytest.importorskip("torch")
pytest.importorskip("sam2")
Image = pytest.importorskip("PIL.Image")

from tests.conftest import ROOT
from tests.runtime.stock import picture


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("measure_davis", ROOT / "scripts" / "measure_davis.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["measure_davis"] = module
    spec.loader.exec_module(module)
    return module


davis = script()


def square(top: int, left: int, side: int = 20, size: tuple[int, int] = (100, 100)) -> numpy.ndarray:
    mask = numpy.zeros(size, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def blobs(seed: int, size: tuple[int, int] = (31, 43)) -> numpy.ndarray:
    random = numpy.random.default_rng(seed)
    coarse = random.random((size[0] // 4 + 1, size[1] // 4 + 1)) > 0.6
    return numpy.kron(coarse, numpy.ones((4, 4), bool))[: size[0], : size[1]].astype(bool)


# -- metrics ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [square(30, 30), blobs(1), square(0, 0, 100)], ids=["square", "blobs", "full"])
def test_a_perfect_mask_scores_one(mask: numpy.ndarray) -> None:
    assert davis.region_similarity(mask, mask) == 1.0
    assert davis.contour_accuracy(mask, mask) == 1.0


def test_empty_masks_agree_with_each_other_and_with_nothing_else() -> None:
    empty, some = numpy.zeros((100, 100), bool), square(30, 30)
    assert davis.region_similarity(empty, empty) == davis.contour_accuracy(empty, empty) == 1.0
    assert davis.region_similarity(empty, some) == davis.region_similarity(some, empty) == 0.0
    assert davis.contour_accuracy(empty, some) == davis.contour_accuracy(some, empty) == 0.0


def test_a_shifted_square_scores_what_is_worked_out_by_hand() -> None:
    # 20 columns wide, moved by 10: 200 pixels in common of 600.
    assert davis.region_similarity(square(30, 30), square(30, 40)) == pytest.approx(1 / 3)
    # By 2, at most ceil(0.008 * 141.4) = 2 pixels: every contour is in reach.
    assert davis.contour_accuracy(square(30, 30), square(30, 32)) == 1.0
    assert davis.region_similarity(square(30, 30), square(30, 32)) == pytest.approx(18 / 22)
    # Far away: nothing is.
    assert davis.contour_accuracy(square(10, 10), square(60, 60)) == 0.0


def test_the_contour_of_a_square_is_the_pixels_before_a_change() -> None:
    """Right, below or right below differs: from one row above to the last row, from one column left to the last."""
    edges = davis.boundary(square(30, 30, 3, (50, 50)))
    expected = numpy.zeros((50, 50), bool)
    expected[29:33, 29:33] = True
    expected[30:32, 30:32] = False
    assert numpy.array_equal(edges, expected)


def slow_boundary(mask: numpy.ndarray) -> numpy.ndarray:
    height, width = mask.shape
    edges = numpy.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            right = mask[y, x + 1] if x + 1 < width else None
            below = mask[y + 1, x] if y + 1 < height else None
            if right is None and below is None:
                continue
            both = mask[y + 1, x + 1] if right is not None and below is not None else None
            edges[y, x] = any(value is not None and value != mask[y, x] for value in (right, below, both))
    return edges


def slow_dilated(mask: numpy.ndarray, radius: int) -> numpy.ndarray:
    grown = numpy.zeros_like(mask)
    for y, x in numpy.argwhere(mask):
        rows, columns = numpy.mgrid[: mask.shape[0], : mask.shape[1]]
        grown |= (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return grown


@pytest.mark.parametrize("seed", range(4))
def test_contours_and_their_surroundings_are_those_of_the_slow_way(seed: int) -> None:
    mask = blobs(seed)
    edges = davis.boundary(mask)
    assert edges.any()
    assert numpy.array_equal(edges, slow_boundary(mask))
    for radius in (0, 1, 2, 5, 60):
        assert numpy.array_equal(davis.dilated(edges, radius), slow_dilated(edges, radius))


def test_contour_accuracy_is_that_of_the_slow_way() -> None:
    for seed in range(3):
        found, true = blobs(seed), blobs(seed + 10)
        ours, theirs = slow_boundary(found), slow_boundary(true)
        precision = (ours & slow_dilated(theirs, 2)).sum() / ours.sum()
        recall = (theirs & slow_dilated(ours, 2)).sum() / theirs.sum()
        assert 0 < precision < 1
        expected = 2 * precision * recall / (precision + recall)
        assert davis.contour_accuracy(found, true, bound_th=2) == pytest.approx(expected)


# -- a folder ---------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sequences of five frames; objects 1 and 3 in one, 2 in the other."""
    for name, objects in (("first", (1, 3)), ("second", (2,))):
        pictures = tmp_path / "JPEGImages" / "480p" / name
        annotations = tmp_path / "Annotations" / "480p" / name
        pictures.mkdir(parents=True)
        annotations.mkdir(parents=True)
        for index in range(5):
            Image.fromarray(picture(index)).save(pictures / f"{index:05d}.jpg")
            labels = numpy.zeros((120, 160), numpy.uint8)
            for number in objects:
                labels[square(30, 20 + 30 * number + 2 * index, size=(120, 160))] = number
            labels[0, 0] = 255
            image = Image.fromarray(labels)
            image.putpalette([value for value in range(256) for _ in range(3)])
            image.save(annotations / f"{index:05d}.png")
    sets = tmp_path / "ImageSets" / "2017"
    sets.mkdir(parents=True)
    (sets / "val.txt").write_text("second\n")
    return tmp_path


class Perfect:
    """A session that knows the answers, but on the first and the last frame."""

    def __init__(self, folder: Path, shift: int = 0) -> None:
        self.folder, self.shift = folder, shift

    def track(self, source: Path, prompts: list[dict[str, Any]]) -> Any:
        for index, path in enumerate(sorted((self.folder / "Annotations" / "480p" / source.name).iterdir())):
            labels = numpy.asarray(Image.open(path))
            wrong = index in (0, 4)
            yield (
                index,
                {
                    entry["object"]: numpy.roll(labels == entry["object"], self.shift, axis=1) & (not wrong)
                    for entry in prompts
                },
            )


def test_perfect_masks_score_one_and_the_first_and_last_frame_do_not_count(folder: Path) -> None:
    clips = davis.sequences(folder, "480p", None, [])
    assert [clip.name for clip in clips] == ["first", "second"]
    scores = [score for clip in clips for score in davis.measure_sequence(Perfect(folder), clip)]
    assert [(score.sequence, score.object, score.j, score.f) for score in scores] == [
        ("first", 1, 1.0, 1.0),
        ("first", 3, 1.0, 1.0),
        ("second", 2, 1.0, 1.0),
    ]
    assert davis.summary(scores) == {"j_and_f": 100.0, "j": 100.0, "f": 100.0}


def test_shifted_masks_score_what_is_worked_out_by_hand(folder: Path) -> None:
    [clip] = davis.sequences(folder, "480p", "val", [])
    assert clip.name == "second"
    [score] = davis.measure_sequence(Perfect(folder, shift=5), clip)
    assert score.j == pytest.approx(15 / 25)
    assert 0 < score.f < 1


def test_the_script_measures_what_is_asked_and_writes_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "scores.json"
    words = [str(folder), "--random-weights", "--device", "cpu", "--precision", "float32", "--json", str(out)]
    assert davis.main([*words, "--resolution", "64x64", "--resolution", "64x96", "--sequence", "first"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "64x96" in lines[2]
    documents = json.loads(out.read_text())
    assert [document["configuration"]["resolution"] for document in documents] == [[64, 64], [64, 96]]
    for document in documents:
        assert [entry["object"] for entry in document["objects"]] == [1, 3]
        assert all(0 <= entry[name] <= 1 for entry in document["objects"] for name in ("j", "f"))


def test_a_folder_in_another_format_is_refused(folder: Path) -> None:
    with pytest.raises(SystemExit, match="DAVIS format"):
        davis.sequences(folder / "JPEGImages", "480p", None, [])
    with pytest.raises(SystemExit, match="third"):
        davis.sequences(folder, "480p", None, ["third"])
