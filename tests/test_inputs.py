"""Several inputs of one call: which there are, what their folders are called, and what is refused."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from planner.errors import FileError, PlannerError, UsageError
from planner.nouns.words import Task
from planner.runs.inputs import are_several, inputs_from
from planner.runs.summary import ClipOutcome, RunsSummary
from planner.wire.runs import RUNS
from planner.wire.shapes import json_schema


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """a.mp4, left/0001.mp4, right/0001.mov, right/deep/x.avi, frames/0.jpg, .hidden.mp4, notes.txt."""
    for name in (
        "a.mp4", "left/0001.mp4", "right/0001.mov", "right/deep/x.avi", "frames/0.jpg", ".hidden.mp4", "notes.txt",
    ):  # fmt: skip
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "in"


def names(*sources: Path | str, out: Path = Path("out"), task: Task = "video") -> list[str]:
    return [one.name for one in inputs_from(sources, out, task)]


def test_each_input_has_its_own_folder(folder: Path) -> None:
    found = inputs_from([folder / "a.mp4", folder / "frames", "camera:1"], "masks", "video")
    assert [(one.name, one.out) for one in found] == [
        ("a", Path("masks/a")),
        ("frames", Path("masks/frames")),
        ("camera-1", Path("masks/camera-1")),
    ]
    assert found[0].source == str(folder / "a.mp4")


def test_a_folder_stands_for_the_clips_below_it(folder: Path) -> None:
    assert names(folder) == ["a", "frames", "left/0001", "right/0001", "right/deep/x"]
    assert names(folder, task="image") == ["frames/0"]
    assert names(folder / "frames", task="image") == ["0"]


def test_what_was_written_is_no_input_of_the_next_call(folder: Path) -> None:
    out = folder / "masks"
    before = names(folder, out=out)
    for made in ("a/overlay.mp4", "a/png/00000.png", "left/0001/overlay.mp4"):
        (out / made).parent.mkdir(parents=True, exist_ok=True)
        (out / made).write_bytes(b"")
    assert names(folder, out=out) == before


def test_links_that_lead_back_end(folder: Path) -> None:
    (folder / "right" / "again").symlink_to(folder)
    assert names(folder) == ["a", "frames", "left/0001", "right/0001", "right/deep/x"]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("rtsp://user:secret@10.0.0.5:554/stream1?token=abc", "10.0.0.5-554-stream1"),
        ("https://host/videos/clip.one.mp4?sig=1", "clip.one"),
        ("udp://239.0.0.1:1234", "239.0.0.1-1234"),
        ("s3://bucket/a/b.mp4", "b"),
        ("https://host", "host"),
    ],
)
def test_addresses_are_named_without_secrets(address: str, name: str) -> None:
    assert names(address) == [name]


def test_several_are_told_from_one(folder: Path) -> None:
    assert are_several([folder], "video")
    assert are_several(["a", "b"], "image")
    assert are_several([folder / "frames"], "image")
    assert not are_several([folder / "frames"], "video")
    assert not are_several([folder / "a.mp4"], "video")
    assert not are_several(["camera:0"], "video")
    (folder / "empty").mkdir()
    assert not are_several([folder / "empty"], "video")


@pytest.mark.parametrize(
    ("sources", "kind", "words"),
    [
        ((), UsageError, ("no input",)),
        (("none.mp4",), FileError, ("none.mp4 does not exist",)),
        (("a.mp4", "x.mp4", "y.mp4"), FileError, ("x.mp4, ", "y.mp4")),
        (("*.mkv",), FileError, ("*.mkv", "pattern")),
        (("a.mp4", "left/../a.mp4"), UsageError, ("given twice", "as ")),
        (("left/0001.mp4", "right/0001.mov"), UsageError, ("left/0001.mp4", "right/0001.mov", "folder 0001")),
        (("a.mp4", "left/A.mp4"), UsageError, ("both write",)),
        (("empty",), FileError, ("empty holds no clips",)),
    ],
)
def test_bad_inputs_are_refused_by_name(
    sources: tuple[str, ...], kind: type[PlannerError], words: tuple[str, ...], folder: Path
) -> None:
    (folder / "left" / "A.mp4").write_bytes(b"")
    (folder / "empty").mkdir()
    with pytest.raises(kind) as caught:
        inputs_from([str(folder / source) for source in sources], "out", "video")
    for word in words:
        assert word in str(caught.value)
    assert caught.value.hint


def test_no_folder_lies_within_that_of_another_input(folder: Path) -> None:
    (folder.parent / "right.mp4").write_bytes(b"")
    with pytest.raises(UsageError, match=r"right\.mp4 and .*0001\.mov would both write to the folder right"):
        inputs_from([folder.parent / "right.mp4", folder], "out", "video")


def test_masks_never_go_into_their_own_frames(folder: Path) -> None:
    with pytest.raises(UsageError, match="its own masks"):
        inputs_from([folder / "frames", folder / "a.mp4"], folder, "video")
    with pytest.raises(UsageError, match="both INPUT and --out"):
        inputs_from([folder], folder / "left" / "..", "video")
    (folder / "runs.json").mkdir()
    (folder / "runs.json" / "0.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="summary"):
        inputs_from([folder / "runs.json"], "out", "video")


def test_the_summary_counts_and_is_its_own_schema(tmp_path: Path) -> None:
    def clip(name: str, **values: object) -> ClipOutcome:
        return ClipOutcome(name=name, source=f"{name}.mp4", out=f"out/{name}", **values)  # type: ignore[arg-type]

    clips = (
        clip("a", status="done", frames=10, objects=1, seconds=2.0),
        clip("b", status="resumed", frames=10, frames_before=5),
        clip("c", status="skipped", frames=10, frames_before=10),
        clip("d", status="failed", error=FileError("d.mp4 is empty.", "Record it again.")),
    )
    summary = RunsSummary(task="video", out="out", clips=clips, seconds=3.0)
    assert (summary.exit_code, summary.frames, summary.frames_per_second) == (1, 15, 5.0)
    assert RunsSummary(task="video", out="out", clips=clips[:3], seconds=3.0).exit_code == 0
    document = RUNS.write(summary)
    jsonschema.validate(document, json_schema(RUNS))
    assert document["counts"] == {"done": 1, "resumed": 1, "skipped": 1, "failed": 1, "interrupted": 0, "waiting": 0}
    assert document["clips"][3]["error"] == {
        "code": "file",
        "message": "d.mp4 is empty.",
        "hint": "Record it again.",
    }
    summary.write(tmp_path)
    assert (tmp_path / "runs.json").read_text().startswith('{\n  "schema_version": 1,\n  "kind": "runs"')
