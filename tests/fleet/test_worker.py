"""One worker, in this process: clips from addresses to addresses, ended anywhere, resumed by the next worker."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec", reason="addresses are opened by fsspec")
pytest.importorskip("torch", reason="a worker looks for torch")
pytest.importorskip("sam2", reason="a worker looks for sam2")
pytest.importorskip("av", reason="overlay videos need PyAV")
image_module = pytest.importorskip("PIL.Image", reason="clips are pictures here")

from local_fleet import digests

from planner.errors import FileError
from planner.fleet import mirror, worker
from planner.fleet.order import Clip, Order
from planner.fleet.worker import Worker
from planner.runs.folder import held_folder
from planner.runs.inputs import SUMMARY
from planner.runs.run import run
from planner.text.files import SUFFIX
from tests.runtime.fakes import FakeSession, picture, video_plan

FRAMES = 30
PROMPT = [{"frame": 0, "object": 1, "points": [[10, 12]], "labels": [1]}]
OPTIONS = {"random_weights": True, "device": "cpu"}
OUT = "memory://bucket/masks"
WALK = Clip(name="walk", source="memory://bucket/clips/walk", prompts=PROMPT)


class Killed(BaseException):
    """A worker ends: nothing that catches errors sees it."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures."""
    folder = tmp_path_factory.mktemp("clips") / "walk"
    folder.mkdir()
    for index in range(FRAMES):
        image_module.fromarray(picture(index)).save(folder / f"{index:05d}.png")
    return folder


