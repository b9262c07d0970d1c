"""What the shell completes, asked as click's shells ask."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
from click.shell_completion import ShellComplete

from planner.catalog.gpus import find_gpu
from planner.cli.main import COMMANDS, cli


def completed(*words: str, kind: bool = False) -> list[str]:
    """What is offered for the last of the words."""
    shell = ShellComplete(cli, {}, "sam2-plan", "_SAM2_PLAN_COMPLETE")
    return [item.type if kind else item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


def parameters() -> Iterator[tuple[str, click.Parameter]]:
    context = click.Context(cli, info_name="sam2-plan")
    for name in ("", *COMMANDS):
        command = cli.get_command(context, name) if name else cli
        assert command is not None
        yield from ((name, parameter) for parameter in command.params)


def test_every_value_that_is_a_file_or_a_folder_is_completed_as_one() -> None:
    asked = 0
    for name, parameter in parameters():
        words = (parameter.metavar or "").replace("[OBJECT:]FILE", "")
        kinds = {"FILE": "file", "PLAN": "file", "INPUT": "file", "PATH": "file", "DIR": "dir"}
        expected = next((kind for word, kind in kinds.items() if re.search(rf"\b{word}\b", words)), None)
        if expected is None:
            continue
        asked += 1
        context = click.Context(cli)
        offered = parameter.shell_complete(context, "im")
        assert [(item.type, item.value) for item in offered] == [(expected, "im")], (name, parameter.name)
    assert asked > 25


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("check", "pl"), "file"),
        (("compare", "a.yaml", "b"), "file"),
        (("run", "plan.yaml", "cl"), "file"),
        (("--vram", "2GB", "-o", "pl"), "file"),
        (("--config", "c"), "file"),
        (("run", "plan.yaml", "clip.mp4", "--checkpoint", "sam"), "file"),
        (("run", "plan.yaml", "clip.mp4", "--out", "ma"), "dir"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_files_stay_the_shells(words: tuple[str, ...], kind: str) -> None:
    assert completed(*words, kind=True) == [kind]


@pytest.mark.parametrize("typed", ["RTX 30", "rtx 4090", "GeForce RTX 2080", "A10", "H100"])
def test_gpus_complete_to_names_that_are_taken(typed: str) -> None:
    for command in ((), ("limits",), ("predict", "--variant", "tiny"), ("place", "plan.yaml", "--on", "ray")):
        offered = completed(*command, "--gpu", typed)
        assert offered
        assert all(name.lower().startswith(typed.lower()) for name in offered)
    for name in offered:
        assert find_gpu(name).gpu.total_bytes > 0
    assert completed("--gpu", f"RTX 3060,{typed}")[0].startswith("RTX 3060,")


def test_bash_gets_names_that_stay_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SAM2_PLAN_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "sam2-plan --gpu RTX\\ 309")
    assert "RTX\\ 3090" in completed("--gpu", "RTX 309")
    monkeypatch.setenv("COMP_WORDS", 'sam2-plan --gpu "RTX 309')
    assert "RTX 3090" in completed("--gpu", "RTX 309")


def test_words_and_commands_complete() -> None:
    assert completed("--precision", "auto") == ["autocast_bfloat16", "autocast_float16"]
    assert completed("--frames", "u") == ["unlimited"]
    assert completed("--headroom", "") == ["auto", "none"]
    assert completed("simulate", "--runtime", "s") == ["stock"]
    assert set(completed("")) == set(COMMANDS)
