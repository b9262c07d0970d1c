"""The long work on a fake session: whole, interrupted, killed at any moment, and gone on with to the same bytes."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av", reason="overlay videos need PyAV")
pytest.importorskip("pycocotools", reason="COCO documents need pycocotools")
pytest.importorskip("PIL", reason="PNGs need Pillow")

from planner.errors import EnvironmentFailure, FileError, Interrupted, PlannerError, UsageError
from planner.outputs import files
from planner.runtime.run import perform
from tests.conftest import ROOT
from tests.runtime.fakes import FakeFrames, FakePrompt, FakeSession, files_of, job, picture, video_plan


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    perform(job(out))
    return files_of(out)


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


@pytest.mark.parametrize("frame", [0, 1, 3, 4, 5, 7, 8, 13, 23, 24])
def test_an_error_at_any_frame_leaves_what_the_next_call_goes_on_from(
    frame: int, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    seen: list[int] = []

    def fail(index: int) -> None:
        seen.append(index)
        if index == frame and len(seen) == frame + 1:
            raise FileError("the picture is torn.", "Mend it.")

    with pytest.raises(FileError) as caught:
        perform(job(tmp_path / "out", on_frame=fail))
    assert "the same command" in caught.value.hint.lower()
    seen.clear()
    summary = perform(job(tmp_path / "out", on_frame=seen.append))
    assert seen == list(range(frame // 4 * 4, 25))
    assert summary.frames_before == frame // 4 * 4
    assert files_of(tmp_path / "out") == whole


# A file that was opened in the very moment stays open until the process ends.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("seed", range(15))
def test_keyboard_interrupts_anywhere_leave_nothing_corrupt(seed: int, tmp_path: Path, whole: dict[str, bytes]) -> None:
    """Raised between two lines of the project's own code, as a second Ctrl-C is; three times, then let through."""
    choice = random.Random(seed)
    for _ in range(3):
        _interrupted_after(choice.randrange(1, 9000), job(tmp_path / "out"))
        for path in (tmp_path / "out").rglob("*.png"):
            if not path.name.startswith("."):
                assert path.read_bytes() == whole[str(path.relative_to(tmp_path / "out"))]
    perform(job(tmp_path / "out"))
    assert files_of(tmp_path / "out") == whole


def _interrupted_after(lines: int, work: Any) -> None:
    left = lines
    places = (str(ROOT / "planner" / "outputs"), str(ROOT / "planner" / "runtime"))

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        # A lock that was taken in the very moment goes with the process, which here goes on.
        if not frame.f_code.co_filename.startswith(places) or frame.f_code.co_name == "_locked":
            return None
        left -= 1
        if left == 0:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        perform(work)
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)


