"""The commands and calls that take a GPU, each in a fresh process on an imaginary one, as a user's would be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sam2", reason="runs the sam2 package")
pytest.importorskip("av", reason="makes a clip")

import planner
from planner.rehearsal.machine import imaginary_gpu
from tests.conftest import validate
from tests.runtime import media
from tests.stages import MB, python_on_stage, sam2_plan_on_stage

SIZE = (96, 128)
PINS = {"variant": "tiny", "version": "2.1", "resolution": 128, "frame_size": SIZE}
START = """
import gc, json, sys
gc.disable()
import numpy
import planner
from planner.nouns.run import Configuration
random_numbers = numpy.random.default_rng(0)
pictures = [random_numbers.integers(0, 255, (96, 128, 3), dtype=numpy.uint8) for _ in range(6)]
box = {"frame": 0, "object": 1, "box": [10, 20, 60, 80]}
def load(device="cuda", task="video", fallback=False, **changed):
    given = {"variant": "tiny", "version": "2.1", "resolution": (128, 128), "precision": "float16", **changed}
    return planner.load(Configuration(**given), random_weights=True, device=device, task=task, fallback=fallback)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plans, a clip of 8 frames, a picture and a mask."""
    place = tmp_path_factory.mktemp("commands")
    for task in ("video", "image", "automask"):
        objects = {} if task == "automask" else {"objects": 2}
        planner.plan(task=task, vram="1GB", **objects, **PINS).save(place / f"{task}.yaml")
    media.video(place / "clip.mp4", count=8, size=SIZE)
    media.picture_file(place / "picture.png", media.numbered(5, SIZE))
    mask = media.numbered(0, SIZE)[..., 0] * 0
    mask[20:60, 30:80] = 255
    media.picture_file(place / "mask.png", mask)
    return place


def document(ran: Any, code: int = 0) -> dict[str, Any]:
    """The JSON document of a command that ended so."""
    assert ran.returncode == code, (ran.stdout[-1500:], ran.stderr[-1500:])
    found: dict[str, Any] = json.loads(ran.stdout)
    validate(found)
    return found


# -- sessions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["image", "automask", "video"])
def test_a_session_is_loaded_in_a_fresh_process_and_its_first_picture_goes_when_it_is_done(task: str) -> None:
    """Whoever looks for no cycles finds nothing in them: neither features nor the session itself."""
    program = """
def work(task):
    session, answers = load(task=task), []
    for _ in range(2):
        if task == "image":
            session.segment(pictures[0], boxes=[10, 20, 60, 80])
        elif task == "automask":
            session.automask(pictures[0], points_per_side=4)
        else:
            for _ in session.track(pictures, [box]): pass
        answers.append(session.memory().allocated_bytes)
    return answers
answers = work(sys.argv[1])
import torch
torch._C._cuda_clearCublasWorkspaces()
print(json.dumps([*answers, torch.cuda.memory_allocated()]))
"""
    first, second, gone = json.loads(python_on_stage(START + program, task))
    assert first == second
    assert gone < 0.01 * MB


def test_only_the_gpu_that_is_asked_for_is_touched() -> None:
    """Of two: a context on the other would take 400 MB of somebody else's memory."""
    program = """
session = load(sys.argv[1], offload_state=True)
for _ in session.track(pictures, [box]): pass
from planner.machine.present import inspect
print(json.dumps([[process.pid for process in gpu.processes] for gpu in inspect()]))
"""
    gpus = [imaginary_gpu(index=number) for number in range(2)]
    first, second = json.loads(python_on_stage(START + program, "cuda:1", gpus=gpus))
    assert (len(first), len(second)) == (0, 1)
    assert json.loads(python_on_stage(START + program, "cpu", gpus=gpus)) == [[], []]


