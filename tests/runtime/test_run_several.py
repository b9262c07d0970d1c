"""Several inputs in one process: each as in a run of its own, whatever happens to the others."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av", reason="overlay videos need PyAV")
pytest.importorskip("pycocotools", reason="COCO documents need pycocotools")
image_module = pytest.importorskip("PIL.Image", reason="PNGs need Pillow")

import planner
from planner.errors import EnvironmentFailure, FileError, UsageError
from planner.runs.run import run
from planner.runs.several import RunsProgress, run_several
from tests.conftest import invoke
from tests.runtime import media
from tests.runtime.fakes import SIZE, FakeSession, FakeTracking, files_of, picture, video_plan

PROMPTS = [{"frame": 0, "object": 1, "points": [[5, 6]]}, {"frame": 0, "object": 2, "points": [[15, 16]]}]
COUNTS = {"a": 12, "b": 7, "c": 25}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of pictures a, b and c; below other/ a video that is broken, one that is empty and a text file."""
    folder = tmp_path_factory.mktemp("clips")
    for name, count in COUNTS.items():
        (folder / "good" / name).mkdir(parents=True)
        for index in range(count):
            image_module.fromarray(picture(index)).save(folder / "good" / name / f"{index:05d}.png")
    (folder / "bad").mkdir()
    (folder / "bad" / "broken.mp4").write_bytes(b"no video at all" * 40)
    (folder / "bad" / "empty.mp4").write_bytes(b"")
    return folder


class Sessions:
    """Fakes in place of SAM 2: how often one was loaded and closed, and which frames it was asked for, in order."""

    def __init__(self) -> None:
        self.loaded, self.closed = 0, 0
        self.frames: list[tuple[str, int]] = []
        self.on_frame: Callable[[str, int], None] = lambda name, index: None
        self.fail: Exception | None = None
        self.ready: Callable[[str], bool] = lambda name: True

    def load(self, plan: Any, weights: Any) -> FakeSession:
        if self.fail is not None:
            raise self.fail
        self.loaded += 1
        owner = self

        class Tracking(FakeTracking):
            @property
            def name(self) -> str:
                return Path(self.frames.name).name

            @property
            def ready(self) -> bool:  # type: ignore[override]
                return owner.ready(self.name)

            def __next__(self) -> Any:
                index, masks = super().__next__()
                owner.frames.append((self.name, index))
                owner.on_frame(self.name, index)
                return index, masks

        class Session(FakeSession):
            def track(self, source: Any, prompts: Any = (), *, reverse=False, start=None, resume=None) -> Any:  # type: ignore[no-untyped-def]
                return Tracking(self, source, prompts, reverse, start, resume)

            def close(self) -> None:
                owner.closed += 1

        return Session(plan.chosen.configuration)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    found = Sessions()
    for module in ("run", "shared"):
        monkeypatch.setattr(f"planner.runs.{module}.load_for", found.load)
    monkeypatch.setattr("planner.runs.asked.PART_FRAMES", 4)
    return found


