"""A run that is stopped, killed or fails at any moment, and gone on with to the same bytes."""

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
from typing import Any

import pytest

pytest.importorskip("av", reason="overlay videos need PyAV")
pytest.importorskip("pycocotools", reason="COCO documents need pycocotools")
pytest.importorskip("PIL", reason="PNGs need Pillow")

from planner.errors import EnvironmentFailure, FileError, Interrupted, PlannerError, UsageError
from planner.runs.run import perform
from planner.text import files
from tests.conftest import ROOT
from tests.runtime.fakes import FakeFrames, files_of, job


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
        interrupted_after(choice.randrange(1, 9000), job(tmp_path / "out"))
        for path in (tmp_path / "out").rglob("*.png"):
            if not path.name.startswith("."):
                assert path.read_bytes() == whole[str(path.relative_to(tmp_path / "out"))]
    perform(job(tmp_path / "out"))
    assert files_of(tmp_path / "out") == whole


def interrupted_after(lines: int, work: Any) -> None:
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
        patch.setattr("planner.runs.clip.join_clip", full)
        with pytest.raises(EnvironmentFailure) as caught:
            perform(job(tmp_path / "out", **eight))
    assert "8 frames" in caught.value.hint
    summary = perform(job(tmp_path / "out", **{"frames": FakeFrames(length=8, count=8)}))
    assert summary.frames == 8


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