@pytest.fixture
def bucket(clip: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One with the clip, and the summary that a command begins with; what workers bring from it lies apart."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("brought")))
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    files.pipe(f"/bucket/masks/{SUMMARY}", b"{}")
    for path in clip.iterdir():
        files.pipe(f"/bucket/clips/walk/{path.name}", path.read_bytes())
    return files


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[FakeSession]:
    """Fakes in place of SAM 2, as they are loaded; parts are sent at once."""
    loaded: list[FakeSession] = []

    def load(plan: Any, weights: Any) -> FakeSession:
        loaded.append(FakeSession(plan.chosen.configuration, lambda index: loaded[0].hooks(index)))  # type: ignore
        return loaded[-1]

    FakeSession.hooks = staticmethod(lambda index: None)  # type: ignore[attr-defined]
    monkeypatch.setattr(worker, "load_for", load)
    monkeypatch.setattr(mirror, "EVERY_SECONDS", 0.0)
    yield loaded  # type: ignore[misc]
    del FakeSession.hooks  # type: ignore[attr-defined]


def new_worker(**options: Any) -> Worker:
    order = Order(plan=video_plan(), out=OUT, summary=SUMMARY, options={**OPTIONS, **options}, needs_gpu=False)
    found = Worker(order)
    found.check()
    return found


def expected(clip: Path, tmp_path: Path) -> dict[str, str]:
    """The files of a run on this machine."""
    plan = video_plan()
    run(
        plan,
        clip,
        tmp_path / "expected",
        prompts=PROMPT,
        load=lambda _: FakeSession(plan.chosen.configuration),
        **OPTIONS,
    )
    return digests(tmp_path / "expected")


def sent(bucket: Any, tmp_path: Path, name: str = "walk") -> dict[str, str]:
    bucket.get(f"/bucket/masks/{name}", str(tmp_path / "sent"), recursive=True)
    return digests(tmp_path / "sent")


def hook(function: Callable[[int], None]) -> None:
    FakeSession.hooks = staticmethod(function)  # type: ignore[attr-defined]


def test_a_clip_from_an_address_to_an_address(
    clip: Path, bucket: Any, sessions: list[FakeSession], tmp_path: Path
) -> None:
    one = new_worker()
    answer = one.run(WALK)
    assert (answer.outcome.status, answer.outcome.frames, answer.fault) == ("done", FRAMES, "")
    assert sent(bucket, tmp_path) == expected(clip, tmp_path)
    again = one.run(WALK)
    assert again.outcome.status == "skipped"
    other = one.run(Clip(name="other", source=WALK.source, prompts=PROMPT))
    assert other.outcome.status == "done"
    assert len(sessions) == 1, "weights are loaded once"
    place = one._folder
    assert place.is_dir() and not list(place.iterdir()), "what was brought here goes with its clip"
    one.close()
    assert not place.exists()


@pytest.mark.parametrize("frame", [0, 4, 5, 11, 29])
def test_the_next_worker_resumes_after_the_last_part_that_was_sent(
    frame: int, clip: Path, bucket: Any, sessions: list[FakeSession], tmp_path: Path
) -> None:
    def end(index: int) -> None:
        if index == frame:
            raise Killed

    hook(end)
    with pytest.raises(Killed):
        new_worker().run(WALK)
    seen: list[int] = []
    hook(seen.append)
    answer = new_worker().run(WALK, again=True)
    parts = [0, 5, 10, 20]
    begun = max(part for part in parts if part <= frame)
    assert seen == list(range(begun, FRAMES))
    assert (answer.outcome.status, answer.outcome.frames_before) == ("resumed" if begun else "done", begun)
    assert sent(bucket, tmp_path) == expected(clip, tmp_path), "and nothing is left of parts and states"


def test_a_worker_that_ends_while_it_sends_leaves_what_can_be_resumed(
    clip: Path, bucket: Any, sessions: list[FakeSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, files = mirror.Place.write, expected(clip, tmp_path)
    for fatal in range(1, 45, 11):
        calls = 0

        def end(self: Any, path: Path, fatal: int = fatal) -> None:
            nonlocal calls
            calls += 1
            if calls == fatal:
                raise Killed
            write(self, path)

        monkeypatch.setattr(mirror.Place, "write", end)
        with pytest.raises(Killed):
            new_worker(overwrite=True).run(WALK)
        monkeypatch.setattr(mirror.Place, "write", write)
        answer = new_worker().run(WALK, again=True)
        assert answer.outcome.error is None
        assert sent(bucket, tmp_path / str(fatal)) == files


@pytest.mark.parametrize(("frame", "begun"), [(2, 0), (12, 10)])
def test_overwriting_deletes_what_another_run_left_but_not_what_this_one_has_done(
    frame: int, begun: int, clip: Path, bucket: Any, sessions: list[FakeSession], tmp_path: Path
) -> None:
    new_worker(saves=["npz"]).run(WALK)
    refused = new_worker().run(WALK)
    assert refused.outcome.error is not None and "holds another run" in refused.outcome.error.message
    assert "memory://bucket/masks/walk" in refused.outcome.error.message, "the address, not a folder of the worker"

    def end(index: int) -> None:
        if index == frame:
            raise Killed

    hook(end)
    with pytest.raises(Killed):
        new_worker(overwrite=True).run(WALK)
    seen: list[int] = []
    hook(seen.append)
    new_worker(overwrite=True).run(WALK, again=True)
    assert seen[0] == begun
    assert sent(bucket, tmp_path) == expected(clip, tmp_path)


def test_a_frame_that_cannot_be_read_keeps_what_was_complete(
    bucket: Any, sessions: list[FakeSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "EVERY_SECONDS", 1000.0)

    def tear(index: int) -> None:
        if index == 7:
            raise FileError("the picture is torn.", "Mend it.")

    hook(tear)
    answer = new_worker().run(WALK)
    assert (answer.outcome.status, answer.fault) == ("failed", "")
    names = sent_names(bucket)
    assert {"walk/png/00004.png", "walk/run.json"} <= set(names)
    assert not any(name.endswith(SUFFIX) for name in names), "nothing half written"


def sent_names(bucket: Any) -> list[str]:
    return [path.removeprefix("/bucket/masks/") for path in bucket.find("/bucket/masks")]


def test_what_is_the_nodes_fault_is_not_the_clips(
    clip: Path, sessions: list[FakeSession], bucket: Any, tmp_path: Path
) -> None:
    """A folder that only looks like the command's, an input that this node does not see."""
    order = Order(plan=video_plan(), out=str(tmp_path), summary=SUMMARY, options=OPTIONS, needs_gpu=False)
    one = Worker(order)
    with pytest.raises(Exception, match="is not the folder of that path"):
        one.check()
    (tmp_path / SUMMARY).write_text("{}")
    one.check()
    assert [path.name for path in tmp_path.iterdir()] == [SUMMARY], "a probe is not left"
    gone = str(tmp_path / "gone.mp4")
    unseen = one.run(Clip(name="gone", source=gone))
    assert (unseen.unseen, "is not there" in unseen.fault) == (gone, True)
    unseen = one.run(Clip(name="walk", source=str(clip), prompts=tmp_path / "walk.json"))
    assert unseen.unseen == str(tmp_path / "walk.json")
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(b"no video")
    assert one.run(Clip(name="torn", source=str(torn))).fault == ""


def test_a_folder_that_a_worker_given_up_still_holds_is_waited_for(
    clip: Path, sessions: list[FakeSession], bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Order(plan=video_plan(), out=str(tmp_path), summary=SUMMARY, options=OPTIONS, needs_gpu=False)
    (tmp_path / SUMMARY).write_text("{}")
    one, walk = Worker(order), Clip(name="walk", source=str(clip), prompts=PROMPT)
    waits: list[float] = []
    with held_folder(tmp_path / "walk"):
        monkeypatch.setattr(worker, "HELD_SECONDS", 0.0)
        monkeypatch.setattr("time.sleep", waits.append)
        answer = one.run(walk)
        assert answer.outcome.error is not None and "Another run is writing" in answer.outcome.error.message
        assert (answer.fault, answer.outcome.error.exit_code) == ("", 1), "neither the node's fault nor for good"
    held = held_folder(tmp_path / "walk")
    held.__enter__()

    def let_go(seconds: float) -> None:
        waits.append(seconds)
        held.__exit__(None, None, None)

    monkeypatch.setattr(worker, "HELD_SECONDS", 60.0)
    monkeypatch.setattr("time.sleep", let_go)
    assert one.run(walk).outcome.status == "done"
    assert waits


def test_what_a_killed_worker_left_goes_and_what_a_living_one_has_stays(
    sessions: list[FakeSession], bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    living = new_worker()
    living.run(WALK)
    left, recent = tmp_path / f"{worker.BENCH}left", tmp_path / f"{worker.BENCH}recent"
    for folder in (left, recent):
        folder.mkdir()
    (left / "weights.pt").touch()
    for folder in (left, living._folder):
        os.utime(folder, (0, 0))
    new_worker().run(WALK)
    assert not left.exists()
    assert recent.exists(), "it may be about to be held"
    assert living._folder.exists()
