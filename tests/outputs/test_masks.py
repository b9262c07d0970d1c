"""Masks as files: each format is read back by a parser that is not ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

image_module = pytest.importorskip("PIL.Image", reason="PNGs need Pillow")
coco_module = pytest.importorskip("pycocotools.coco", reason="COCO documents need pycocotools")

from planner.errors import FileError, UsageError
from planner.outputs.coco import CocoPart, automatic_entry, image_entry, join_coco_parts, mask_entry
from planner.outputs.labels import label_map, write_label_png
from planner.outputs.npz import write_npz
from planner.outputs.palette import colour, index_of, palette_array, palette_bytes

SIZE = (23, 31)
MASKS = {
    2: np.fromfunction(lambda y, x: (y < 12) & (x < 20), SIZE),
    9: np.fromfunction(lambda y, x: (y > 8) & (x > 15), SIZE),
    1: np.fromfunction(lambda y, x: (abs(y - 10) < 3) & (abs(x - 16) < 3), SIZE),
}


def test_the_palette_is_that_of_davis() -> None:
    """The first 17 of DAVIS_PALETTE and its last, as sam2's tools/vos_inference.py spells them."""
    start = (
        b"\x00\x00\x00\x80\x00\x00\x00\x80\x00\x80\x80\x00\x00\x00\x80\x80\x00\x80\x00\x80\x80\x80\x80\x80@\x00\x00"
        b"\xc0\x00\x00@\x80\x00\xc0\x80\x00@\x00\x80\xc0\x00\x80@\x80\x80\xc0\x80\x80\x00@\x00"
    )
    assert palette_bytes().startswith(start)
    assert palette_bytes().endswith(b"\xe0\xe0\xc0")
    assert len(set(map(colour, range(256)))) == 256
    assert palette_array().tolist() == [list(colour(index)) for index in range(256)]


def test_colours_come_again_and_the_background_stays_free() -> None:
    assert [index_of(number) for number in (1, 255, 256, 510, 511)] == [1, 255, 1, 255, 1]


def test_a_label_png_holds_object_ids_and_the_lowest_lies_on_top(tmp_path: Path) -> None:
    write_label_png(tmp_path / "a.png", MASKS, SIZE)
    with image_module.open(tmp_path / "a.png") as picture:
        assert (picture.mode, picture.size, picture.format) == ("P", SIZE[::-1], "PNG")
        assert bytes(picture.getpalette()) == palette_bytes()
        labels = np.array(picture)
    expected = np.zeros(SIZE, dtype=np.uint8)
    for number in sorted(MASKS)[::-1]:  # put_per_obj_mask of sam2's tools/vos_inference.py
        expected[MASKS[number]] = number
    assert np.array_equal(labels, expected)


@pytest.mark.parametrize("number", [0, 256, -1])
def test_an_id_that_a_png_cannot_hold_names_what_can(number: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=str(number)) as caught:
        write_label_png(tmp_path / "a.png", {number: MASKS[1]}, SIZE)
    assert "coco" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_no_masks_at_all_are_an_empty_picture(tmp_path: Path) -> None:
    write_label_png(tmp_path / "a.png", {}, SIZE)
    assert not np.array(image_module.open(tmp_path / "a.png")).any()
    write_npz(tmp_path / "a.npz", {}, SIZE)
    with np.load(tmp_path / "a.npz") as found:
        assert found["masks"].shape == (0, *SIZE)