def test_a_session_that_overruns_its_cap_takes_objects_one_by_one_and_every_frame_comes_once() -> None:
    program = """
import os, torch
prompts = [{**box, "object": number} for number in range(1, 13)]
def peak(batch):
    session = load(object_batch=batch, resolution=(512, 512))
    for _ in session.track(pictures, prompts): pass
    return session.memory()
one, all = peak(1).peak_reserved_bytes, peak(12).peak_allocated_bytes
gc.collect(); torch.cuda.empty_cache()
free, total = torch.cuda.mem_get_info()
context = total - free - torch.cuda.memory_reserved()
os.environ["SAM2_PLAN_MEMORY_CAP"] = f"{(context + all) // 1000 - 1}kB"
session = load(object_batch=12, resolution=(512, 512), fallback=True)
with session.track(pictures, prompts) as tracking:
    frames = [(frame, sorted(masks)) for frame, masks in tracking]
steps = [(step.frame, step.configuration.object_batch, step.carried_over) for step in session.steps]
print(json.dumps([one, all, frames, steps, session.memory().peak_reserved_bytes]))
"""
    one, whole, frames, steps, peak = json.loads(python_on_stage(START + program))
    assert one < whole, "what objects take one by one, with the cache, is less than all of them take without"
    assert frames == [[number, list(range(1, 13))] for number in range(6)]
    assert [step[1:] for step in steps] == [[1, True]]
    assert peak < whole


def test_a_gpu_without_room_for_a_context_is_out_of_memory_with_a_remedy() -> None:
    program = """
from planner.errors import OutOfMemory
try:
    load()
except OutOfMemory as error:
    print(json.dumps([error.exit_code, error.message, error.hint]))
"""
    full = imaginary_gpu(total_bytes=500 * MB, context_bytes=200 * MB, neighbour_bytes=300 * MB - 2**20)
    code, message, hint = json.loads(python_on_stage(START + program, gpus=[full]))
    assert code == 5
    assert "out of memory" in message and hint


# -- commands ---------------------------------------------------------------------------------------------


def test_run_tracks_points_boxes_and_masks(folder: Path, tmp_path: Path) -> None:
    found = document(
        sam2_plan_on_stage(
            "run", str(folder / "video.yaml"), str(folder / "clip.mp4"), "--out", str(tmp_path / "out"),
            "--point", "1:20,20", "--box", "2:10,10,60,60", "--mask", f"3:{folder / 'mask.png'}",
            "--random-weights", "--fallback", "--format", "json",
        )
    )  # fmt: skip
    assert (found["device"], found["frames"], found["objects"]) == ("cuda:0", 8, 3)
    assert found["fallback_steps"] == []
    assert found["memory"]["allocated_bytes"] < 1.1 * found["memory"]["planned_allocated_bytes"]
    assert sorted(path.stem for path in (tmp_path / "out" / "png").iterdir()) == [f"{n:05d}" for n in range(8)]


