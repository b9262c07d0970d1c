"""Options from the command line, the environment and a file: all of them, and in this order."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.core import ParameterSource
from hypothesis import given
from hypothesis import strategies as st

import planner
from planner.cli import settings
from planner.cli.main import cli
from tests.conftest import invoke
from tests.preflight.machines import tight_size

ROOT = click.Context(cli, info_name="sam2-plan")


def commands() -> Iterator[tuple[str | None, click.Command]]:
    yield None, cli
    for name in cli.list_commands(ROOT):
        command = cli.get_command(ROOT, name)
        assert command is not None
        yield name, command


OPTIONS = [
    pytest.param(name, command, option, id=f"{name or 'planning'} {settings.long_name(option)}")
    for name, command in commands()
    for option in settings.options_of(command)
]


def a_value(option: click.Option) -> str:
    """One that the option takes, other than its default."""
    if isinstance(option.type, click.Choice):
        return str(next(word for word in option.type.choices if word != option.default))
    return "7"


@pytest.mark.parametrize(("name", "command", "option"), OPTIONS)
def test_every_option_can_be_a_variable(
    name: str | None, command: click.Command, option: click.Option, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("SAM2_PLAN", *([name] if name else []), max(option.opts, key=len).lstrip("-"))
    variable = "_".join(words).upper().replace("-", "_")
    monkeypatch.setenv(variable, "1" if option.is_flag else a_value(option))
    context = click.Context(command, info_name=name or "sam2-plan")
    value, source = option.consume_value(context, {})
    assert source is ParameterSource.ENVIRONMENT, variable
    taken = option.type_cast_value(context, value)
    expected = "True" if option.is_flag else a_value(option)
    assert taken == (expected,) if option.multiple else str(taken) in (expected, f"{expected}.0")


@pytest.mark.parametrize(("name", "command", "option"), OPTIONS)
def test_every_option_can_stand_in_a_file(
    name: str | None, command: click.Command, option: click.Option, tmp_path: Path
) -> None:
    long_name = settings.long_name(option)
    if long_name in settings.NOT_SET:
        return
    for spelling in (long_name, long_name.replace("-", "_")):
        line = f"{spelling}: {'true' if option.is_flag else a_value(option)}"
        path = tmp_path / "config.yaml"
        path.write_text(f"{name}:\n  {line}\n" if name else f"{line}\n")
        context = click.Context(cli, info_name="sam2-plan")
        settings.load(context, str(path))
        found: Any = context.default_map
        found = found[name] if name else found
        assert found == {
            option.name: [a_value(option)] if option.multiple else True if option.is_flag else a_value(option)
        }


def test_no_two_options_share_a_variable() -> None:
    names = [
        settings.variable_of(option, name) for name, command in commands() for option in settings.options_of(command)
    ]
    assert len(names) == len(set(names))
    assert not set(names) & set(settings.OTHERS)


def chosen(*words: str) -> tuple[int, str]:
    document = invoke(*words, "--format", "json").document
    return document["budget"]["total_bytes"], document["chosen"]["version"]


def test_the_command_line_goes_before_the_environment_before_the_file_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("vram: 3GB\nversion: 2.0\n")
    assert chosen("--vram", "2GB") == (2 * 10**9, "2.1")
    assert chosen("--config", str(config)) == (3 * 10**9, "2.0")
    monkeypatch.setenv("SAM2_PLAN_VRAM", "4GB")
    assert chosen("--config", str(config)) == (4 * 10**9, "2.0")
    assert chosen("--config", str(config), "--vram", "5GB") == (5 * 10**9, "2.0")
    assert chosen() == (4 * 10**9, "2.1")


def test_the_file_is_named_by_a_variable_or_lies_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM2_PLAN_HOME", str(tmp_path))
    (tmp_path / "config.yaml").write_text("vram: 3GB\n")
    assert chosen()[0] == 3 * 10**9
    other = tmp_path / "other.yaml"
    other.write_text("vram: 4GB\n")
    monkeypatch.setenv("SAM2_PLAN_CONFIG", str(other))
    assert chosen()[0] == 4 * 10**9
    (tmp_path / "third.yaml").write_text("vram: 5GB\n")
    assert chosen("--config", str(tmp_path / "third.yaml"))[0] == 5 * 10**9


def test_a_section_speaks_of_its_command_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, config = tmp_path / "plan.yaml", tmp_path / "config.yaml"
    tight = tight_size(planner.plan(vram="3GB"))
    config.write_text(f"vram: 3GB\ncheck:\n  vram: {tight}\n  strict: true\npredict:\n  objects: 5\n  task: video\n")
    assert invoke("--config", str(config), "-o", str(plan)).code == 0
    assert invoke("--config", str(config), "check", str(plan)).code == 4, "tight, and strict"
    assert invoke("--config", str(config), "check", str(plan), "--vram", "3GB").code == 0
    words = ("--config", str(config), "predict", "--variant", "tiny", "--format", "json")
    assert invoke(*words).document["workload"]["objects"] == 5
    monkeypatch.setenv("SAM2_PLAN_CHECK_EXIT_ZERO", "yes")
    assert invoke("--config", str(config), "check", str(plan)).code == 0


def test_planning_by_variables_does_not_disturb_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_PLAN_VRAM", "2GB")
    monkeypatch.setenv("SAM2_PLAN_OBJECTS", "10")
    assert invoke("predict", "--variant", "tiny").code == 0
    refused = invoke("--vram", "2GB", "predict", "--variant", "tiny")
    assert refused.code == 2 and "--vram is an option of planning" in refused.err


BROKEN = {
    "a list": ("- vram", "mapping"),
    "an unknown option": ("vrom: 2GB", "Did you mean vram"),
    "an unknown option of a command": ("check:\n  polcy: x", "Did you mean policy"),
    "an unknown command": ("chek:\n  strict: true", "Did you mean check"),
    "a flag that is none": ("strict: 1", "true or false"),
    "a list for one value": ("vram: [2GB]", "one value"),
    "a truth for a value": ("vram: true", "one value"),
    "a mapping for a value": ("vram:\n  gb: 2", "one value"),
    "a mapping in a list": ("measure:\n  output: {a: 1}", ""),
    "another file": ("config: other.yaml", "unknown 'config'"),
    "a command as text": ("check: yes please", "mapping"),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_exit_2_and_names_line_and_remedy(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    for words in (("--vram", "2GB"), ("gpus",)):
        outcome = invoke("--config", str(path), *words)
        assert (outcome.code, outcome.out) == (2, "")
        assert "config.yaml, line " in outcome.err and expected in outcome.err
    assert invoke("--config", str(tmp_path / "none.yaml"), "--vram", "2GB").code == 2


def test_a_file_that_says_nothing_sets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for text in ("", "# vram: 2GB\n", "---\n"):
        path.write_text(text)
        assert invoke("--config", str(path), "--vram", "2GB").code == 0


def test_help_is_there_for_somebody_whose_file_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("vrom: 2GB\n")
    assert invoke("--config", str(path), "check", "--help").code == 0


def test_of_two_budgets_the_nearer_one_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("vram: 8GB\n")
    words = ("--config", str(config), "--format", "json")
    assert invoke(*words).document["budget"]["total_bytes"] == 8 * 10**9
    named = invoke(*words, "--gpu", "RTX 4090").document["budget"]
    assert named["source"] == "gpu" and "4090" in named["gpu"]["name"]
    monkeypatch.setenv("SAM2_PLAN_GPU", "RTX 3060")
    assert "3060" in invoke(*words).document["budget"]["gpu"]["name"]
    assert invoke(*words, "--vram", "2GB").document["budget"]["total_bytes"] == 2 * 10**9
    monkeypatch.setenv("SAM2_PLAN_VRAM", "3GB")
    both = invoke("--vram", "2GB", "--gpu", "T4")
    assert both.code == 2 and "contradict" in both.err
    alike = invoke(*words)
    assert alike.code == 2 and "contradict" in json.dumps(alike.document)


def test_an_error_names_what_did_not_stand_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("objects: 0\n")
    outcome = invoke("--vram", "2GB", "--config", str(config))
    assert outcome.code == 2 and f"--objects from {config}" in outcome.err
    monkeypatch.setenv("SAM2_PLAN_VRAM", "2")
    assert "--vram from SAM2_PLAN_VRAM" in invoke().err
    monkeypatch.setenv("SAM2_PLAN_TOP", "many")
    outcome = invoke("--vram", "2GB")
    assert outcome.code == 2 and "It comes from SAM2_PLAN_TOP" in outcome.err
    assert "SAM2_PLAN_TOP" not in invoke("--vram", "2GB", "--top", "few").err


def test_the_form_of_errors_may_come_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("format: json\ngpus:\n  format: json\n")
    assert invoke("--vram", "2", "--config", str(config)).document["error"]["code"] == "usage"
    assert invoke("--config", str(config), "gpus", "zzzz").document["error"]["code"] == "usage"
    assert invoke("--config", str(config), "predict", "--variant", "huge").out == "", "another command's is its own"
    monkeypatch.setenv("SAM2_PLAN_PREDICT_FORMAT", "json")
    assert invoke("predict").document["error"]["code"] == "usage", "not even parsed"
    assert invoke("--vram", "2").out == ""
    config.write_text("check:\n  format: json\n")
    unparsed = ("--config", str(config), "check", "plan.yaml", "--bogus")
    assert invoke(*unparsed).document["error"]["code"] == "usage", "of a file too"
    monkeypatch.setenv("SAM2_PLAN_CHECK_FORMAT", "json")
    assert invoke("check", "none.yaml", "--format", "text", "--bogus").out == "", "the command line is nearer"
    monkeypatch.delenv("SAM2_PLAN_CHECK_FORMAT")
    monkeypatch.setenv("SAM2_PLAN_CHECK_ONELINE", "1")
    assert invoke("check", "none.yaml").out.count("\n") == 1, "one line, as with the option"


def test_the_command_gpus_and_an_option_may_share_a_name(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("gpus:\n  format: json\n")
    assert invoke("--config", str(config), "gpus", "rtx", "3060").document["kind"] == "gpus"


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=4), SCALARS, max_size=2)
KEYS = st.sampled_from(["vram", "objects", "check", "top", "strict", "gpus"]) | st.text(max_size=5)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_file_ends_in_the_contract(content: dict[str, Any]) -> None:
    import tempfile

    import yaml

    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(content, file, allow_unicode=True)
        file.flush()
        outcome = invoke("--config", file.name, "--vram", "2GB", "--top", "0")
    assert outcome.code in (0, 2, 3, 4)
    assert outcome.code == 0 or outcome.err.startswith("error: ") or outcome.code in (3, 4)


def test_nothing_of_ours_is_set_while_tests_run() -> None:
    ours = {name for name in os.environ if name.startswith("SAM2_PLAN_")}
    assert ours <= {
        "SAM2_PLAN_CUDNN",
        "SAM2_PLAN_HOME",
        "SAM2_PLAN_TRACEBACK",
        "SAM2_PLAN_TEST_SKYPILOT_PYTHON",
    }
