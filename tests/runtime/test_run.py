"""The long work on a fake session: what a run leaves, for clips and for pictures."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av", reason="overlay videos need PyAV")
pytest.importorskip("pycocotools", reason="COCO documents need pycocotools")
pytest.importorskip("PIL", reason="PNGs need Pillow")

from planner.errors import EnvironmentFailure, FileError, UsageError
from planner.runs.run import perform
from tests.runtime.fakes import FakeFrames, FakePrompt, FakeSession, job, video_plan


def test_a_run_leaves_every_format_complete(tmp_path: Path) -> None:
    summary = perform(job(tmp_path / "out"))
    assert (summary.frames, summary.frames_before, summary.objects, summary.already_finished) == (25, 0, 2, False)
    assert {entry.save: entry.files for entry in summary.written} == {"png": 25, "coco": 1, "npz": 25, "overlay": 1}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "coco.json", "npz", "overlay.mp4", "png", "run.json",
    ]  # fmt: skip
    assert all(entry.bytes > 0 for entry in summary.written)
    assert summary.memory.reserved_bytes is None
    assert summary.memory.reason


def test_the_overlay_has_every_frame_at_the_rate_of_the_source(tmp_path: Path) -> None:
    import av

    perform(job(tmp_path / "out", frames=FakeFrames(frames_per_second=30000 / 1001)))
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert (len(frames), stream.frames) == (25, 25)
        assert float(stream.average_rate) == pytest.approx(30000 / 1001)
        assert [round(float(frame.pts * frame.time_base) * 30000 / 1001) for frame in frames] == list(range(25))


def test_a_second_call_does_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = perform(job(out))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}

    def load(_: Any) -> Any:
        raise AssertionError("nothing is to be loaded")

    again = perform(job(out, load=load))
    assert again.already_finished
    assert (again.frames, again.seconds, again.written) == (first.frames, first.seconds, first.written)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_limit_ends_the_run(tmp_path: Path) -> None:
    seen: list[int] = []
    summary = perform(job(tmp_path / "out", limit=6, on_frame=seen.append))
    assert summary.frames == 6
    assert seen == list(range(6))


def test_backward_the_overlay_follows_the_tracking(tmp_path: Path) -> None:
    prompts = (FakePrompt(9, 1), FakePrompt(5, 2))
    summary = perform(job(tmp_path / "out", reverse=True, prompts=prompts))
    assert summary.frames == 10
    document = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert [image["id"] for image in document["images"]] == list(range(9, -1, -1))


def test_progress_is_told_after_every_frame(tmp_path: Path) -> None:
    told: list[Any] = []
    perform(job(tmp_path / "out", progress=told.append))
    assert [entry.done for entry in told] == list(range(1, 26))
    assert {entry.total for entry in told} == {25}
    assert told[-1].seconds_left == 0


def test_steps_of_fallback_are_kept_and_the_run_goes_on_with_them(tmp_path: Path) -> None:
    plan = video_plan()
    smaller = plan.alternatives[0].configuration
    loaded = []
    step = SimpleNamespace(frame=2, reason="out of memory", configuration=smaller, carried_over=False)

    def load(chosen: Any) -> FakeSession:
        loaded.append(chosen.chosen.configuration)

        def fail(index: int) -> None:
            if index == 9 and len(loaded) == 1:
                raise FileError("torn.", "")

        session = FakeSession(chosen.chosen.configuration, fail)
        session.steps_at = {2: step}
        session.counted = SimpleNamespace(
            allocated_bytes=7, reserved_bytes=20, peak_allocated_bytes=10 * len(loaded), peak_reserved_bytes=20
        )
        return session

    with pytest.raises(FileError):
        perform(job(tmp_path / "out", load=load))
    summary = perform(job(tmp_path / "out", load=load))
    assert loaded == [plan.chosen.configuration, smaller]
    assert [entry["frame"] for entry in summary.steps] == [2]
    assert summary.configuration == smaller
    assert (summary.memory.allocated_bytes, summary.memory.reserved_bytes) == (20, 20)


def test_more_objects_than_planned_are_told_of(tmp_path: Path) -> None:
    prompts = tuple(FakePrompt(0, number) for number in (1, 2, 3))
    assert any("3 objects" in line for line in perform(job(tmp_path / "out", prompts=prompts)).warnings)


class TestPictures:
    def test_objects_with_unlike_prompts_each_get_their_mask(self, tmp_path: Path) -> None:
        mask = np.zeros((37, 52), dtype=bool)
        mask[3:9, 4:8] = True
        prompts = (
            FakePrompt(0, 7),
            FakePrompt(0, 3, points=None, labels=None, box=(1.0, 2.0, 9.0, 9.0)),
            FakePrompt(0, 5, points=None, labels=None, mask=mask),
            FakePrompt(0, 6, points=((1.0, 1.0), (9.0, 9.0)), labels=(1, 0)),
        )
        summary = perform(job(tmp_path / "out", task="image", prompts=prompts))
        assert (summary.objects, summary.frames) == (4, 1)
        with np.load(tmp_path / "out" / "npz" / "00000.npz") as found:
            assert found["objects"].tolist() == [3, 5, 6, 7]
        assert (tmp_path / "out" / "overlay.jpg").exists()

    def test_one_object_prompted_twice_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="Object 1"):
            perform(job(tmp_path / "out", task="image", prompts=(FakePrompt(0, 1), FakePrompt(0, 1))))

    def test_automatic_masks_keep_their_scores_and_small_ones_lie_on_top(self, tmp_path: Path) -> None:
        perform(job(tmp_path / "out", task="automask"))
        entries = json.loads((tmp_path / "out" / "coco.json").read_text())["annotations"]
        assert len(entries) == 9
        assert [entry["area"] for entry in entries] == sorted(entry["area"] for entry in entries)
        assert all(entry["predicted_iou"] == 0.9 and entry["stability_score"] == 0.97 for entry in entries)

    def test_more_automatic_masks_than_a_png_holds(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(FakeSession, "automatic", 300)
        with pytest.raises(UsageError, match="300") as caught:
            perform(job(tmp_path / "out", task="automask"))
        assert "coco" in caught.value.hint
        perform(job(tmp_path / "other", task="automask", saves=("coco", "overlay")))

    def test_a_failed_picture_starts_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any, **__: Any) -> Any:
            raise EnvironmentFailure("torn.", "Mend it.")

        with monkeypatch.context() as patch, pytest.raises(EnvironmentFailure, match="starts again"):
            patch.setattr(FakeSession, "segment", fail)
            perform(job(tmp_path / "out", task="image"))
        perform(job(tmp_path / "out", task="image"))
