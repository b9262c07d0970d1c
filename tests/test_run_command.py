"""`sam2-plan run` as a user calls it: on clips and pictures that the tests make, with and without SAM 2."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planner
from planner.errors import FileError
from tests.conftest import ROOT, Outcome, invoke

av = pytest.importorskip("av", reason="running needs PyAV")
pytest.importorskip("pycocotools", reason="COCO documents need pycocotools")
image_module = pytest.importorskip("PIL.Image", reason="running needs Pillow")

from planner.runs.job import Weights
from tests.runtime.fakes import SIZE, FakeSession, picture

PROMPT = ("--point", "10,12", "--box", "5:3,4,20,30")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """plan.yaml, image.yaml, auto.yaml, nothing.yaml, a folder of 12 pictures, a clip and a picture."""
    folder = tmp_path_factory.mktemp("inputs")
    common: dict[str, Any] = {"frame_size": SIZE, "variant": "tiny", "resolution": 128, "precision": "float32"}
    planner.plan(task="video", objects=2, vram="4GB", **common).save(folder / "plan.yaml")
    planner.plan(task="video", objects=2, vram="350MB", strict=True, **common | {"resolution": 256}).save(
        folder / "strict.yaml"
    )
    planner.plan(task="image", objects=2, vram="4GB", **common).save(folder / "image.yaml")
    planner.plan(task="automask", vram="4GB", **common).save(folder / "auto.yaml")
    planner.plan(task="video", vram="100MB").save(folder / "nothing.yaml")
    (folder / "clip").mkdir()
    for index in range(12):
        image_module.fromarray(picture(index)).save(folder / "clip" / f"{index:05d}.png")
    image_module.fromarray(picture(3)).save(folder / "picture.png")
    (folder / "prompts.json").write_text(json.dumps([{"frame": 2, "object": 4, "points": [[10, 12]], "labels": [1]}]))
    (folder / "broken.mp4").write_bytes(b"no video at all" * 40)
    return folder


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Fakes in place of SAM 2, with how each was loaded."""
    loaded: list[Any] = []

    def load(plan: Any, weights: Any) -> FakeSession:
        loaded.append(weights)
        return FakeSession(plan.chosen.configuration)

    monkeypatch.setattr("planner.runs.run.load_for", load)
    return loaded


def run(inputs: Path, out: Path, *words: str, plan: str = "plan.yaml", source: str = "clip", **options: Any) -> Outcome:
    return invoke("run", str(inputs / plan), str(inputs / source), "--out", str(out), *words, **options)


@pytest.mark.usefixtures("sessions")
def test_a_clip_leaves_the_default_files_and_says_so(inputs: Path, tmp_path: Path) -> None:
    outcome = run(inputs, tmp_path / "out", *PROMPT, "--random-weights")
    assert (outcome.code, outcome.err) == (0, "")
    for words in (
        "DONE",
        "clip: 2 objects, 12 frames of 37x52",
        "frames/s",
        "not known: fake does not count",
        "random",
    ):
        assert words in outcome.out
    for name in ("png", "coco.json", "overlay.mp4"):
        assert str(tmp_path / "out" / name) in outcome.out
        assert (tmp_path / "out" / name).exists()
    again = run(inputs, tmp_path / "out", *PROMPT, "--random-weights")
    assert again.code == 0
    assert "ALREADY DONE" in again.out


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize("plan", ["plan.yaml", "image.yaml", "auto.yaml"])
def test_the_document_is_valid_for_every_task(plan: str, inputs: Path, tmp_path: Path) -> None:
    prompts = () if plan == "auto.yaml" else PROMPT
    source = "clip" if plan == "plan.yaml" else "picture.png"
    words = (*prompts, "--random-weights", "--format", "json")
    outcome = run(inputs, tmp_path / "out", *words, plan=plan, source=source)
    document = outcome.document
    assert outcome.code == 0
    assert document["frames"] == (12 if plan == "plan.yaml" else 1)
    assert document["already_finished"] is False
    expected = ["coco", "overlay"] if plan == "auto.yaml" else ["png", "coco", "overlay"]
    assert [entry["save"] for entry in document["files"]] == expected
    assert all(Path(entry["path"]).exists() for entry in document["files"])
    assert document["memory"]["reserved_bytes"] is None
    assert document["memory"]["reason"]
    again = run(inputs, tmp_path / "out", *words, plan=plan, source=source).document
    assert {**again, "already_finished": False, "frames_before": 0} == document