def start(out: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.runtime.fakes", str(out), str(seconds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_it_ends_with_the_same_bytes(seed: int, tmp_path: Path, whole: dict[str, bytes]) -> None:
    """Five kills each, spread over the run, until one call gets through."""
    choice, out, kills = random.Random(seed), tmp_path / "out", 0
    while kills < 5:
        process = start(out, 0.02)
        deadline, wanted = time.monotonic() + 60, choice.randrange(1, 12)
        before = _count(out)
        while process.poll() is None and _count(out) < before + wanted and time.monotonic() < deadline:
            time.sleep(choice.random() / 200)
        process.kill()
        process.communicate()
        kills += 1
        assert not (out / "run.json").exists() or json.loads((out / "run.json").read_text())
    process = start(out, 0.0)
    assert process.communicate()[1] == ""
    assert process.returncode == 0
    assert files_of(out) == whole


def _count(out: Path) -> int:
    return len(list(out.glob("png/0*.png")))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_finishes_the_frame_and_says_how_to_go_on(
    number: signal.Signals, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    def interrupt(index: int) -> None:
        if index == 9:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        perform(job(tmp_path / "out", on_frame=interrupt))
    assert signal.getsignal(number) is before
    assert "frame 9" in caught.value.message
    assert "8 frames" in caught.value.hint
    assert (tmp_path / "out" / "png" / "00009.png").exists(), "the frame at hand is finished"
    assert not list((tmp_path / "out").rglob("*.partial"))
    perform(job(tmp_path / "out"))
    assert files_of(tmp_path / "out") == whole


def test_the_second_signal_stops_at_once(tmp_path: Path, whole: dict[str, bytes]) -> None:
    def interrupt(index: int) -> None:
        if index == 9:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        perform(job(tmp_path / "out", on_frame=interrupt))
    assert not (tmp_path / "out" / "png" / "00009.png").exists()
    perform(job(tmp_path / "out"))
    assert files_of(tmp_path / "out") == whole


def test_a_signal_on_the_last_frame_of_a_part_keeps_the_part(tmp_path: Path) -> None:
    def interrupt(index: int) -> None:
        if index == 7:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        perform(job(tmp_path / "out", on_frame=interrupt))
    assert "8 frames" in caught.value.hint


def test_a_clip_that_ends_with_a_part_goes_on_without_a_frame_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eight = {"frames": FakeFrames(length=8, count=8)}

    def full(*_: Any) -> None:
        raise EnvironmentFailure("no.")

    with monkeypatch.context() as patch:
        patch.setattr("planner.runtime.run_clip.join_clip", full)
        with pytest.raises(EnvironmentFailure) as caught:
            perform(job(tmp_path / "out", **eight))
    assert "8 frames" in caught.value.hint
    summary = perform(job(tmp_path / "out", **{"frames": FakeFrames(length=8, count=8)}))
    assert summary.frames == 8


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


class TestSourcesThatPassByOnce:
    def test_an_interruption_completes_what_there_is(self, tmp_path: Path) -> None:
        import av

        def interrupt(index: int) -> None:
            if index == 9:
                os.kill(os.getpid(), signal.SIGINT)

        once = {"frames": FakeFrames(rereadable=False, length=None)}
        with pytest.raises(Interrupted) as caught:
            perform(job(tmp_path / "out", on_frame=interrupt, **once))
        assert "complete up to frame 9" in caught.value.hint
        with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
            assert len(list(container.decode(video=0))) == 10
        assert len(json.loads((tmp_path / "out" / "coco.json").read_text())["images"]) == 10
        with pytest.raises(UsageError, match="only once"):
            perform(job(tmp_path / "out", **once))

    def test_an_error_completes_the_parts_that_there_are(self, tmp_path: Path) -> None:
        def fail(index: int) -> None:
            if index == 9:
                raise FileError("torn.", "")

        with pytest.raises(FileError, match="complete up to frame 7"):
            perform(job(tmp_path / "out", on_frame=fail, frames=FakeFrames(rereadable=False, length=None)))
        assert len(json.loads((tmp_path / "out" / "coco.json").read_text())["images"]) == 8

    def test_undisturbed_it_ends_as_any_other(self, tmp_path: Path, whole: dict[str, bytes]) -> None:
        perform(job(tmp_path / "out", frames=FakeFrames(rereadable=False, length=None)))
        assert files_of(tmp_path / "out") == whole


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
        session.counted = SimpleNamespace(peak_allocated_bytes=10 * len(loaded), peak_reserved_bytes=20)
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

    def test_a_failed_picture_starts_again(self, tmp_path: Path) -> None:
        def load(_: Any) -> Any:
            raise EnvironmentFailure("no GPU.", "Buy one.")

        with pytest.raises(EnvironmentFailure, match="starts again"):
            perform(job(tmp_path / "out", task="image", load=load))
        perform(job(tmp_path / "out", task="image"))


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

        with pytest.raises(UsageError, match="Another run"):
            perform(job(tmp_path / "out", on_frame=second))


@pytest.mark.parametrize("after", [0, 1, 2, 5, 9, 14, 20, 33, 47, 60])
def test_a_full_disk_is_named_and_survived(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, bytes]
) -> None:
    """The disk fills up after so many files; then there is room again."""
    count = 0
    fsync = os.fsync

    def full(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(EnvironmentFailure) as caught:
            perform(job(out))
    assert "No space left" in caught.value.message
    assert str(out) in caught.value.message
    assert caught.value.exit_code == 1
    assert not list(out.rglob("*.partial"))
    perform(job(out))
    assert files_of(out) == whole


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit on the size of files")
@pytest.mark.parametrize("limit", [300, 700, 1500, 3000])
def test_files_that_may_not_grow_are_named(limit: int, tmp_path: Path, whole: dict[str, bytes]) -> None:
    """The operating system's own refusal in the middle of a write, in every writer and in FFmpeg's."""
    import resource

    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(EnvironmentFailure) as caught:
            perform(job(tmp_path / "out"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "cannot be written: File too large" in caught.value.message
    assert not list((tmp_path / "out").rglob("*.partial"))
    perform(job(tmp_path / "out"))
    assert files_of(tmp_path / "out") == whole


def test_every_error_of_a_run_says_what_to_do(tmp_path: Path) -> None:
    def fail(index: int) -> None:
        if index == 2:
            raise PlannerError("odd.", "")

    with pytest.raises(PlannerError) as caught:
        perform(job(tmp_path / "out", on_frame=fail))
    assert caught.value.hint


def test_the_fake_clip_is_what_it_says() -> None:
    assert picture(1).shape == (37, 52, 3)
