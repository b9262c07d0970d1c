"""The folder of a run: who may use it, and what is never deleted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av", reason="overlay videos need PyAV")
pytest.importorskip("pycocotools", reason="COCO documents need pycocotools")
pytest.importorskip("PIL", reason="PNGs need Pillow")

from planner.errors import EnvironmentFailure, FileError, UsageError
from planner.runs.job import Weights
from planner.runs.run import perform
from tests.runtime.fakes import FakePrompt, FakeSession, files_of, job, video_plan

DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "another plan": ({"plan": video_plan("image")}, "plan"),
    "another input": ({"source": "other.fake"}, "INPUT"),
    "other prompts": ({"prompts": (FakePrompt(0, 1), FakePrompt(1, 2))}, "the prompts"),
    "other saves": ({"saves": ("png",)}, "--save"),
    "another limit": ({"limit": 12}, "--frames"),
    "the other direction": ({"reverse": True}, "--reverse"),
}


@pytest.mark.parametrize(("changes", "named"), DIFFERENT.values(), ids=DIFFERENT)
def test_another_run_in_the_folder_is_refused_by_what_differs(
    changes: dict[str, Any], named: str, tmp_path: Path
) -> None:
    perform(job(tmp_path / "out", limit=5))
    changes = {"limit": 5, **changes} if named != "--frames" else changes
    if "plan" in changes:
        changes = {**changes, "plan": __import__("planner").plan(task="video", vram="1GB")}
    with pytest.raises(UsageError) as caught:
        perform(job(tmp_path / "out", **changes))
    assert named in caught.value.message
    assert "--overwrite" in caught.value.hint


@pytest.mark.parametrize("task", ["video", "image"])
def test_a_run_whose_weights_do_not_load_leaves_the_folder_to_the_corrected_one(task: str, tmp_path: Path) -> None:
    """Nor does it cost the run that it was to overwrite."""

    def fail(plan: Any) -> Any:
        raise FileError("There is no checkpoint typo.pt.", "Look again.")

    def typo(**options: Any) -> None:
        wrong = Weights(checkpoint="typo.pt", device="cuda:9")
        with pytest.raises(FileError) as caught:
            perform(job(tmp_path / "out", task=task, weights=wrong, load=fail), **options)
        assert caught.value.hint == "Look again."

    typo()
    assert not any((tmp_path / "out").iterdir())
    perform(job(tmp_path / "out", task=task))
    before = files_of(tmp_path / "out")
    typo(overwrite=True)
    assert files_of(tmp_path / "out") == before
    assert perform(job(tmp_path / "out", task=task)).already_finished


def test_overwriting_deletes_the_run_and_nothing_else(tmp_path: Path, whole: dict[str, bytes]) -> None:
    out = tmp_path / "out"
    perform(job(out, limit=5))
    (out / "png" / "mine.txt").write_text("mine")
    (out / "notes.txt").write_text("mine")
    perform(job(out), overwrite=True)
    found = files_of(out)
    assert found.pop("png/mine.txt") == found.pop("notes.txt") == b"mine"
    assert found == whole


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_that_no_record_speaks_of_are_never_touched(overwrite: bool, tmp_path: Path) -> None:
    """They may be the user's own frames."""
    (tmp_path / "out" / "png").mkdir(parents=True)
    (tmp_path / "out" / "png" / "00001.png").write_text("mine")
    with pytest.raises(UsageError, match="png"):
        perform(job(tmp_path / "out"), overwrite=overwrite)
    assert files_of(tmp_path / "out") == {"png/00001.png": b"mine"}
    assert not (tmp_path / "out" / "run.json").exists()


@pytest.mark.parametrize("source", ["out/png", "out/overlay.mp4", "out/png/00001.png", "out/../out/npz"])
def test_an_input_that_the_run_would_write_over_is_refused(source: str, tmp_path: Path) -> None:
    perform(job(tmp_path / "out"))
    before = files_of(tmp_path / "out")
    with pytest.raises(UsageError, match="INPUT"):
        perform(job(tmp_path / "out", source=str(tmp_path / source)), overwrite=True)
    assert files_of(tmp_path / "out") == before


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"kind": "plan"}', "\0", "[" * 5000])
def test_a_record_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text(text)
    with pytest.raises(FileError) as caught:
        perform(job(tmp_path / "out"))
    assert "another folder" in caught.value.hint
    with pytest.raises(FileError):
        perform(job(tmp_path / "out"), overwrite=True)
    assert (tmp_path / "out" / "run.json").read_text() == text


