"""Prompts from Python, files and options: all of them checked, and only ever our own errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco

from planner.errors import FileError, PlannerError, UsageError
from planner.prompts.ends import ends_of
from planner.prompts.files import read_prompts
from planner.prompts.masks import mask_from, read_mask
from planner.prompts.options import prompts_from_options
from planner.prompts.places import PromptWarning
from planner.prompts.prompts import Prompt, prompts_from
from tests.conftest import refusal, validator_of

SIZE = (48, 64)
MASK = np.zeros(SIZE, bool)
MASK[5:20, 7:50] = True
MASK[9, 9] = False


def one(**entry: Any) -> Prompt:
    (prompt,) = prompts_from([entry], SIZE, 10)
    return prompt


def rle(mask: Any) -> dict[str, Any]:
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


def uncompressed(mask: Any) -> dict[str, Any]:
    counts, last, run = [], False, 0
    for pixel in mask.T.ravel():
        if pixel != last:
            counts.append(run)
            last, run = pixel, 0
        run += 1
    return {"size": list(mask.shape), "counts": [*counts, run]}


def test_points_a_box_and_both() -> None:
    assert one(points=[[1, 2.5]]) == Prompt(frame=0, object=1, points=((1.0, 2.5),), labels=(1,))
    assert one(frame=9, object=3, box=[0, 0, 64, 48]).box == (0.0, 0.0, 64.0, 48.0)
    both = one(points=((64, 48), (0, 0)), labels=(1, 0), box=(1, 2, 3, 4))
    assert (both.points, both.labels, both.box) == (((64, 48), (0, 0)), (1, 0), (1, 2, 3, 4))


def test_arrays_and_their_numbers_are_taken() -> None:
    prompt = one(
        frame=np.int64(3), object=np.uint8(2), points=np.array([[1, 2], [3, 4]], np.float32), labels=np.array([1, 0])
    )
    assert prompt == Prompt(frame=3, object=2, points=((1, 2), (3, 4)), labels=(1, 0))
    assert all(type(value) is float for point in prompt.points for value in point)
    assert type(prompt.frame) is int and type(prompt.labels[0]) is int
    assert one(box=np.array([1, 2, 3, 4])).box == (1, 2, 3, 4)


def test_a_mask_is_copied_and_kept_from_change() -> None:
    source = MASK.copy()
    prompt = one(mask=source)
    source[:] = False
    assert prompt.mask is not None and prompt.mask.dtype == bool
    np.testing.assert_array_equal(prompt.mask, MASK)
    with pytest.raises(ValueError, match="read-only"):
        prompt.mask[0, 0] = True
    np.testing.assert_array_equal(one(mask=MASK.astype(np.uint8) * 255).mask, MASK)
    assert prompt == one(mask=MASK) and prompt != one(mask=~MASK) and prompt != one(points=[[1, 1]])


def test_what_was_checked_is_taken_again_as_it_is() -> None:
    """`run` checks prompts and tracking does, with masks as with points."""
    given = [{"mask": MASK}, {"points": [[1, 1]]}, {"box": [1, 1, 9, 9], "points": [[2, 2]], "labels": [0]}]
    once = prompts_from([{"object": number, **one} for number, one in enumerate(given, 1)], SIZE, 5)
    assert prompts_from(once, SIZE, 5) == once


def test_objects_without_a_number_follow_the_largest_given() -> None:
    prompts = prompts_from([{"points": [[1, 1]]}, {"object": 7, "box": [0, 0, 1, 1]}, {"points": [[2, 2]]}], SIZE, None)
    assert [prompt.object for prompt in prompts] == [8, 7, 9]


def test_points_for_the_same_place_are_put_together_in_order() -> None:
    entries = [
        {"object": 1, "points": [[1, 1]]},
        {"object": 1, "frame": 2, "points": [[5, 5]]},
        {"object": 1, "points": [[2, 2], [3, 3]], "labels": [0, 1]},
    ]
    first, second = prompts_from(entries, SIZE, 10)
    assert first.points == ((1, 1), (2, 2), (3, 3)) and first.labels == (1, 0, 1)
    assert (second.frame, second.points) == (2, ((5, 5),))
    assert prompts_from([first, second], SIZE, 10) == (first, second)


def test_none_stands_for_a_key_that_is_absent() -> None:
    assert one(points=[[1, 1]], box=None, mask=None, labels=None, frame=None, object=None).object == 1
    assert prompts_from([], SIZE, 10) == ()


BAD = {
    "an unknown key": ({"lables": [1], "points": [[1, 1]]}, "unknown 'lables'", "mean labels\\? Known here: frame"),
    "a key far from any": ({"colour": 1}, "unknown 'colour'", "Known here: frame"),
    "a key that is no text": ({3: 1}, "unknown 3", "Known"),
    "a negative frame": ({"frame": -1, "points": [[1, 1]]}, "frame -1", "from 0"),
    "half a frame": ({"frame": 0.5, "points": [[1, 1]]}, "frame 0.5", "from 0"),
    "a true frame": ({"frame": True, "points": [[1, 1]]}, "frame True", "from 0"),
    "a frame as text": ({"frame": "0", "points": [[1, 1]]}, "frame '0'", "from 0"),
    "a frame beyond the clip": ({"frame": 10, "points": [[1, 1]]}, "on frame 10, .* 10 frames", "0 to 9"),
    "an endless frame": ({"frame": 10**5000, "points": [[1, 1]]}, "30 digits", "from 0"),
    "the background": ({"object": 0, "points": [[1, 1]]}, "object 0", "background"),
    "a named object": ({"object": "cat", "points": [[1, 1]]}, "object 'cat'", "from 1"),
    "nothing": ({}, "is empty", "points"),
    "no points": ({"points": []}, "is empty", "points"),
    "one point unwrapped": ({"points": [1, 1]}, "points 1, not 2", "pairs"),
    "a triple": ({"points": [[1, 1, 1]]}, "not 2 finite", "pairs"),
    "points as a number": ({"points": 3}, "points 3", "pairs"),
    "points as text": ({"points": "1,1"}, "points '1,1'", "pairs"),
    "a coordinate as text": ({"points": [["1", 1]]}, "not 2 finite", "pairs"),
    "a true coordinate": ({"points": [[True, 1]]}, "not 2 finite", "pairs"),
    "not a number": ({"points": [[float("nan"), 1]]}, "not 2 finite", "pairs"),
    "an infinite coordinate": ({"points": [[1, float("inf")]]}, "not 2 finite", "pairs"),
    "a coordinate beyond floats": ({"points": [[1, 10**400]]}, "not 2 finite", "pairs"),
    "right of the picture": ({"points": [[64.01, 1]]}, r"\(64.01, 1\) outside the picture of 64 × 48", "0 to 64"),
    "below the picture": ({"points": [[1, 49]]}, r"\(1, 49\) outside", "0 to 48"),
    "left of the picture": ({"points": [[-0.1, 1]]}, r"\(-0.1, 1\) outside", "0 to 64"),
    "too few labels": ({"points": [[1, 1], [2, 2]], "labels": [1]}, "1 label for 2 points", "one label per point"),
    "labels alone": ({"labels": [1], "box": [0, 0, 1, 1]}, "1 label for 0 points", "one label"),
    "an unknown label": ({"points": [[1, 1]], "labels": [2]}, "label 2", "0 for background"),
    "a true label": ({"points": [[1, 1]], "labels": [True]}, "label True", "0 for background"),
    "a label that is no list": ({"points": [[1, 1]], "labels": 1}, "labels 1, not a list", "one label"),
    "a box of three": ({"box": [1, 2, 3]}, "not 4 finite", "x0, y0"),
    "a box as text": ({"box": "1,2,3,4"}, "box '1,2,3,4'", "x0, y0"),
    "a box as a nest": ({"box": [[1, 2, 3, 4]]}, "not 4 finite", "x0, y0"),
    "a box turned round": ({"box": [9, 2, 3, 4]}, r"\[9, 2, 3, 4\]", "left, top"),
    "a flat box": ({"box": [1, 2, 3, 2]}, "beyond its left or top", "left, top"),
    "a box beyond": ({"box": [-3, 0, 65, 9]}, "reaches out", r"inside is \[0, 0, 64, 9\]"),
    "a box that only touches": ({"box": [64, 0, 65, 9]}, "reaches out", "left, top"),
    "a box elsewhere": ({"box": [70, 0, 80, 9]}, "reaches out", "left, top"),
    "a relative point": ({"points": [[1, 0.25]]}, r"\(1, 0.25\).*shares of the picture", r"\(64, 12\), of 64 × 48"),
    "a relative box": ({"box": [0, 0, 0.5, 1]}, "shares of the picture", r"\(0, 0, 32, 48\)"),
    "an empty mask": ({"mask": ~(MASK | True)}, "is empty", "pixels of the object"),
    "labels as a mask": ({"mask": MASK * np.arange(1, 65)[None] // 20}, r"holds 2 objects \(values 1, 2\)", "value"),
    "an end of nothing": ({"frame": 3, "end": True}, "a frame and an object", "end alone"),
    "an end with points": ({"object": 1, "end": True, "points": [[1, 1]]}, "nothing else", "end alone"),
    "an end in words": ({"object": 1, "end": "yes"}, "end 'yes'", "true"),
    "a mask with points": ({"mask": MASK, "points": [[1, 1]]}, "mask together", "one or the other"),
    "a mask with a box": ({"mask": MASK, "box": [0, 0, 1, 1]}, "mask together", "one or the other"),
    "a mask turned round": ({"mask": MASK.T}, "64×48 .* 48×64", "size of the source"),
    "a mask with a channel": ({"mask": MASK[..., None]}, r"\(48, 64, 1\)", "height × width"),
    "logits": ({"mask": MASK * 1.0}, "float64", "mask > 0"),
    "a mask of words": ({"mask": [["a"]]}, "not bool", "height × width"),
    "a ragged mask": ({"mask": [[1], [1, 2]]}, "cannot be made an array", "height × width"),
    "a true mask": ({"mask": True}, r"shape \(\)", "height × width"),
    "run lengths of another size": ({"mask": {"size": [4, 4], "counts": [16]}}, "4×4 .* 48×64", "size of the source"),
    "run lengths too short": ({"mask": {"size": [48, 64], "counts": [5]}}, "add up to the 3072", "pycocotools"),
    "negative run lengths": ({"mask": {"size": [48, 64], "counts": [3073, -1]}}, "add up", "pycocotools"),
    "run lengths without counts": ({"mask": {"size": [48, 64]}}, "keys", "counts"),
    "run lengths of a word": ({"mask": {"size": [48, 64], "counts": "é"}}, "COCO", "pycocotools"),
    "run lengths of nothing": ({"mask": {"size": [48, 64], "counts": None}}, "neither", "pycocotools"),
    "run lengths that go on": ({"mask": {"size": [48, 64], "counts": "o" * 99}}, "COCO", "pycocotools"),
    "run lengths of no size": ({"mask": {"size": "big", "counts": []}}, "big", "height"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_entries_are_named_with_their_remedy(name: str) -> None:
    entry, named, remedy = BAD[name]
    with pytest.raises(UsageError, match=f"Prompt 2 .*{named}") as caught:
        prompts_from([{"points": [[1, 1]]}, entry], SIZE, 10)
    assert caught.match(remedy) and caught.value.hint


@pytest.mark.parametrize(
    "second", [{"box": [0, 0, 1, 1]}, {"mask": MASK}, {"points": [[1, 1]], "box": [0, 0, 1, 1]}], ids=str
)
def test_two_entries_that_cannot_be_put_together(second: dict[str, Any]) -> None:
    for entries in ([{"points": [[1, 1]]}, second], [second, {"points": [[1, 1]]}], [second, second]):
        with pytest.raises(UsageError, match="Prompt 2 is the second for object 4 on frame 1"):
            prompts_from([{"object": 4, "frame": 1, **entry} for entry in entries], SIZE, None)


@pytest.mark.parametrize("items", [None, "points", {"points": [[1, 1]]}, 3, Prompt(frame=0, object=1)], ids=repr)
def test_what_is_no_list_of_prompts(items: Any) -> None:
    with pytest.raises(UsageError, match="must be a list"):
        prompts_from(items, SIZE, 10)


@pytest.mark.parametrize("item", [None, "points", 3, [1, 2]], ids=repr)
def test_entries_that_are_no_mapping(item: Any) -> None:
    with pytest.raises(UsageError, match=r"Prompt 1 is .*, not a mapping"):
        prompts_from([item], SIZE, 10)


# Masks in files and in run lengths.


@pytest.mark.parametrize("seed", range(6))
def test_run_lengths_are_those_of_pycocotools(seed: int) -> None:
    random = np.random.default_rng(seed)
    size = (int(random.integers(1, 90)), int(random.integers(1, 90)))
    mask = random.random(size) < random.random()
    if seed == 0:
        mask[:] = True
    np.testing.assert_array_equal(mask_from(rle(mask), size), mask)
    np.testing.assert_array_equal(mask_from(uncompressed(mask), size), mask)
    np.testing.assert_array_equal(mask_from({**rle(mask), "counts": rle(mask)["counts"].encode()}, size), mask)


def test_mask_files_of_every_mode(tmp_path: Path) -> None:
    palette = Image.fromarray(MASK.astype(np.uint8) * 3, mode=None).convert("P")
    palette.putpalette([9, 9, 9] * 256)  # colours say nothing: an index is an object
    grey = Image.fromarray(MASK.astype(np.uint8))
    images = {
        "bits": Image.fromarray(MASK),
        "grey": grey,
        "palette": palette,
        "colour": Image.merge("RGB", [grey, Image.new("L", grey.size), Image.new("L", grey.size)]),
        "alpha": Image.merge("RGBA", [grey, grey, grey, Image.new("L", grey.size, 255)]),
        "grey and alpha": Image.merge("LA", [grey, Image.new("L", grey.size, 255)]),
        "deep": Image.fromarray(MASK.astype(np.uint16) * 40000),
    }
    for name, image in images.items():
        image.save(tmp_path / f"{name}.png")
        found = read_mask(tmp_path / f"{name}.png")
        assert found.dtype == bool and found.shape == SIZE, name
        np.testing.assert_array_equal(found, MASK, err_msg=name)
    grey.save(tmp_path / "mask.jpg")
    with pytest.raises(FileError, match="JPEG"):
        read_mask(tmp_path / "mask.jpg")


WHITE, BLACK = 255, 0
LABELS = np.where(MASK, np.arange(1, 65) // 33 + 1, 0).astype(np.uint8)
"""Objects 1 and 2."""


def alpha(colour: np.ndarray, opaque: np.ndarray) -> Image.Image:
    grey = Image.fromarray(np.where(colour, WHITE, BLACK).astype(np.uint8))
    return Image.merge("RGBA", [grey, grey, grey, Image.fromarray(np.where(opaque, WHITE, 0).astype(np.uint8))])


def palette(labels: np.ndarray) -> Image.Image:
    image = Image.fromarray(labels)
    image.putpalette([value for index in range(256) for value in (index * 7 % 256, index, min(index, 9))])
    return image


ALL, NONE = np.ones(SIZE, bool), np.zeros(SIZE, bool)
MASK_FILES: dict[str, tuple[Image.Image, int | None, Any]] = {
    "only alpha, on white": (alpha(ALL, MASK), None, MASK),
    "only alpha, on black": (alpha(NONE, MASK), None, MASK),
    "colours under an opaque alpha": (alpha(MASK, ALL), None, MASK),
    "alpha and colours that disagree": (alpha(np.arange(64) % 2 * ALL, MASK), None, "says two things"),
    "soft edges": (Image.fromarray(np.where(MASK, WHITE, np.roll(MASK, 1, 1) * 90).astype(np.uint8)), None,
                   MASK | np.roll(MASK, 1, 1)),
    "one label": (palette(MASK.astype(np.uint8) * 7), None, MASK),
    "labels, nobody named": (palette(LABELS), None, r"2 objects \(values 1, 2\)"),
    "labels, one named": (palette(LABELS), 2, LABELS == 2),
    "labels in grey": (Image.fromarray(LABELS), 1, LABELS == 1),
    "labels in 16 bits": (Image.fromarray(LABELS.astype(np.uint16) * 300), 600, LABELS == 2),
    "labels without the one named": (Image.fromarray(LABELS), 5, "none of them is 5"),
    "painted labels": (palette(LABELS).convert("RGB"), 1, "2 colours besides black"),
    "a photograph": (Image.fromarray(np.arange(SIZE[0] * SIZE[1] * 3).reshape(*SIZE, 3).astype(np.uint8)), None,
                     "a picture, not a mask"),
    "nothing": (Image.fromarray(NONE), None, "is empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", MASK_FILES)
def test_a_mask_file_gives_the_object_that_is_meant_or_says_why_not(tmp_path: Path, name: str) -> None:
    image, label, wanted = MASK_FILES[name]
    image.save(tmp_path / "m.png")
    entry = {"mask": str(tmp_path / "m.png")} | ({} if label is None else {"object": label})
    if isinstance(wanted, str):
        with pytest.raises(PlannerError, match=rf"m\.png.*{wanted}") as caught:
            prompts_from([entry], SIZE, 1)
        assert caught.value.hint
    else:
        np.testing.assert_array_equal(prompts_from([entry], SIZE, 1)[0].mask, wanted)


def test_the_number_that_an_option_got_by_itself_chooses_no_label(tmp_path: Path) -> None:
    path = str(tmp_path / "m.png")
    palette(LABELS).save(path)
    with pytest.raises(FileError, match="2 objects"):
        prompts_from(prompts_from_options([], [], [path]), SIZE, 1)
    chosen = prompts_from(prompts_from_options([], [], [f"2:{path}", f"1:{path}"]), SIZE, 1)
    assert [(prompt.object, int(prompt.mask.sum())) for prompt in chosen if prompt.mask is not None] == [
        (2, int((LABELS == 2).sum())), (1, int((LABELS == 1).sum())),
    ]  # fmt: skip


@pytest.mark.parametrize("side", range(4))
def test_a_box_a_little_outside_is_clipped_with_a_word_and_one_far_outside_is_not(side: int) -> None:
    inside, out = [0, 0, 300, 400], [-1, -1, 1, 1]
    for size, reach in (((400, 300), 1.9), ((400, 300), 2.0)):
        box = [value + (reach * out[side] if at == side else 0) for at, value in enumerate(inside)]
        with pytest.warns(PromptWarning, match=r"Prompt 1 .*clipped to \[0, 0, 300, 400\]"):
            (prompt,) = prompts_from([{"box": box}], size, None)
        assert prompt.box == (0, 0, 300, 400)
    box[side] += 3 * out[side]
    with pytest.raises(UsageError, match="reaches out") as caught:
        prompts_from([{"box": box}], size, None, "It is turned.")
    assert "It is turned." in caught.value.hint


@pytest.mark.parametrize("reverse", [False, True])
def test_ends_are_kept_apart_and_checked_in_the_direction_of_tracking(reverse: bool) -> None:
    early, late = (5, 9) if not reverse else (9, 5)
    prompts = prompts_from(
        [{"frame": early, "object": 2, "points": [[1, 1]]}, *prompts_from_options([], [], [], [f"2:{late}"])], SIZE, 10
    )
    assert ends_of(prompts, reverse) == {2: late}
    with pytest.raises(UsageError, match=f"ends at frame {late} and is prompted on frame {early}"):
        ends_of(prompts, not reverse)
    with pytest.raises(UsageError, match="never prompted"):
        ends_of(prompts[1:], reverse)
    with pytest.raises(UsageError, match="OBJECT:FRAME"):
        prompts_from_options([], [], [], ["12"])


# Files.


def written(path: Path, document: Any) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document, indent=1))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    return tmp_path


GOOD_FILE = {
    "prompts": [
        {"frame": 0, "object": 1, "box": [1, 2, 30, 40.5]},
        {"points": [[1, 2], [3, 4]], "labels": [1, 0]},
        {"mask": "mask.png"},
        {"frame": 3, "object": 9, "mask": rle(MASK)},
        {"frame": 4, "object": 9, "mask": uncompressed(MASK)},
    ]
}


def test_a_file_of_every_sort(folder: Path) -> None:
    prompts = read_prompts(written(folder / "p.json", GOOD_FILE), SIZE, 10)
    assert [prompt.object for prompt in prompts] == [1, 10, 11, 9, 9]
    for prompt in prompts[2:]:
        np.testing.assert_array_equal(prompt.mask, MASK)
    assert read_prompts(str(written(folder / "q.json", GOOD_FILE["prompts"])), SIZE, None) == prompts
    compact = written(folder / "r.json", json.dumps(GOOD_FILE, separators=(",", ":")))
    assert read_prompts(compact, SIZE, None) == prompts
    tabs = written(folder / "s.json", json.dumps(GOOD_FILE, indent="\t"))
    assert read_prompts(tabs, SIZE, None) == prompts


FAULTS = {
    "an unknown key": ('[{"points": [[1, 1]]},\n {"points": [[1, 1]],\n  "lables": [1]}]', "line 3: prompt 2 .*lables"),
    "outside": ('{"prompts": [\n {"points": [[1, 99]]}]}', "line 2: prompt 1 .*outside"),
    "an empty entry": ("[\n{}]", "line 2: prompt 1 is empty"),
    "no mapping": ("[3]", "prompt 1 is 3, not a mapping"),
    "a mask that is not there": ('[{"mask": "absent.png"}]', r"line 1: prompt 1 .*absent\.png: No such file"),
    "no list": ('{"prompts": 3}', "line 1: prompts must be a list"),
    "another key": ('{"prompts": [], "promts": []}', "unknown 'promts'"),
    "no prompts key": ("{}", "no 'prompts'"),
    "an empty list": ('{"prompts": []}', "holds no prompts"),
    "a number": ("3", "no list of prompts"),
    "nothing": ("", "the file is empty"),
    "broken": ('[{"points": [[1, 1]]', "line 2: did not find"),
    "a key twice": ('[{"frame": 0,\n"frame": 1}]', "line 2: 'frame' stands twice"),
    "NaN": ('[{"points": [[NaN, 1]]}]', "prompt 1 has points"),
    "a picture": ("\x89PNG\r\n\x1a\n\0\0", "line"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_in_a_file_are_named_with_their_line(folder: Path, name: str) -> None:
    text, words = FAULTS[name]
    with pytest.raises(FileError, match=words) as caught:
        read_prompts(written(folder / "p.json", text), SIZE, 10)
    assert caught.match(r"p\.json")


def test_files_that_are_not_there(folder: Path) -> None:
    for path in (folder, folder / "absent.json", folder / "nul\0.json"):
        with pytest.raises(FileError):
            read_prompts(path, SIZE, 10)


def test_the_schema_agrees_with_the_reader(folder: Path) -> None:
    schema = validator_of("prompts")
    jsonschema.Draft202012Validator.check_schema(schema.schema)
    schema.validate(GOOD_FILE)
    schema.validate(GOOD_FILE["prompts"])
    by_size = {"a frame beyond the clip", "run lengths of another size", "run lengths too short"}
    by_size |= {"right of the picture", "below the picture", "a box turned round", "a flat box", "a box elsewhere"}
    by_size |= {"a box that only touches", "a box beyond", "a relative point", "a relative box", "an end with points"}
    beyond = {
        "a coordinate beyond floats",
        "too few labels",
        "labels alone",
        "a mask with points",
        "a mask with a box",
        "run lengths of a word",
    }
    for name, (entry, _, _) in BAD.items():
        if name in by_size | beyond | {"run lengths that go on"}:
            continue
        try:
            document = json.loads(json.dumps([entry], allow_nan=False))
        except (TypeError, ValueError):
            continue  # not JSON
        assert not schema.is_valid(document), name


# Options.


def test_options_of_every_sort() -> None:
    assert prompts_from_options(["640,360"], ["1,2,3.5,4"], ["cat.png"]) == [
        {"frame": 0, "object": 1, "points": [[640, 360]]},
        {"frame": 0, "object": 2, "box": [1, 2, 3.5, 4]},
        {"frame": 0, "object": 3, "mask": "cat.png"},
    ]
    assert prompts_from_options([], [], []) == []


def test_numbers_that_are_given_are_passed_over() -> None:
    entries = prompts_from_options(["5,5", "2:1,1", "6,6", "2:3,3"], ["3:0,0,1,1", "2:0,0,9,9"], ["1:m.png"])
    assert entries == [
        {"frame": 0, "object": 4, "points": [[5, 5]]},
        {"frame": 0, "object": 2, "points": [[1, 1], [3, 3]], "box": [0, 0, 9, 9]},
        {"frame": 0, "object": 5, "points": [[6, 6]]},
        {"frame": 0, "object": 3, "box": [0, 0, 1, 1]},
        {"frame": 0, "object": 1, "mask": "m.png"},
    ]


@pytest.mark.parametrize(
    ("text", "number", "name"),
    [
        ("C:\\x.png", 1, "C:\\x.png"),
        ("3:C:\\x.png", 3, "C:\\x.png"),
        ("a:b.png", 1, "a:b.png"),
        ("./3:b.png", 1, "./3:b.png"),
        ("3:4:b.png", 3, "4:b.png"),
        ("7:/a b/c.png", 7, "/a b/c.png"),
    ],
)
def test_file_names_with_colons(text: str, number: int, name: str) -> None:
    assert prompts_from_options([], [], [text]) == [{"frame": 0, "object": number, "mask": name}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1,",
        ",1",
        "1,2,3",
        "a,b",
        "1;2",
        "nan,1",
        "inf,1",
        "1e3,1",
        "0:1,1",
        ":1,1",
        "-1:1,1",
        "1:",
        "١,١",
        "2:3:1,1",
        "99999999999:1,1",
        "1,2\n3",
    ],
)
def test_bad_points_show_the_accepted_form(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        prompts_from_options([text], [], [])
    assert "OBJECT:X,Y" in caught.value.hint and repr(text) in caught.value.message


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "", "x", "0:1,2,3,4", "1,2,3,b"])
def test_bad_boxes_show_the_accepted_form(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        prompts_from_options([], [text], [])
    assert "X0,Y0,X1,Y1" in caught.value.hint


@pytest.mark.parametrize("text", ["", " ", "3:", "0:a.png"])
def test_bad_masks_show_the_accepted_form(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        prompts_from_options([], [], [text])
    assert "OBJECT:FILE" in caught.value.hint


def test_an_object_has_one_box_and_one_mask() -> None:
    with pytest.raises(UsageError, match="Object 2 has two"):
        prompts_from_options([], ["2:0,0,1,1", "2:0,0,2,2"], [])
    with pytest.raises(UsageError, match="mask together"):
        prompts_from(prompts_from_options(["2:1,1"], [], ["2:m.png"]), SIZE, 1)


# Whatever comes: a tuple of prompts or our own error.

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from([0, 1, 2, 10**400])
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner))
keys = st.sampled_from(["frame", "object", "points", "labels", "box", "mask", "size", "counts", "x"])
run_lengths = st.fixed_dictionaries(
    {"size": st.just([3, 4]) | values, "counts": st.text(alphabet=[chr(code) for code in range(47, 114)]) | values}
)
entries = st.dictionaries(keys, values | run_lengths, max_size=4)


@given(st.lists(entries, max_size=4), st.sampled_from([None, 1, 5]))
def test_any_entries_give_prompts_or_our_error(items: list[Any], length: int | None) -> None:
    refusal(PlannerError, prompts_from, items, (3, 4), length)


@given(st.lists(st.text(max_size=12), max_size=3), st.lists(st.text(max_size=12), max_size=2), st.lists(st.text()))
def test_any_options_give_entries_or_our_error(points: list[str], boxes: list[str], masks: list[str]) -> None:
    refusal(PlannerError, prompts_from_options, points, boxes, masks)


@given(st.one_of(st.text(), st.lists(entries).map(lambda items: json.dumps({"prompts": items}))))
def test_any_file_gives_prompts_or_our_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    refusal(PlannerError, read_prompts, path, (3, 4), 5)


@given(st.binary(max_size=40))
def test_any_counts_give_a_mask_or_our_error(counts: bytes) -> None:
    refusal(PlannerError, mask_from, {"size": [3, 4], "counts": counts}, (3, 4))
