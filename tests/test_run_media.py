"""`sam2-plan run` on the inputs and prompts that people have, with what `sam2-plan check` says of them beforehand."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planner
from tests.conftest import Outcome, invoke

av = pytest.importorskip("av", reason="running needs PyAV")
coco = pytest.importorskip("pycocotools.mask", reason="run lengths need pycocotools")
image_module = pytest.importorskip("PIL.Image", reason="running needs Pillow")

from planner.errors import FileError, UsageError
from planner.outputs.clip import ClipPart
from planner.prompts.places import PromptWarning
from planner.runs.clip import EARLY_ENDS, part_end
from planner.sources.frames import open_frames
from tests.runtime.fakes import SIZE, FakeSession, picture
from tests.runtime.media import folder, noise, tiff, turned, video

PLANS = {"video": "plan.yaml", "image": "image.yaml", "automask": "auto.yaml"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plans of each task, a folder of 12 frames, and a picture."""
    made = tmp_path_factory.mktemp("inputs")
    common: dict[str, Any] = {"frame_size": SIZE, "variant": "tiny", "resolution": 64, "precision": "float32"}
    for task, name in PLANS.items():
        objects = {} if task == "automask" else {"objects": 6}
        planner.plan(task=task, vram="4GB", **objects, **common).save(made / name)
    (made / "clip").mkdir()
    for index in range(12):
        image_module.fromarray(picture(index)).save(made / "clip" / f"{index:05d}.png")
    image_module.fromarray(picture(3)).save(made / "picture.png")
    return made


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.runs.run.load_for", lambda plan, _: FakeSession(plan.chosen.configuration))


def run(inputs: Path, out: Path, task: str, source: Path | str, *words: str) -> Outcome:
    common = ("--random-weights", "--device", "cpu", "--format", "json")
    return invoke("run", str(inputs / PLANS[task]), str(source), "--out", str(out), *common, *words)


def frames_of(out: Path) -> dict[int, list[int]]:
    """Objects by frame."""
    found = {}
    for path in sorted((out / "npz").iterdir()):
        with np.load(path) as file:
            found[int(path.stem)] = file["objects"].tolist()
    return found


# What check says is what run says.


def cut_jpeg(path: Path) -> None:
    image_module.fromarray(np.frombuffer(noise(99 * 99 * 3), np.uint8).reshape(99, 99, 3)).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:4000])