@pytest.fixture(scope="module")
def alone(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The files of each good clip, run by itself."""
    folder, found = tmp_path_factory.mktemp("alone"), Sessions()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.runs.run.load_for", found.load)
        patch.setattr("planner.runs.asked.PART_FRAMES", 4)
        for name in COUNTS:
            run(video_plan(), clips / "good" / name, folder / name, prompts=PROMPTS, random_weights=True)
    return {name: files_of(folder / name) for name in COUNTS}


def several(clips: Path, out: Path, *sources: str, **options: Any) -> Any:
    given: dict[str, Any] = {"prompts": PROMPTS, "random_weights": True, **options}
    return run_several(video_plan(), [clips / source for source in sources or ("good",)], out, **given)


def statuses(summary: Any) -> dict[str, str]:
    return {clip.name: clip.status for clip in summary.clips}


def written(out: Path) -> dict[str, dict[str, bytes]]:
    return {path.name: files_of(path) for path in sorted(out.iterdir()) if path.is_dir()}


@pytest.mark.parametrize("streams", [1, 3])
def test_each_is_as_in_a_run_of_its_own_by_one_load(
    streams: int, clips: Path, tmp_path: Path, sessions: Sessions, alone: dict[str, Any]
) -> None:
    summary = several(clips, tmp_path / "out", streams=streams)
    assert statuses(summary) == dict.fromkeys(COUNTS, "done")
    assert (summary.exit_code, summary.frames, sessions.loaded, sessions.closed) == (0, sum(COUNTS.values()), 1, 1)
    assert written(tmp_path / "out") == alone
    record = json.loads((tmp_path / "out" / "runs.json").read_text())
    assert [clip["frames"] for clip in record["clips"]] == list(COUNTS.values())
    again = several(clips, tmp_path / "out", streams=streams)
    assert statuses(again) == dict.fromkeys(COUNTS, "skipped")
    assert (again.frames, sessions.loaded) == (0, 1), "nothing is loaded where nothing is to be done"


def test_frames_are_interleaved_and_the_next_clip_takes_the_place_of_one_that_ended(
    clips: Path, tmp_path: Path, sessions: Sessions
) -> None:
    several(clips, tmp_path / "out", streams=2)
    names = [name for name, _ in sessions.frames]
    assert names[:14] == ["a", "b"] * 7
    assert names[14:23] == ["a", *["a", "c"] * 4], "the turn in which b ends gives no frame"
    assert names[23:] == ["c"] * 21


def test_a_clip_whose_frame_is_not_there_yet_holds_nobody_up(clips: Path, tmp_path: Path, sessions: Sessions) -> None:
    """As of a live source: the others go on."""
    sessions.ready = lambda name: name != "a" or len(sessions.frames) >= 20
    summary = several(clips, tmp_path / "out", streams=3)
    assert summary.exit_code == 0
    assert [name for name, _ in sessions.frames[:20]].count("a") == 1


def test_what_is_broken_or_empty_stops_no_other(
    clips: Path, tmp_path: Path, sessions: Sessions, alone: dict[str, Any]
) -> None:
    ended: list[str] = []

    def tear(name: str, index: int) -> None:
        if (name, index) == ("b", 5):
            raise FileError("Frame 5 is torn.", "Mend it.")

    sessions.on_frame = tear
    summary = several(clips, tmp_path / "out", "bad", "good", streams=2, ended=lambda clip: ended.append(clip.name))
    assert statuses(summary) == {"broken": "failed", "empty": "failed", "a": "done", "b": "failed", "c": "done"}
    assert summary.exit_code == 1 and sorted(ended) == ["a", "b", "broken", "c", "empty"]
    document = json.loads((tmp_path / "out" / "runs.json").read_text())
    errors = {clip["name"]: clip["error"] for clip in document["clips"]}
    assert "broken.mp4" in errors["broken"]["message"] and errors["a"] is None
    assert "torn" in errors["b"]["message"] and "goes on from there" in errors["b"]["hint"]
    assert not (tmp_path / "out" / "broken").exists()
    sessions.on_frame = lambda name, index: None
    again = several(clips, tmp_path / "out", "bad", "good", streams=2)
    assert statuses(again) == {"broken": "failed", "empty": "failed", "a": "skipped", "b": "resumed", "c": "skipped"}
    assert {name: written(tmp_path / "out")[name] for name in COUNTS} == alone


@pytest.mark.parametrize("streams", [1, 3])
def test_ctrl_c_ends_after_the_frames_at_hand_and_the_same_call_resumes(
    streams: int, clips: Path, tmp_path: Path, sessions: Sessions, alone: dict[str, Any]
) -> None:
    def stop(name: str, index: int) -> None:
        if len(sessions.frames) == 17:
            os.kill(os.getpid(), signal.SIGINT)

    sessions.on_frame = stop
    summary = several(clips, tmp_path / "out", streams=streams)
    assert summary.exit_code == 1 and sessions.closed == 1
    expected = {1: ["done", "interrupted", "waiting"], 3: ["interrupted"] * 3}[streams]
    assert [clip.status for clip in summary.clips] == expected
    # A round that has begun is ended: each of the others may have one frame more.
    assert len(sessions.frames) <= 17 + streams - 1
    assert all("same command" in str(clip.error) for clip in summary.clips if clip.status == "interrupted")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    sessions.on_frame = lambda name, index: None
    again = several(clips, tmp_path / "out", streams=streams)
    assert again.exit_code == 0
    assert written(tmp_path / "out") == alone


def test_ctrl_c_twice_stops_at_once_and_nothing_is_held(
    clips: Path, tmp_path: Path, sessions: Sessions, alone: dict[str, Any]
) -> None:
    def stop(name: str, index: int) -> None:
        if len(sessions.frames) == 17:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    sessions.on_frame = stop
    with pytest.raises(KeyboardInterrupt):
        several(clips, tmp_path / "out", streams=3)
    document = json.loads((tmp_path / "out" / "runs.json").read_text())
    assert [clip["status"] for clip in document["clips"]] == ["interrupted"] * 3
    assert sessions.closed == 1
    sessions.on_frame = lambda name, index: None
    before = threading.active_count()
    assert several(clips, tmp_path / "out", streams=3).exit_code == 0
    assert threading.active_count() == before
    assert written(tmp_path / "out") == alone


def test_weights_that_cannot_be_loaded_are_no_clips_fault(clips: Path, tmp_path: Path, sessions: Sessions) -> None:
    sessions.fail = FileError("weights.pt is damaged.", "Download it again.")
    with pytest.raises(FileError, match="damaged"):
        several(clips, tmp_path / "out", streams=2)
    assert not (tmp_path / "out" / "runs.json").exists()
    sessions.fail = None
    assert several(clips, tmp_path / "out").exit_code == 0


def test_each_may_have_prompts_of_its_own(clips: Path, tmp_path: Path, sessions: Sessions) -> None:
    (tmp_path / "prompts").mkdir()
    for name, number in (("a", 3), ("b", 9)):
        (tmp_path / "prompts" / f"{name}.json").write_text(json.dumps([{"object": number, "points": [[3, 3]]}]))
    for given in (tmp_path / "prompts", str(tmp_path / "prompts" / "{name}.json")):
        out = tmp_path / f"out-{os.path.basename(given)}"
        summary = several(clips, out, prompts=given, saves=["npz"])
        assert statuses(summary) == {"a": "done", "b": "done", "c": "failed"}
        assert "c.json" in str(summary.clips[2].error)
        for name, number in (("a", 3), ("b", 9)):
            with np.load(out / name / "npz" / "00000.npz") as found:
                assert list(found["objects"]) == [number]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prompts": ()}, "no prompts"),
        ({"prompts": "-"}, "standard input"),
        ({"prompts": "none/such.json"}, "none/such.json does not exist"),
        ({"streams": 0}, "0 clips"),
        ({"streams": 5000}, "5000 clips"),
        ({"streams": True}, "True clips"),
        ({"saves": ["tiff"]}, "tiff"),
        ({"random_weights": False}, "no weights"),
    ],
)
def test_what_no_input_could_be_run_with_is_said_at_once(
    options: dict[str, Any], said: str, clips: Path, tmp_path: Path, sessions: Sessions
) -> None:
    with pytest.raises((UsageError, FileError)) as caught:
        several(clips, tmp_path / "out", **options)
    assert said in str(caught.value) and caught.value.hint
    assert not (tmp_path / "out" / "a").exists()


def test_a_folder_of_one_run_is_no_folder_of_several_and_is_held_by_one_process(
    clips: Path, tmp_path: Path, sessions: Sessions
) -> None:
    run(video_plan(), clips / "good" / "a", tmp_path / "out", prompts=PROMPTS, random_weights=True, frames=2)
    with pytest.raises(UsageError, match="one input"):
        several(clips, tmp_path / "out")
    errors: list[Any] = []

    def again(name: str, index: int) -> None:
        if not errors:
            with pytest.raises(EnvironmentFailure) as caught:
                several(clips, tmp_path / "other")
            errors.append(caught.value)

    sessions.on_frame = again
    assert several(clips, tmp_path / "other").exit_code == 0
    assert "Another run is writing" in str(errors[0])


def test_options_count_for_each_and_progress_is_of_all(clips: Path, tmp_path: Path, sessions: Sessions) -> None:
    told: list[RunsProgress] = []
    ticks = iter(range(10_000))
    summary = several(
        clips, tmp_path / "out", streams=2, frames=5, progress=told.append, clock=lambda: float(next(ticks))
    )
    assert [clip.frames for clip in summary.clips] == [5, 5, 5]
    assert {len(one.streams) for one in told} == {0, 1, 2}
    assert [one.done for one in told] == sorted(one.done for one in told)
    last = told[-1]
    assert (last.inputs, last.ended, last.failed, last.done, last.unit) == (3, 3, 0, 15, "frame")
    middle = next(one for one in told if one.done == 4)
    assert middle.per_second and middle.seconds_left
    assert middle.seconds_left == pytest.approx((3 + 3 + 5) / middle.per_second)


def test_a_folder_of_pictures_with_a_plan_for_pictures(clips: Path, tmp_path: Path, sessions: Sessions) -> None:
    given = {"prompts": PROMPTS, "random_weights": True}
    summary = run_several(video_plan("image"), [clips / "good" / "b"], tmp_path / "out", **given)
    assert statuses(summary) == {f"{index:05d}": "done" for index in range(7)}
    assert sessions.loaded == 1
    alone = tmp_path / "alone"
    run(video_plan("image"), clips / "good" / "b" / "00003.png", alone, **given)
    assert files_of(alone) == files_of(tmp_path / "out" / "00003")


def test_a_step_down_of_an_earlier_call_is_where_all_are_resumed(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sessions: Sessions
) -> None:
    plan = video_plan()
    smaller = plan.alternatives[0].configuration
    step = SimpleNamespace(frame=2, reason="full", configuration=smaller, carried_over=False)
    loaded: list[Any] = []

    def load(chosen: Any, weights: Any) -> FakeSession:
        loaded.append(chosen.chosen.configuration)
        session = sessions.load(chosen, weights)
        if len(loaded) == 1:
            session.steps_at = {2: step}
        return session

    monkeypatch.setattr("planner.runs.shared.load_for", load)

    def stop(name: str, index: int) -> None:
        if index == 9:
            os.kill(os.getpid(), signal.SIGINT)

    sessions.on_frame = stop
    several(clips, tmp_path / "out", streams=3)
    sessions.on_frame = lambda name, index: None
    assert several(clips, tmp_path / "out", streams=3).exit_code == 0
    assert loaded == [plan.chosen.configuration, smaller]


# -- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    video_plan().save(path)
    return path


@pytest.mark.usefixtures("sessions")
def test_the_command_says_what_became_of_each_and_exits_by_it(clips: Path, tmp_path: Path, plan_file: Path) -> None:
    words = ("run", str(plan_file), str(clips / "good"), "--out", str(tmp_path / "out"), "--random-weights")
    prompts = ("--point", "5,6", "--point", "15,16")
    good = invoke(*words, *prompts, "--streams", "2")
    assert (good.code, good.err) == (0, "")
    assert "DONE  3 inputs: 3 done" in good.out
    assert ["c", "done", "25", "2", str(tmp_path / "out" / "c")] in [line.split() for line in good.out.splitlines()]
    bad = invoke(*words, str(clips / "bad"), *prompts)
    assert bad.code == 1
    assert "NOT ALL DONE  5 inputs: 3 skipped, 2 failed" in bad.out
    assert "failed: broken:" in bad.err and "failed: empty:" in bad.err
    found = invoke(*words, str(clips / "bad"), *prompts, "--format", "json")
    assert found.code == 1
    assert found.document == json.loads((tmp_path / "out" / "runs.json").read_text())
    assert found.document["counts"]["skipped"] == 3


@pytest.mark.usefixtures("sessions")
def test_one_input_goes_to_the_folder_itself_unless_streams_are_asked_for(
    clips: Path, tmp_path: Path, plan_file: Path
) -> None:
    words = ("run", str(plan_file), str(clips / "good" / "b"), "--point", "5,6", "--random-weights", "--out")
    assert invoke(*words, str(tmp_path / "one")).code == 0
    assert (tmp_path / "one" / "run.json").exists() and not (tmp_path / "one" / "runs.json").exists()
    assert invoke(*words, str(tmp_path / "several"), "--streams", "1").code == 0
    assert files_of(tmp_path / "several" / "b") == files_of(tmp_path / "one")


@pytest.mark.usefixtures("sessions")
def test_watching_in_a_log_prints_a_table_now_and_then(clips: Path, tmp_path: Path, plan_file: Path) -> None:
    words = ("run", str(plan_file), str(clips / "good"), "--point", "5,6", "--random-weights", "--watch")
    outcome = invoke(*words, "--streams", "3", "--out", str(tmp_path / "out"))
    assert outcome.code == 0
    table = outcome.err.splitlines()
    assert table[0].startswith("0 of 3 inputs, 1 frame")
    assert table[1].split() == ["input", "done", "of", "left"]
    assert table[2].split()[:3] == ["a", "1", "12"]


class TestSam2:
    """With the real network: clips of other sizes, rates and kinds, prompts on other frames."""

    def test_the_files_of_each_are_those_of_a_run_of_its_own(self, tmp_path: Path) -> None:
        pytest.importorskip("sam2", reason="the runtime runs the sam2 package")
        (tmp_path / "in").mkdir()
        media.video(tmp_path / "in" / "fast.mp4", count=9, size=(64, 128))
        media.video(tmp_path / "in" / "slow.mkv", "ffv1", count=7, size=(96, 160), time=lambda number: number * 5)
        (tmp_path / "in" / "frames").mkdir()
        for index in range(6):
            image_module.fromarray(picture(index)).save(tmp_path / "in" / "frames" / f"{index}.png")
        (tmp_path / "prompts").mkdir()
        for name, frame in (("fast", 0), ("slow", 2), ("frames", 1)):
            prompts = [{"frame": frame, "object": 1, "box": [3, 4, 20, 30]}, {"object": 2, "points": [[10, 12]]}]
            (tmp_path / "prompts" / f"{name}.json").write_text(json.dumps(prompts))
        plan = planner.plan(
            task="video", objects=2, vram="4GB", variant="tiny", resolution=128, precision="float32", frame_size=SIZE
        )
        given: dict[str, Any] = {"random_weights": True, "device": "cpu"}
        summary = run_several(
            plan, [tmp_path / "in"], tmp_path / "out", streams=3, prompts=tmp_path / "prompts", **given
        )
        assert statuses(summary) == dict.fromkeys(("fast", "frames", "slow"), "done")
        for source in ("fast.mp4", "slow.mkv", "frames"):
            name = Path(source).stem
            run(plan, tmp_path / "in" / source, tmp_path / name, prompts=tmp_path / "prompts" / f"{name}.json", **given)
            assert files_of(tmp_path / "out" / name) == files_of(tmp_path / name)


def test_the_time_of_others_is_not_a_clips_own(tmp_path: Path) -> None:
    from planner.outputs.layout import Layout
    from planner.runs.clip import run_clip
    from planner.runs.record import Record
    from tests.runtime.fakes import job

    now = [0.0]

    def take(index: int) -> None:
        now[0] += 1

    work, layout = job(tmp_path, on_frame=take), Layout(folder=tmp_path)
    steps = run_clip(work, layout, Record(identity={}), clock=lambda: now[0])
    with pytest.raises(StopIteration) as end:
        while True:
            next(steps)
            now[0] += 100
    assert end.value.value.seconds == 25
