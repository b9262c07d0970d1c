"""Every command that is printed is run in the state in which it was printed, and does what it promised.

What plans and packings propose (`try`, `command`) is run for random requests in test_answers.py.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

import planner
from tests.conftest import commands, document_of, invoke
from tests.preflight.machines import report

FRAME = (96, 160)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("task", "saved"), [("video", None), ("image", None), ("automask", None), ("video", "my plans/mine.yaml")]
)
def test_next_can_be_pasted(task: str, saved: str | None, here: Path) -> None:
    """It keeps the plan, names its weights, and runs it with a prompt; INPUT is a file of one's own."""
    stock = pytest.importorskip("tests.runtime.stock", reason="needs torch and sam2")
    (here / "my plans").mkdir()
    asked = ["--vram", "4GB", "--task", task, "--variant", "tiny", "--resolution", "128", "--precision", "float32"]
    asked += ["--frame-size", "x".join(map(str, FRAME)), *(["-o", saved] if saved else [])]
    text = invoke(*asked).out
    steps = commands(text[text.index("\nNext\n") :])
    assert [step[0] for step in steps] == ([] if saved else ["--vram"]) + ["checkpoints", "run"]
    if not saved:
        assert invoke(*steps[0]).code == 0
    listed = document_of([*steps[-2][:2], "--format", "json"])["checkpoints"]
    (name,) = (one["name"] for one in listed)
    shutil.copy(stock.checkpoint("tiny", "2.1"), here / name)
    source = stock.clip(3, FRAME)
    words = [
        str(source if task == "video" else source / "00000.jpg") if word == "INPUT" else word for word in steps[-1]
    ]
    quicker = ("--points-per-side", "6") if task == "automask" else ()
    outcome = invoke(*words, "--device", "cpu", *quicker)
    assert outcome.code == 0, outcome.err
    assert (here / "masks" / "run.json").exists()


def test_what_a_check_advises_passes_the_check(here: Path) -> None:
    planner.plan(vram="2GB", objects=10).save("plan.yaml")
    for budget in ("200MB", "620MB", "1.1GB", "1.2GB"):
        action = next(
            one["action"]
            for one in document_of(["check", "plan.yaml", "--vram", budget])["checks"]
            if one["name"] == "memory"
        )
        if match := re.match(r"Give it (\S+), which this plan needs", action):
            assert invoke("check", "plan.yaml", "--vram", match.group(1)).code == 0
            assert invoke("check", "plan.yaml", "--vram", budget).code == 3
        for words in commands(action):
            shutil.copy("plan.yaml", "kept.yaml")
            made = document_of(words)
            assert made["verdict"] != "does_not_fit"
            assert made["request"]["objects"] == 10
            assert invoke("check", "plan.yaml", "--vram", words[words.index("--vram") + 1]).code == 0
            shutil.move("kept.yaml", "plan.yaml")


@pytest.mark.parametrize("most", ["1GB", "200MB", "1.2GB"])
def test_what_a_policy_advises_keeps_the_request_and_the_policy(most: str, here: Path) -> None:
    planner.plan(vram="4GB", objects=10, frame_size=(720, 1280)).save("plan.yaml")
    Path("policy.yaml").write_text(f"schema_version: 1\nmaximum_bytes: {most}\n")
    held = document_of(["check", "plan.yaml", "--vram", "4GB", "--policy", "policy.yaml"])
    action = next(one["action"] for one in held["checks"] if one["name"] == "policy.maximum_bytes")
    (words,) = commands(action) or [None]
    if words is None:
        assert "no plan of this request needs so little" in action
        return
    made = document_of(words)
    assert (made["request"]["objects"], made["request"]["frame_size"]) == (10, [720, 1280])
    again = document_of(["check", "plan.yaml", "--vram", "4GB", "--policy", "policy.yaml"])
    assert next(one["status"] for one in again["checks"] if one["name"] == "policy.maximum_bytes") != "fail"


def test_what_need_names_plans() -> None:
    for words in (
        ("--objects", "10"),
        ("--task", "automask", "--variant", "large"),
        ("--task", "image", "--version", "2.0"),
    ):
        text = invoke("need", *words, "--top", "2").out
        for command in commands(text[text.index("\nNext\n") :]):
            assert document_of(command)["verdict"] != "does_not_fit"


ERRORS = (
    ("check", "missing.yaml"),
    ("--gpu", "no such card"),
    ("--vram", "8GB", "--device", "7"),
    ("limits", "--vram", "2GB", "--attention", "flash", "--precision", "float32"),
    ("predict",),
    ("run", "plan.yaml", "INPUT", "--out", "masks"),
    ("checkpoints", "plan.yaml", "--download", "--to", "nowhere"),
    ("place", "plan.yaml", "--on", "slurm"),
    ("--simulate-gpu", "missing.json"),
    ("fit", "--profiles", "nowhere"),
)


@pytest.mark.parametrize("words", ERRORS, ids=" ".join)
def test_commands_in_errors_are_commands(words: tuple[str, ...], here: Path) -> None:
    """What an error proposes is taken by the command line: its options are known, its values are right."""
    planner.plan(vram="2GB").save("plan.yaml")
    outcome = invoke(*words)
    assert outcome.code in (1, 2)
    proposed = "\n".join(line for line in re.split(r"\n|(?<=[:]) ", outcome.err) if line.startswith("sam2-plan "))
    for command in commands(proposed):
        named = [word for word in command if word.isupper() or "..." in word]
        if named and "--help" not in command:
            continue  # a form with places to fill in
        assert invoke(*command).code != 2, shlex.join(command)


def test_commands_of_a_plan_for_another_machine_name_its_report(here: Path) -> None:
    machine = report(here)
    plan = planner.plan(objects=10, simulate_gpu=machine, variant="large", resolution=4096).to_dict()
    assert plan["budget"]["source"] == "device"
    proposed = [line["command"] for line in plan["try"]] + [plan["command"] or ""]
    planned = [words for text in proposed for words in commands(text) if words[0].startswith("--")]
    assert planned
    for words in planned:
        assert document_of([*words, "--top", "0"])["budget"]["gpu"] is not None or "--vram" in words