@pytest.mark.parametrize(
    "gone",
    [
        "coco.json", "overlay.mp4", "png", "npz/00003.npz", ".parts/state-000002.pt", ".parts/coco-000000.jsonl",
        ".parts/../png/00007.png",
    ],
)  # fmt: skip
def test_what_the_record_speaks_of_and_is_gone_is_named(gone: str, tmp_path: Path) -> None:
    """Of a finished run, and (.parts) of one that was stopped at frame 9."""

    def fail(index: int) -> None:
        if index == 9:
            raise FileError("torn.", "")

    out = tmp_path / "out"
    if gone.startswith("."):
        with pytest.raises(FileError):
            perform(job(out, on_frame=fail))
    else:
        perform(job(out))
    path = out / gone
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(FileError, match=path.name) as caught:
        perform(job(out))
    assert "--overwrite" in caught.value.hint
    assert perform(job(out), overwrite=True).frames == 25


def test_a_state_that_is_damaged_does_not_promise_to_go_on(tmp_path: Path) -> None:
    def fail(index: int) -> None:
        if index == 9:
            raise FileError("torn.", "")

    with pytest.raises(FileError):
        perform(job(tmp_path / "out", on_frame=fail))

    def load(plan: Any) -> FakeSession:
        session = FakeSession(plan.chosen.configuration)

        def track(*_: Any, **__: Any) -> Any:
            raise FileError("no saved tracking.", "")

        session.track = track  # type: ignore[method-assign]
        return session

    with pytest.raises(FileError) as caught:
        perform(job(tmp_path / "out", load=load))
    assert "--overwrite" in caught.value.hint
    assert "goes on" not in caught.value.hint


class TestPlaces:
    def test_a_missing_parent_is_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="mkdir -p"):
            perform(job(tmp_path / "no" / "such" / "out"))
        assert not (tmp_path / "no").exists()

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("mine")
        with pytest.raises(UsageError, match="is a file"):
            perform(job(tmp_path / "out"))
        with pytest.raises(UsageError, match="is a file"):
            perform(job(tmp_path / "out" / "in"))
        assert (tmp_path / "out").read_text() == "mine"

    @pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
    def test_a_place_without_permission(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir(mode=0o500)
        with pytest.raises(EnvironmentFailure, match="Permission denied"):
            perform(job(tmp_path / "out"))

    def test_a_null_character(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="not a path"):
            perform(job(tmp_path / "o\0ut"))

    def test_two_runs_in_one_folder(self, tmp_path: Path) -> None:
        pytest.importorskip("fcntl")

        def second(index: int) -> None:
            if index == 3:
                perform(job(tmp_path / "out"))

        with pytest.raises(EnvironmentFailure, match="Another run"):
            perform(job(tmp_path / "out", on_frame=second))


@pytest.mark.parametrize("parts", [1, 2])
def test_other_weights_in_a_folder_of_transformers_are_another_run(parts: int, tmp_path: Path) -> None:
    """Whatever lies beside them: the first and last file of the folder are alike in any two trainings."""
    index = tmp_path / "mine" / "model.safetensors.index.json"
    index.parent.mkdir()
    files = [
        index.with_name(f"model-{part}.safetensors" if parts > 1 else "model.safetensors") for part in range(parts)
    ]
    for path in files:
        path.write_bytes(bytes(100))
    for name in ("config.json", "video_preprocessor_config.json"):
        index.with_name(name).write_text("{}")
    if parts > 1:
        index.write_text(json.dumps({"weight_map": {str(part): path.name for part, path in enumerate(files)}}))
    weights = Weights(checkpoint=str(index.parent))
    perform(job(tmp_path / "out", limit=5, weights=weights))
    perform(job(tmp_path / "out", limit=5, weights=weights))
    files[-1].write_bytes(bytes(99) + b"\1")
    with pytest.raises(UsageError, match="what differs is the weights"):
        perform(job(tmp_path / "out", limit=5, weights=weights))