def test_run_tracks_several_clips_by_one_set_of_weights_and_watches_its_memory(folder: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for name, count in (("one", 8), ("two", 6), ("three", 7)):
        media.video(clips / f"{name}.mp4", count=count, size=SIZE)
    (clips / "torn.mp4").write_bytes(b"torn")
    words = ("run", str(folder / "video.yaml"), str(clips), "--random-weights", "--box", "10,10,60,60")
    ran = sam2_plan_on_stage(*words, "--out", str(tmp_path / "out"), "--streams", "3", "--format", "json")
    found = document(ran, 1)
    counts = {status: count for status, count in found["counts"].items() if count}
    assert (counts, found["frames"]) == ({"done": 3, "failed": 1}, 21)
    peaks = []
    for name in ("one", "two", "three"):
        record = json.loads((tmp_path / "out" / name / "run.json").read_text())
        sample = record["samples"][-1]
        assert 0 < sample["allocated_bytes"] <= sample["reserved_bytes"] < sample["process_bytes"]
        peaks.append(record["reserved_bytes"])
    alone = sam2_plan_on_stage(
        "run", str(folder / "video.yaml"), str(clips / "one.mp4"), *words[3:], "--out", str(tmp_path / "alone"),
        "--format", "json",
    )  # fmt: skip
    one = document(alone)["memory"]
    assert max(peaks) < one["reserved_bytes"] + 25 * MB, "a second set of weights would have 78 MB"
    assert one["samples"][-1]["process_bytes"] > one["reserved_bytes"]


def test_run_under_a_cap_that_is_too_small_is_exit_5(folder: Path, tmp_path: Path) -> None:
    ran = sam2_plan_on_stage(
        "run", str(folder / "image.yaml"), str(folder / "picture.png"), "--out", str(tmp_path / "out"),
        "--point", "20,20", "--random-weights", "--fallback", "--format", "json",
        variables={"SAM2_PLAN_MEMORY_CAP": "360MB"},
    )  # fmt: skip
    error = document(ran, 5)["error"]
    assert error["code"] == "out_of_memory"
    assert "SAM2_PLAN_MEMORY_CAP holds this process to 360 MB" in error["message"]


def test_confirm_holds_a_plan_to_its_budget_and_says_what_it_took(folder: Path, tmp_path: Path) -> None:
    home = {"SAM2_PLAN_HOME": str(tmp_path)}
    # Of the GPU that is there, since contexts differ.
    planner.plan(task="video", objects=2, gpu="RTX 3090", **PINS).save(tmp_path / "plan.yaml")
    words = ("confirm", str(tmp_path / "plan.yaml"), "--frames", "18", "--format", "json")
    found = document(sam2_plan_on_stage(*words, variables=home))
    assert found["confirmed"] and found["within_upper_bound"] and found["recorded"]
    took = {one["name"]: one["found_bytes"] for one in found["components"]}
    assert took["allocated"] + took["allocator cache"] + took["cuda context"] + took["unaccounted"] == took["total"]
    # Less than the tensors and the context: whatever the allocator gives back, it is not enough.
    cap = took["allocated"] + took["cuda context"] - 10 * MB
    short = document(sam2_plan_on_stage(*words, "--cap", f"{cap // 1000}kB", variables=home), 5)
    assert (short["outcome"], short["within_upper_bound"]) == ("out_of_memory", None)
    reached = {one["name"]: one["found_bytes"] for one in short["components"]}
    assert 0 < reached["allocated"] < took["allocated"]
    assert reached["total"] <= cap


def test_measure_keeps_rows_and_fit_takes_none_of_an_imaginary_gpu_for_measured(tmp_path: Path) -> None:
    home = {"SAM2_PLAN_HOME": str(tmp_path)}
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(
        "{task: [image], variant: [tiny], version: ['2.1'], resolution: [128], precision: [float16],"
        " frame_size: [[96, 128]]}"
    )
    words = ("measure", "--sweep", str(sweep), "--format", "json")
    found = document(sam2_plan_on_stage(*words, variables=home))
    assert (found["ran"], [row["outcome"] for row in found["rows"]]) == (1, ["ran"])
    assert all(0 < row["allocated_bytes"] <= row["reserved_bytes"] for row in found["rows"])
    again = document(sam2_plan_on_stage(*words, variables=home))
    assert again["ran"] == 0, "rows that are there are not measured again"
    stock = document(sam2_plan_on_stage(*words, "--runtime", "stock", variables=home))
    assert [row["outcome"] for row in stock["rows"]] == ["ran"]
    ran = sam2_plan_on_stage("fit", variables=home)
    assert ran.returncode == 0, ran.stderr
    first, own = ran.stdout.splitlines()[:2]
    assert own == "rows of your own: 2 rehearsed, ran"
    assert first == "Memory model laws-3, fitted to rehearsed, sam2-issue-118", "to none of the user's rehearsals"


def test_the_gpu_with_room_is_planned_for_picked_checked_and_run_on(folder: Path, tmp_path: Path) -> None:
    """The first of two is nearly full; the plan names the other by its UUID."""
    gpus = [
        imaginary_gpu(index=0, total_bytes=8000 * MB, neighbour_bytes=7300 * MB),
        imaginary_gpu(index=1, total_bytes=8000 * MB),
    ]
    words = ("--task", "video", "--objects", "2", "--variant", "tiny", "--resolution", "128", "--frame-size", "96x128")
    plan = tmp_path / "plan.yaml"
    ran = sam2_plan_on_stage(*words, "-o", str(plan), "--format", "json", gpus=gpus)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["budget"]["total_bytes"] == gpus[1].total_bytes
    assert sam2_plan_on_stage("pick", str(plan), gpus=gpus).stdout.strip() == gpus[1].uuid
    assert sam2_plan_on_stage("check", str(plan), gpus=gpus).returncode == 0
    found = document(
        sam2_plan_on_stage(
            "run", str(plan), str(folder / "clip.mp4"), "--out", str(tmp_path / "out"), "--box", "10,10,60,60",
            "--random-weights", "--format", "json", gpus=gpus,
        )
    )  # fmt: skip
    assert found["device"] == "cuda:1"