VALUES = np.arange(30 * 40).reshape(30, 40, 1)
UNUSABLE: dict[str, Callable[[Path], object]] = {
    "a JPEG cut short": cut_jpeg,
    "floating-point numbers": lambda path: tiff(path, (VALUES / 9).astype("<f4")),
    "signed numbers": lambda path: tiff(path, (VALUES - 700).astype("<i2")),
    "five bands": lambda path: tiff(path, np.repeat(VALUES, 5, axis=2).astype("u1")),
    "a HEIC": lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(99)),
    "nothing": lambda path: path.touch(),
    "a folder": lambda path: path.mkdir(),
    "no file": lambda path: None,
}


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize("task", ["image", "video"])
@pytest.mark.parametrize("name", [*UNUSABLE, "too many pixels"])
def test_what_run_refuses_check_refuses_with_the_same_sentence(
    inputs: Path, tmp_path: Path, name: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "input.tif"
    if name == "too many pixels":
        image_module.new("L", (400, 300)).save(source)
        monkeypatch.setattr(image_module, "MAX_IMAGE_PIXELS", 50_000)
    else:
        UNUSABLE[name](source)
    ran = run(inputs, tmp_path / "out", task, source, *("--point", "1,1"))
    looked = invoke("check", str(inputs / PLANS[task]), "--vram", "4GB", "--input", str(source), "--format", "json")
    found = next(check for check in looked.document["checks"] if check["name"] == "input")
    assert (ran.code, looked.code, found["status"]) == (2, 2, "fail")
    assert ran.document["error"]["message"].rstrip(".") == found["found"]
    assert ran.document["error"]["hint"].rstrip(".") == (found["action"] or "")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize("name", ["another size", "no picture"])
def test_a_frame_in_the_middle_that_run_will_refuse_is_seen_by_check(inputs: Path, tmp_path: Path, name: str) -> None:
    folder(tmp_path / "shots", ["0.png", "1.png", "2.png"])
    if name == "another size":
        image_module.new("RGB", (99, 98)).save(tmp_path / "shots" / "1.png")
    else:
        (tmp_path / "shots" / "1.png").write_text("no picture")
    source = str(tmp_path / "shots")
    looked = invoke("check", str(inputs / "plan.yaml"), "--vram", "4GB", "--input", source, "--format", "json")
    found = next(check for check in looked.document["checks"] if check["name"] == "input")
    with pytest.raises(FileError) as caught:
        list(open_frames(source).read())
    assert (looked.code, found["status"], found["found"]) == (2, "fail", caught.value.message.rstrip("."))


# What comes out is said.


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize("task", ["image", "video"])
def test_a_place_outside_names_an_orientation_that_is_not_applied(inputs: Path, tmp_path: Path, task: str) -> None:
    exif = image_module.Exif()
    exif[0x0112] = 6
    source = tmp_path / "shots" / "1.png"
    source.parent.mkdir()
    image_module.fromarray(picture(3)).save(source, exif=exif)
    given = source if task == "image" else source.parent
    error = run(inputs, tmp_path / "out", task, given, "--box", f"0,0,{SIZE[0]},{SIZE[1]}").document["error"]
    assert "reaches out" in error["message"] and "EXIF orientation (6) is not applied" in error["hint"]


@pytest.mark.usefixtures("sessions")
def test_frames_without_masks_are_said(inputs: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "p.json"
    prompts.write_text(json.dumps([{"frame": 4, "object": 2, "points": [[10, 12]]}]))
    words = ("--prompts", str(prompts), "--save", "npz")
    forward = run(inputs, tmp_path / "out", "video", inputs / "clip", *words).document
    backward = run(inputs, tmp_path / "back", "video", inputs / "clip", *words, "--reverse").document
    assert [text for text in forward["warnings"] if "frames 0 to 3 have no masks" in text]
    assert [text for text in backward["warnings"] if "frames 5 to 11 have no masks" in text]
    assert (list(frames_of(tmp_path / "out")), list(frames_of(tmp_path / "back"))) == ([*range(4, 12)], [*range(5)])


@pytest.mark.usefixtures("sessions")
def test_a_box_that_was_clipped_is_in_the_answer(inputs: Path, tmp_path: Path) -> None:
    box = f"-0.3,0,20,{SIZE[0] + 0.4}"
    document = run(inputs, tmp_path / "out", "image", inputs / "picture.png", "--box", box).document
    assert [text for text in document["warnings"] if f"clipped to [0, 0, 20, {SIZE[0]}]" in text]


# Where a run begins, and where an object ends.


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize(
    ("words", "frames"), [((), range(7, 12)), (("--reverse",), range(8)), (("--frames", "2"), (7, 8))]
)
def test_start_is_the_frame_that_points_speak_of(inputs: Path, tmp_path: Path, words: Any, frames: Any) -> None:
    given = ("--point", "10,12", "--start", "7", "--save", "npz", *words)
    assert run(inputs, tmp_path / "out", "video", inputs / "clip", *given).code == 0
    assert list(frames_of(tmp_path / "out")) == list(frames)
    again = run(inputs, tmp_path / "out", "video", inputs / "clip", *given[:2], "--start", "6", *given[4:])
    assert again.code == 2 and "--start (7 there, 6 now)" in again.document["error"]["message"]


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize(
    ("task", "words", "expected"),
    [
        ("video", ("--point", "1,1", "--start", "12"), "clip has no frame 12: it has 12 frames"),
        ("video", ("--point", "1,1", "--start", "-1"), "no frame -1"),
        ("video", ("--point", "1,1", "--points-per-side", "9"), "--points-per-side is for automatic masks"),
        ("video", ("--point", "1:1,1", "--end", "2:3"), "Object 2 ends at frame 3 and is never prompted"),
        ("video", ("--point", "1:1,1", "--end", "1:12"), "is on frame 12, but the clip has 12 frames"),
        ("video", ("--point", "1,1", "--end", "3"), "'3' is not the end of an object"),
        ("image", ("--point", "1,1", "--start", "1"), "--start is for videos"),
        ("image", ("--point", "1:1,1", "--end", "1:1"), "frame 1, but the clip has 1 frame"),
        ("automask", ("--crop-layers", "9"), "9 layers of crops"),
        ("automask", ("--points-per-side", "0"), "0 points per side"),
    ],
)  # fmt: skip
def test_bad_places_in_time_and_grids(inputs: Path, tmp_path: Path, task: str, words: Any, expected: str) -> None:
    source = inputs / ("clip" if task == "video" else "picture.png")
    outcome = run(inputs, tmp_path / "out", task, source, *words)
    assert outcome.code == 2 and expected in outcome.document["error"]["message"]
    assert outcome.document["error"]["hint"]


@pytest.mark.usefixtures("sessions")
def test_prompts_from_standard_input(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--prompts", "-", "--save", "npz")
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"prompts": [{"frame": 9, "object": 3, "points": [[1, 1]]}]}'))
    assert run(inputs, tmp_path / "out", "video", inputs / "clip", *words).code == 0
    assert frames_of(tmp_path / "out") == {9: [3], 10: [3], 11: [3]}
    monkeypatch.setattr(sys, "stdin", io.StringIO('[{"frame": 9,\n "points": [[99, 1]]}]'))
    error = run(inputs, tmp_path / "other", "video", inputs / "clip", *words).document["error"]
    assert error["message"].startswith("standard input, line 2: prompt 1 has the point (99, 1) outside")


@pytest.mark.parametrize("part", [3, 5, 7, 100])
def test_the_parts_of_a_run_end_where_their_number_says_and_the_first_come_early(part: int) -> None:
    ends = [0]
    while ends[-1] < 250:
        ends.append(part_end(ends[-1], part))
    assert ends[1:] == sorted({*(end for end in EARLY_ENDS if end < part), *range(part, 250 + part, part)})
    for frames in range(250):  # also from the middle, as an older version left it
        assert part_end(frames, part) == min(end for end in ends if end > frames)


class TestSam2:
    """The real network with random weights."""

    @pytest.fixture(autouse=True)
    def _needs_sam2(self) -> None:
        pytest.importorskip("sam2", reason="the runtime runs the sam2 package")

    @pytest.mark.parametrize("task", ["video", "image"])
    def test_every_sort_of_prompt_from_options_and_from_a_file(self, inputs: Path, tmp_path: Path, task: str) -> None:
        mask = np.zeros(SIZE, np.uint8)
        mask[5:20, 7:30] = 255
        labels = np.where(mask, np.arange(SIZE[1]) // 16 + 4, 0).astype(np.uint8)
        image_module.fromarray(mask).save(tmp_path / "mask.png")
        image_module.fromarray(labels).save(tmp_path / "labels.png")
        rle = coco.encode(np.asfortranarray(mask // 255))
        prompts = [
            {"object": 1, "points": [[10, 12], [40, 30]], "labels": [1, 0]},
            {"object": 2, "box": [3, 4, 20, 30]},
            {"object": 3, "mask": "mask.png"},
            {"object": 4, "mask": "labels.png"},
            {"object": 5, "mask": "labels.png"},
            {"object": 6, "mask": {"size": list(SIZE), "counts": rle["counts"].decode()}},
        ]
        (tmp_path / "p.json").write_text(json.dumps(prompts))
        files = [
            f"{number}:{tmp_path}/{name}" for number, name in ((3, "mask.png"), (4, "labels.png"), (5, "labels.png"))
        ]
        options = ("--point", "1:10,12", "--box", "2:3,4,20,30", *(word for file in files for word in ("--mask", file)))
        source = inputs / ("clip" if task == "video" else "picture.png")
        for at, (words, count) in enumerate(((("--prompts", str(tmp_path / "p.json")), 6), (options, 5))):
            some = ("--frames", "2") if task == "video" else ()
            outcome = run(inputs, tmp_path / f"out{at}", task, source, *words, *some, "--save", "npz")
            assert outcome.document["objects"] == count
            assert len(frames_of(tmp_path / f"out{at}")[0]) == count

    def test_an_object_ends_and_with_the_last_of_them_the_run(
        self, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = ("--point", "1:10,12", "--box", "2:3,4,20,30", "--end", "1:1", "--end", "2:4", "--save", "npz,overlay")
        assert run(inputs, tmp_path / "out", "video", inputs / "clip", *given).document["frames"] == 4
        assert frames_of(tmp_path / "out") == {0: [1, 2], 1: [2], 2: [2], 3: [2]}
        # Interrupted on the way, too: the ends are known again, and a short run has something to go on from.
        monkeypatch.setattr("planner.runs.clip.EARLY_ENDS", (2,))
        add = ClipPart.add

        def tear(part: ClipPart, index: int, *rest: Any) -> None:
            if index == 2:
                raise FileError("torn.", "")
            add(part, index, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(ClipPart, "add", tear)
            assert run(inputs, tmp_path / "other", "video", inputs / "clip", *given).code == 2
        document = run(inputs, tmp_path / "other", "video", inputs / "clip", *given).document
        assert (document["frames"], document["frames_before"]) == (4, 2)
        assert frames_of(tmp_path / "other") == frames_of(tmp_path / "out")

    def test_a_clip_of_a_phone_is_upright_and_said_once(self, inputs: Path, tmp_path: Path) -> None:
        source = turned(video(tmp_path / "phone.mp4", count=2), 90)
        document = run(inputs, tmp_path / "out", "video", source, "--point", "5,100").document
        assert document["frame_size"] == [128, 32]
        assert len([text for text in document["warnings"] if "turned by 90 degrees clockwise" in text]) == 1
        with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
            laid = next(container.decode(video=0))
        assert (laid.height, laid.width, laid.rotation) == (128, 32, 0)
        error = run(inputs, tmp_path / "other", "video", source, "--point", "100,5").document["error"]
        assert "outside" in error["message"] and "turned by 90 degrees clockwise" in error["hint"]

    def test_python_s_segment_takes_and_refuses_the_same(self, inputs: Path) -> None:
        session = planner.load(planner.Plan.load(inputs / "image.yaml"), random_weights=True, device="cpu")
        height, width = SIZE
        box = np.array([[-0.3, 0, width + 1.5, height]])
        with pytest.warns(PromptWarning, match=f"clipped to 0, 0, {width}, {height}"):
            found = session.segment(picture(3), boxes=box)
        assert box[0, 0] == -0.3
        np.testing.assert_array_equal(found.logits, session.segment(picture(3), boxes=[0, 0, width, height]).logits)
        refused: dict[str, dict[str, Any]] = {
            "shares of the picture": {"points": [[0.5, 0.5]]},
            "here 0, 0, 26, 37": {"boxes": [0, 0, 0.5, 1]},
            "lies outside": {"boxes": [0, 0, width + 9, height]},
            "is empty": {"masks": np.zeros((2, *SIZE), bool)},
        }
        for words, prompts in refused.items():
            with pytest.raises(UsageError, match=words):
                session.segment(picture(3), **prompts)

    def test_a_grid_and_crops_reach_the_network(
        self, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from planner.runtime import automatic

        crops: list[tuple[Any, int]] = []
        of_crop = automatic._of_crop
        monkeypatch.setattr(
            automatic, "_of_crop", lambda *given: crops.append((given[2], len(given[3]))) or of_crop(*given)
        )
        words = ("--points-per-side", "3", "--crop-layers", "1")
        assert run(inputs, tmp_path / "out", "automask", inputs / "picture.png", *words).code == 0
        assert len({box for box, _ in crops}) == 5 and {points for _, points in crops} == {9}