def test_options_reach_the_session(inputs: Path, tmp_path: Path, sessions: list[Any]) -> None:
    words = (
        "--prompts",
        str(inputs / "prompts.json"),
        "--save",
        "npz",
        "--frames",
        "3",
        "--fallback",
        "--device",
        "cpu",
    )
    outcome = run(inputs, tmp_path / "out", *words, "--checkpoint", "facebook/sam2.1-hiera-tiny", "--format", "json")
    assert sessions == [Weights(checkpoint="facebook/sam2.1-hiera-tiny", device="cpu", fallback=True)]
    assert outcome.document["frames"] == 3
    assert sorted(path.name for path in (tmp_path / "out" / "npz").iterdir()) == ["00002.npz", "00003.npz", "00004.npz"]
    with np.load(tmp_path / "out" / "npz" / "00002.npz") as found:
        assert found["objects"].tolist() == [4]


@pytest.mark.usefixtures("sessions")
def test_what_the_reader_warns_of_is_in_the_answer(inputs: Path, tmp_path: Path) -> None:
    exif = image_module.Exif()
    exif[0x0112] = 6
    image_module.fromarray(picture(3)).save(tmp_path / "turned.jpg", exif=exif)
    words = ("--point", "10,12", "--random-weights", "--format", "json")
    outcome = run(inputs, tmp_path / "out", *words, plan="image.yaml", source=str(tmp_path / "turned.jpg"))
    assert [line for line in outcome.document["warnings"] if "turned.jpg" in line]


@pytest.mark.usefixtures("sessions")
def test_backward_from_a_later_frame(inputs: Path, tmp_path: Path) -> None:
    words = ("--prompts", str(inputs / "prompts.json"), "--reverse", "--random-weights")
    assert run(inputs, tmp_path / "out", *words).code == 0
    assert sorted(path.name for path in (tmp_path / "out" / "png").iterdir()) == ["00000.png", "00001.png", "00002.png"]