def test_an_npz_keeps_what_overlaps(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", MASKS, SIZE)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert (found["masks"].dtype, found["objects"].dtype) == (np.bool_, np.int64)
        assert found["objects"].tolist() == [1, 2, 9]
        for number, mask in zip(found["objects"].tolist(), found["masks"], strict=True):
            assert np.array_equal(mask, MASKS[number])


def test_the_same_masks_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_npz(tmp_path / f"{name}.npz", MASKS, SIZE)
        write_label_png(tmp_path / f"{name}.png", MASKS, SIZE)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def coco_of(folder: Path, parts: list[list[tuple[int, dict[int, np.ndarray]]]]) -> Path:
    """A COCO document of frames in parts."""
    paths = []
    for number, part in enumerate(parts):
        paths.append(folder / f"{number}.jsonl")
        with paths[-1].open("wb") as file:
            entries = CocoPart(file)
            for index, masks in part:
                found = [entry for name in sorted(masks) if (entry := mask_entry(index, name, masks[name]))]
                entries.add(image_entry(index, f"{index:05d}.png", SIZE), found)
    join_coco_parts(paths, folder / "coco.json", {"description": "a test"})
    return folder / "coco.json"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with numpy 2
def test_pycocotools_loads_the_document(tmp_path: Path) -> None:
    empty = np.zeros(SIZE, dtype=bool)
    path = coco_of(tmp_path, [[(0, MASKS), (1, {1: empty})], [(2, {1: MASKS[1], 9: empty})], []])
    found = coco_module.COCO(str(path))
    assert sorted(found.imgs) == [0, 1, 2]
    assert sorted(found.anns) == [1, 2, 3, 4], "empty masks have no annotation"
    assert [found.anns[number]["track_id"] for number in (1, 2, 3, 4)] == [1, 2, 9, 1]
    for annotation in found.loadAnns(found.getAnnIds(imgIds=[0])):
        mask = MASKS[annotation["track_id"]]
        assert np.array_equal(found.annToMask(annotation).astype(bool), mask)
        assert annotation["area"] == mask.sum()
        rows, columns = mask.nonzero()
        x, y, width, height = annotation["bbox"]
        assert (x, y) == (columns.min(), rows.min())
        assert (x + width - 1, y + height - 1) == (columns.max(), rows.max())
    assert found.getCatIds() == [1]
    assert found.getImgIds(catIds=[1]) == [0, 2]
    result = found.loadRes(
        [{**{key: value for key, value in ann.items() if key != "id"}, "score": 0.5} for ann in found.anns.values()]
    )
    assert len(result.anns) == 4


def test_a_document_of_nothing_is_one(tmp_path: Path) -> None:
    assert json.loads(coco_of(tmp_path, []).read_text()) == {
        "info": {"description": "a test"},
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "object", "supercategory": ""}],
    }


def test_how_a_clip_is_cut_into_parts_does_not_show(tmp_path: Path) -> None:
    frames = [(index, MASKS) for index in range(7)]
    texts = []
    for name, cuts in (("one", [frames]), ("many", [frames[:3], frames[3:4], [], frames[4:]])):
        (tmp_path / name).mkdir()
        texts.append(coco_of(tmp_path / name, cuts).read_bytes())
    assert texts[0] == texts[1]


def test_a_part_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"gone\.jsonl"):
        join_coco_parts([tmp_path / "gone.jsonl"], tmp_path / "coco.json", {})
    assert list(tmp_path.iterdir()) == []


def test_an_automatic_mask_brings_its_scores() -> None:
    rle = {"size": [23, 31], "counts": "abc"}
    entry = automatic_entry(0, 4, rle, np.int64(12), (1.0, 2.0, 3.0, 4.0), np.float32(0.5), np.float32(0.25))
    assert json.loads(json.dumps(entry)) == {
        "image_id": 0, "category_id": 1, "track_id": 4, "segmentation": rle, "area": 12, "bbox": [1.0, 2.0, 3.0, 4.0],
        "iscrowd": 0, "predicted_iou": 0.5, "stability_score": 0.25,
    }  # fmt: skip


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), objects=st.lists(st.integers(1, 255), unique=True, max_size=5))
def test_any_masks_come_back_from_their_labels(seed: int, objects: list[int]) -> None:
    generator = np.random.default_rng(seed)
    masks = {number: generator.random(SIZE) < 0.3 for number in objects}
    labels = label_map(masks, SIZE)
    for number in objects:
        lower = [masks[other] for other in objects if other < number]
        on_top = masks[number] & ~np.logical_or.reduce([np.zeros(SIZE, dtype=bool), *lower])
        assert np.array_equal(labels == number, on_top)
