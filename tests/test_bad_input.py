"""Bad input ends in the exit code of the contract and a message with the value and the remedy."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import planner
from planner.nouns.request import Gpu
from tests.conftest import EXIT_CODES, invoke, validate

BUDGET = ("--vram", "8GB")
USAGE = {
    "an unknown variant": ((*BUDGET, "--variant", "larg"), ["larg", "large", "base_plus"]),
    "an unknown task": ((*BUDGET, "--task", "videos"), ["videos", "video", "automask"]),
    "an unknown precision": ((*BUDGET, "--precision", "fp16"), ["fp16", "float16"]),
    "an unknown attention": ((*BUDGET, "--attention", "flsh"), ["flsh", "flash"]),
    "an unknown version": ((*BUDGET, "--version", "3.0"), ["3.0", "2.1"]),
    "an unknown preference": ((*BUDGET, "--prefer", "fast"), ["fast", "speed"]),
    "an unknown GPU": (("--gpu", "RTX 3061"), ["RTX 3061", "RTX 3060", "--vram"]),
    "a GPU that is nothing like one": (("--gpu", "zzzzqqqq"), ["zzzzqqqq", "sam2-plan gpus"]),
    "an empty GPU name": (("--gpu", ""), ["''", "RTX 3060"]),
    "zero objects": ((*BUDGET, "--objects", "0"), ["0 objects", "1"]),
    "negative objects": ((*BUDGET, "--objects", "-5"), ["-5", "1 or more"]),
    "half an object": ((*BUDGET, "--objects", "1.5"), ["1.5", "whole number"]),
    "zero frames": ((*BUDGET, "--frames", "0"), ["0 frames", "1"]),
    "negative frames": ((*BUDGET, "--frames", "-1"), ["-1", "1 or more"]),
    "frames of an image": ((*BUDGET, "--task", "image", "--frames", "10"), ["frames=10", "image", "video"]),
    "objects of automatic masks": ((*BUDGET, "--task", "automask", "--objects", "3"), ["3 objects", "Leave"]),
    "a resolution off the grid": ((*BUDGET, "--resolution", "1000"), ["1000", "32", "992"]),
    "a resolution that is absurd": ((*BUDGET, "--resolution", "999968"), ["999968", "8192"]),
    "a resolution of zero": ((*BUDGET, "--resolution", "0"), ["0", "64"]),
    "a resolution in words": ((*BUDGET, "--resolution", "big"), ["big", "1024"]),
    "a frame size of one side": ((*BUDGET, "--frame-size", "1080"), ["1080", "HxW"]),
    "flash attention in float32": (
        (*BUDGET, "--attention", "flash", "--precision", "float32"),
        ["flash", "float32", "contradict", "half precision"],
    ),
    "cudnn attention in float32": (
        (*BUDGET, "--attention", "cudnn", "--precision", "float32"),
        ["cudnn", "float32", "contradict"],
    ),
    "two budgets": ((*BUDGET, "--gpu", "T4"), ["vram", "gpu", "one budget"]),
    "a budget and a device": ((*BUDGET, "--device", "0"), ["vram", "device", "one budget"]),
    "a headroom of everything": (("--vram", "2GB", "--headroom", "2GB"), ["2,000,000,000", "less than the budget"]),
    "a headroom of words": ((*BUDGET, "--headroom", "some"), ["some", "none"]),
    "no alternatives": ((*BUDGET, "--top", "-1"), ["-1", "1000"]),
    "absurdly many alternatives": ((*BUDGET, "--top", "1001"), ["1001", "1000"]),
    "an alternative in words": ((*BUDGET, "--top", "many"), ["many", "--help"]),
    "an unknown option": ((*BUDGET, "--objekts", "3"), ["--objekts", "--objects", "--help"]),
    "an unknown command": (("plam", "--vram", "2GB"), ["plam", "--help"]),
    "an option without its value": (("--vram",), ["--vram", "--help"]),
    "a planning option before a command": (
        ("--vram", "2GB", "predict", "--variant", "tiny"),
        ["--vram", "predict", "--help"],
    ),
    "a predict without a variant": (("predict",), ["--variant", "--help"]),
    "a predict of an unknown variant": (("predict", "--variant", "huge"), ["huge", "large"]),
    "a predict of an unknown GPU": (("predict", "--variant", "tiny", "--gpu", "RTX 3061"), ["RTX 3061", "RTX 3060"]),
    "an endless unbounded clip": (
        ("predict", "--variant", "tiny", "--task", "video", "--runtime", "stock"),
        ["without end", "number of frames"],
    ),
    "an endless stock clip": (("need", "--runtime", "stock"), ["clip without end", "stock", "number of frames"]),
    "a stock of no square": (
        ("need", "--runtime", "stock", "--frames", "9", "--resolution", "576x1024"),
        ["576x1024", "square", "own runtime"],
    ),
    "a need of another runtime": (("need", "--runtime", "reimplementation"), ["reimplementation", "own", "stock"]),
    "a need of too many cards": (("need", "--top", "1001"), ["1001", "1000"]),
    "a need of no cards": (("need", "--top", "-1"), ["-1", "1000"]),
    "a need of an unknown variant": (("need", "--variant", "larg"), ["larg", "large"]),
    "a need with a budget": (("need", "--vram", "8GB"), ["--vram", "--help"]),
    "a need of half an object": (("need", "--objects", "1.5"), ["1.5", "whole number"]),
    "limits of a bare number": (("limits", "--vram", "8"), ["'8'", "2GB"]),
    "limits of two GPUs": (("limits", "--vram", "8GB,24GB"), ["8GB,24GB", "2GB"]),
    "limits of two budgets": (("limits", *BUDGET, "--gpu", "T4"), ["vram", "gpu", "one budget"]),
    "limits of an unknown GPU": (("limits", "--gpu", "RTX 3061"), ["RTX 3061", "RTX 3060"]),
    "limits of automatic objects": (("limits", *BUDGET, "--task", "automask", "--objects", "3"), ["3 objects"]),
    "limits off the grid": (("limits", *BUDGET, "--resolution", "1000"), ["1000", "32", "992"]),
    "limits with a preference": (("limits", *BUDGET, "--prefer", "speed"), ["--prefer", "--help"]),
    "a comparison with nothing": (("compare", "plan.yaml"), ["PLAN", "--help"]),
    "streams before a command": (("--streams", "2", "limits", *BUDGET), ["--streams", "limits", "--help"]),
    "a pass of no objects": (("predict", "--variant", "tiny", "--object-batch", "0"), ["0", "1"]),
    "gpus of no name": (("gpus", "zzzz"), ["zzzz", "sam2-plan gpus"]),
}  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), USAGE.values(), ids=USAGE)
def test_bad_input_as_text(words: tuple[str, ...], expected: list[str]) -> None:
    outcome = invoke(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert [part for part in expected if part not in outcome.err] == []
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(("words", "expected"), USAGE.values(), ids=USAGE)
def test_bad_input_as_json(words: tuple[str, ...], expected: list[str]) -> None:
    before = words == ("--vram",)
    outcome = invoke("--format", "json", *words) if before else invoke(*words, "--format=json")
    assert outcome.code == 2
    document = outcome.document
    assert set(document) == {"error"}
    assert set(document["error"]) == {"code", "message", "hint"}
    assert document["error"]["code"] == "usage"
    both = f"{document['error']['message']} {document['error']['hint']}"
    assert [part for part in expected if part not in both] == []


def test_planning_options_before_a_command_are_refused_in_json_too() -> None:
    outcome = invoke("--format", "json", "predict", "--variant", "tiny")
    assert outcome.code == 2
    assert "--format" in outcome.document["error"]["message"]


def test_a_budget_smaller_than_any_configuration_is_exit_3_with_the_nearest_miss_and_help() -> None:
    outcome = invoke("--vram", "0.2GB", "--task", "video", "--objects", "10")
    assert (outcome.code, outcome.err) == (3, "")
    for words in ("DOES NOT FIT", "Nearest misses", "short by", "largest part", "Try", "sam2-plan --vram"):
        assert words in outcome.out
    plan = invoke("--vram", "0.2GB", "--objects", "10", "--format", "json").document
    assert plan["verdict"] == "does_not_fit"
    assert plan["rejected"][0]["short_by_bytes"] > 0
    assert plan["try"]


def test_the_pin_that_makes_nothing_fit_is_named() -> None:
    outcome = invoke("--vram", "0.7GB", "--variant", "large", "--resolution", "2048")
    assert outcome.code == 3
    assert "resolution" in outcome.out.split("Try")[1]


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.machine.present.present_gpus", list)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [
        Gpu(name="NVIDIA GeForce RTX 3060", total_bytes=12 * 2**30, free_bytes=2 * 10**9, capability=(8, 6),
            uuid="GPU-aaaa", index=0),
        Gpu(name="NVIDIA A100-SXM4-40GB", total_bytes=40 * 2**30, free_bytes=30 * 10**9, capability=(8, 0),
            uuid="GPU-bbbb", index=1),
    ]  # fmt: skip
    monkeypatch.setattr("planner.machine.present.present_gpus", lambda: cards)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("words", [(), ("--task", "image"), ("--device", "0")])
def test_no_gpu_and_no_budget_says_what_to_pass(words: tuple[str, ...]) -> None:
    outcome = invoke(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert "No GPU" in outcome.err
    assert "--vram" in outcome.err
    assert "--gpu" in outcome.err
    assert invoke(*words, "--format", "json").document["error"]["code"] == "usage"


@pytest.mark.usefixtures("two_gpus")
def test_an_unknown_device_lists_those_present() -> None:
    for device in ("7", "GPU-zzzz", "cuda:0x", ""):
        outcome = invoke("--device", device)
        assert (outcome.code, outcome.out) == (2, "")
        assert repr(device) in outcome.err
        assert "0: NVIDIA GeForce RTX 3060 (GPU-aaaa)" in outcome.err


@pytest.mark.usefixtures("two_gpus")
def test_a_present_gpu_is_planned_for_from_its_free_memory() -> None:
    by_index = invoke("--device", "0", "--format", "json").document
    assert by_index["budget"]["source"] == "device"
    assert by_index["budget"]["total_bytes"] == 2 * 10**9
    assert invoke("--device", "GPU-bbbb", "--format", "json").document["budget"]["total_bytes"] == 30 * 10**9
    roomiest = invoke("--format", "json").document
    assert roomiest["budget"]["gpu"]["index"] == 1


UNWRITABLE = ("missing/plan.yaml", "folder", "file.txt/plan.yaml", "n" * 300 + ".yaml", "")


@pytest.mark.parametrize("name", UNWRITABLE, ids=lambda name: name[:20] or "empty")
def test_an_unwritable_output_is_exit_1_and_leaves_nothing_behind(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").write_text("mine")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    outcome = invoke("--vram", "2GB", "-o", name)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: ")
    assert "writ" in outcome.err
    assert name in outcome.err
    document = invoke("--vram", "2GB", "-o", name, "--format", "json").document
    assert document["error"]["code"] == "environment"
    assert document["error"]["hint"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert (tmp_path / "file.txt").read_text() == "mine"


def test_a_path_with_a_null_byte_is_refused() -> None:
    assert invoke("--vram", "2GB", "-o", "a\0b").code in (1, 2)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """`-o /dev/null` as root must not put a file in the place of the device."""
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        outcome = invoke("--vram", "2GB", "--top", "0", "-o", str(pipe))
        written = os.read(reader, 1 << 20)
    finally:
        os.close(reader)
    assert outcome.code == 0
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe.json"]
    assert written


@pytest.mark.parametrize("target_exists", [True, False])
def test_a_link_stays_a_link(target_exists: bool, tmp_path: Path) -> None:
    target, link = tmp_path / "target.yaml", tmp_path / "link.yaml"
    if target_exists:
        target.write_text("old: 1\n")
    link.symlink_to(target)
    assert invoke("--vram", "2GB", "-o", str(link)).code == 0
    assert link.is_symlink()
    assert planner.Plan.load(target) == planner.Plan.load(link) == planner.plan(vram="2GB")


@pytest.mark.parametrize(
    "asked",
    [
        {"vram": 10**400}, {"vram": 0}, {"vram": -1}, {"vram": float("nan")}, {"vram": "2"}, {"vram": ""},
        {"vram": "2GB", "objects": 0}, {"vram": "2GB", "objects": True}, {"vram": "2GB", "frame_size": (1080,)},
        {"vram": "2GB", "frame_size": (1080.0, 1920.0)}, {"vram": "2GB", "frame_size": 1080},
        {"vram": "2GB", "resolution": (1024, 1024, 3)}, {"vram": "2GB", "resolution": 1000},
        {"vram": "2GB", "resolution": [1024, 1000]}, {"vram": "2GB", "top": -1},
        {"vram": "2GB", "headroom": 0.1}, {"vram": "2GB", "task": None},
        {"vram": "2GB", "variant": "Large"}, {"vram": "2GB", "gpu": "T4"}, {"gpu": "nothing"},
    ],
    ids=lambda asked: str(asked)[:60],
)  # fmt: skip
def test_bad_values_in_python_are_planner_errors(asked: dict[str, object]) -> None:
    with pytest.raises(planner.PlannerError) as caught:
        planner.plan(**asked)  # type: ignore[arg-type]
    assert str(caught.value)


WORDS = shlex.split("""
--vram --gpu --device --task --objects --frames --frame-size --variant --version --resolution --precision --attention
--prefer --headroom --top --explain --strict --exit-zero --format --format=json json text predict gpus --help
--program-version 2GB 0.5GB T4 video image automask 10 0 -1 unlimited 1080x1920 large tiny 2.1 1024 2048 float16
float32 flash auto speed balanced none 10% -- --runtime stock --object-batch --vram=2GB --top=3 limits need compare
--gpus --streams 2GB,8GB T4,A100 2
""")


@settings(max_examples=300)
@given(words=st.lists(st.sampled_from(WORDS) | st.text(max_size=8), max_size=9))
def test_any_command_line_ends_in_the_contract(words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.machine.present.present_gpus", list)
        outcome = invoke(*(word for word in words if not word.startswith("-o")))
    assert outcome.code in EXIT_CODES
    assert "Traceback" not in outcome.err
    if outcome.code in (1, 2) and not outcome.out:
        assert outcome.err.startswith("error: ")
    if outcome.out.startswith("{"):
        validate(json.loads(outcome.out))
        assert outcome.err == ""