@pytest.mark.usefixtures("sessions")
def test_progress_only_on_a_terminal(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    outcome = run(inputs, tmp_path / "out", *PROMPT, "--random-weights", tty=True)
    assert "12 of 12 frames" in outcome.err
    assert "frames/s" in outcome.err
    assert outcome.err.endswith("\r")
    assert "\x1b" not in outcome.err + outcome.out


def test_progress_shows_memory_beside_the_plan(inputs: Path) -> None:
    from planner.report.run import format_seconds, progress_line
    from planner.runs.job import Progress

    progress = Progress(
        done=1200, total=3000, unit="frame", per_second=12.34, seconds_left=3909.4, reserved_bytes=1_410_000_000,
        planned_reserved_bytes=1_500_000_000,
    )  # fmt: skip
    expected = "1,200 of 3,000 frames, 12.3 frames/s, 1:05:09 left, GPU 1410 MB reserved, 1500 MB planned"
    assert progress_line(progress) == expected
    assert format_seconds(42.4) == "0:42"


USAGE: dict[str, tuple[tuple[str, ...], dict[str, str], list[str]]] = {
    "no weights": (PROMPT, {}, ["--checkpoint", "--random-weights"]),
    "two sorts of weights": (
        (*PROMPT, "--random-weights", "--checkpoint", "a.pt"), {}, ["--checkpoint", "--random-weights", "one of them"],
    ),
    "no prompts": (("--random-weights",), {}, ["--point", "--prompts"]),
    "prompts from two places": (
        (*PROMPT, "--prompts", "p.json", "--random-weights"), {}, ["--prompts", "--point", "p.json"],
    ),
    "a point outside": (("--point", "5000,12", "--random-weights"), {}, ["5000"]),
    "a point in words": (("--point", "here", "--random-weights"), {}, ["here", "X,Y"]),
    "an unknown format": ((*PROMPT, "--random-weights", "--save", "png,gif"), {}, ["'gif'", "npz"]),
    "no format": ((*PROMPT, "--random-weights", "--save", ""), {}, ["''", "png"]),
    "no frames": ((*PROMPT, "--random-weights", "--frames", "0"), {}, ["0 frames", "1 or more"]),
    "an id that a PNG cannot hold": (("--point", "300:10,12", "--random-weights"), {}, ["300", "255", "coco"]),
    "candidates of a video": ((*PROMPT, "--random-weights", "--multimask"), {}, ["--multimask", "video"]),
    "a picture backward": (
        (*PROMPT, "--random-weights", "--reverse"), {"plan": "image.yaml", "source": "picture.png"},
        ["--reverse", "image"],
    ),
    "some frames of a picture": (
        (*PROMPT, "--random-weights", "--frames", "2"), {"plan": "image.yaml", "source": "picture.png"}, ["--frames"],
    ),
    "a picture for a clip": ((*PROMPT, "--random-weights"), {"source": "picture.png"}, ["picture.png", "--task image"]),
    "prompts of automatic masks": (
        (*PROMPT, "--random-weights"), {"plan": "auto.yaml", "source": "picture.png"}, ["no prompts"],
    ),
    "an input that is not there": ((*PROMPT, "--random-weights"), {"source": "gone.mp4"}, ["gone.mp4"]),
    "an input that is none": ((*PROMPT, "--random-weights"), {"source": "broken.mp4"}, ["broken.mp4"]),
    "a plan that is not there": ((*PROMPT, "--random-weights"), {"plan": "gone.yaml"}, ["gone.yaml"]),
    "a plan that is none": ((*PROMPT, "--random-weights"), {"plan": "prompts.json"}, ["prompts.json"]),
    "a file of prompts that is not there": (("--prompts", "gone.json", "--random-weights"), {}, ["gone.json"]),
}  # fmt: skip


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize(("words", "options", "expected"), USAGE.values(), ids=USAGE)
def test_bad_usage_is_exit_2_and_makes_nothing(
    words: tuple[str, ...], options: dict[str, str], expected: list[str], inputs: Path, tmp_path: Path
) -> None:
    outcome = run(inputs, tmp_path / "out", *words, **options)
    assert (outcome.code, outcome.out) == (2, "")
    assert [part for part in expected if part not in outcome.err] == []
    assert not (tmp_path / "out").exists()
    document = run(inputs, tmp_path / "out", *words, "--format", "json", **options).document
    assert document["error"]["message"]
    assert document["error"]["hint"]


@pytest.mark.usefixtures("sessions")
def test_a_plan_that_does_not_fit_is_exit_3(inputs: Path, tmp_path: Path) -> None:
    outcome = run(inputs, tmp_path / "out", *PROMPT, "--random-weights", "--format", "json", plan="nothing.yaml")
    assert outcome.code == 3
    assert outcome.document["error"]["code"] == "does_not_fit"


@pytest.mark.usefixtures("sessions")
def test_a_tight_plan_runs_even_where_it_is_strict(inputs: Path, tmp_path: Path) -> None:
    assert planner.Plan.load(inputs / "strict.yaml").verdict == "tight"
    assert run(inputs, tmp_path / "out", *PROMPT, "--random-weights", plan="strict.yaml").code == 0


@pytest.mark.usefixtures("sessions")
def test_another_run_in_the_folder_is_exit_2_until_overwritten(inputs: Path, tmp_path: Path) -> None:
    assert run(inputs, tmp_path / "out", *PROMPT, "--random-weights").code == 0
    outcome = run(inputs, tmp_path / "out", "--point", "11,12", "--random-weights", "--frames", "3")
    assert outcome.code == 2
    assert "the prompts" in outcome.err
    assert "--frames (none there, 3 now)" in outcome.err
    assert "--overwrite" in outcome.err
    words = ("--point", "11,12", "--random-weights", "--frames", "3", "--overwrite")
    assert run(inputs, tmp_path / "out", *words).code == 0
    assert len(list((tmp_path / "out" / "png").iterdir())) == 3


def test_a_torn_source_says_how_far_it_got(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tear(index: int) -> None:
        if index == 5:
            raise FileError("clip: frame 5 is damaged.", "Mend it.")

    monkeypatch.setattr("planner.runs.run.load_for", lambda plan, _: FakeSession(plan.chosen.configuration, tear))
    outcome = run(inputs, tmp_path / "out", *PROMPT, "--random-weights")
    assert outcome.code == 2
    assert "frame 5 is damaged" in outcome.err
    assert "the same command" in outcome.err.lower()


def test_an_interruption_is_exit_1_with_a_document(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(index: int) -> None:
        if index == 5:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("planner.runs.run.load_for", lambda plan, _: FakeSession(plan.chosen.configuration, interrupt))
    outcome = run(inputs, tmp_path / "out", *PROMPT, "--random-weights", "--format", "json")
    assert outcome.code == 1
    assert outcome.document["error"]["code"] == "interrupted"


def test_a_second_interruption_is_exit_1_with_a_document(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(index: int) -> None:
        if index == 5:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("planner.runs.run.load_for", lambda plan, _: FakeSession(plan.chosen.configuration, interrupt))
    outcome = run(inputs, tmp_path / "out", *PROMPT, "--random-weights", "--format", "json")
    assert outcome.code == 1
    assert outcome.document["error"]["code"] == "interrupted"
    assert str(tmp_path / "out") in outcome.document["error"]["hint"]


def test_a_missing_library_is_named_before_anything_is_loaded(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    outcome = run(inputs, tmp_path / "out", *PROMPT, "--random-weights")
    assert outcome.code == 1
    assert 'pip install "sam2-plan[run]"' in outcome.err
    assert not (tmp_path / "out").exists()


def test_help_loads_neither_torch_nor_numpy() -> None:
    program = (
        "import sys; from planner.cli.main import main\n"
        "main(['run', '--help'])\n"
        "sys.exit(str({'torch', 'numpy', 'av', 'PIL'} & set(sys.modules) or ''))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stderr.strip() == ""
    assert "Examples:" in done.stdout
    assert "Exit codes:" in done.stdout


class TestSam2:
    """The same with the real network and random weights."""

    @pytest.fixture(autouse=True)
    def _needs_sam2(self) -> None:
        pytest.importorskip("sam2", reason="the runtime runs the sam2 package")

    def test_a_clip(self, inputs: Path, tmp_path: Path) -> None:
        words = (*PROMPT, "--random-weights", "--frames", "4", "--save", "png,coco,npz,overlay", "--device", "cpu")
        document = run(inputs, tmp_path / "out", *words, "--format", "json").document
        assert (document["frames"], document["objects"], document["device"]) == (4, 2, "cpu")
        with np.load(tmp_path / "out" / "npz" / "00003.npz") as found:
            assert found["masks"].shape == (2, *SIZE)
        with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
            assert len(list(container.decode(video=0))) == 4

    def test_a_clip_goes_on_to_the_same_bytes(
        self, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from planner.outputs.clip import ClipPart
        from tests.runtime.fakes import files_of

        add, part_frames = ClipPart.add, "planner.runs.asked.PART_FRAMES"
        monkeypatch.setattr(part_frames, 3)
        words = (*PROMPT, "--random-weights", "--frames", "8", "--device", "cpu")
        assert run(inputs, tmp_path / "whole", *words).code == 0

        def fail(self: Any, index: int, *rest: Any) -> None:
            if index == 5:
                raise FileError("torn.", "")
            add(self, index, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(ClipPart, "add", fail)
            assert run(inputs, tmp_path / "out", *words).code == 2
        document = run(inputs, tmp_path / "out", *words, "--format", "json").document
        assert document["frames_before"] == 3
        assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")

    def test_without_a_gpu_the_cpu_is_named_before_anything_is_loaded(
        self, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import torch

        if torch.cuda.is_available() or torch.backends.mps.is_available():
            pytest.skip("there is a GPU")

        def fail(*_: Any) -> Any:
            raise FileError("torn.", "")

        monkeypatch.setattr("planner.runtime.session.random_model", fail)
        words = (*PROMPT, "--random-weights", "--format", "json")
        silent = run(inputs, tmp_path / "out", *words, "--device", "cpu", plan="image.yaml", source="picture.png")
        assert (silent.code, silent.err) == (2, "")
        told = run(inputs, tmp_path / "out", *words, plan="image.yaml", source="picture.png")
        assert told.code == 2 and told.err.startswith("warning: torch ") and "runs on the CPU" in told.err
        assert told.err.count("\n") == 1

    def test_the_corrected_command_runs_in_the_folder_of_one_with_typos(self, inputs: Path, tmp_path: Path) -> None:
        weights = tmp_path / "sam2.1_hiera_tiny.pt"
        weights.write_text("version https://git-lfs.github.com/spec/v1")
        rest = {"plan": "image.yaml", "source": "picture.png"}
        for words in (
            ("--checkpoint", "nowhere.pt", "--device", "cpu"),
            ("--checkpoint", str(weights), "--device", "cpu"),
            ("--random-weights", "--device", "gpu"),
            ("--random-weights", "--device", "cuda:99"),
        ):
            assert run(inputs, tmp_path / "out", *PROMPT, *words, **rest).code in (1, 2)
        assert run(inputs, tmp_path / "out", *PROMPT, "--random-weights", "--device", "cpu", **rest).code == 0

    def test_a_picture(self, inputs: Path, tmp_path: Path) -> None:
        words = (*PROMPT, "--random-weights", "--multimask", "--device", "cpu", "--format", "json")
        document = run(inputs, tmp_path / "out", *words, plan="image.yaml", source="picture.png").document
        assert (document["frames"], document["objects"]) == (1, 2)
