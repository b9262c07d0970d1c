"""What a terminal sees: lines within its width, help in order of use, colours by the usual variables."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest

from planner.cli.main import COMMANDS
from planner.domain import PRECISIONS
from planner.memory_model.known import assess_known
from planner.report.accuracy import accuracy_report
from planner.report.layout import Style
from tests.conftest import invoke

WIDTHS = (60, 80, 120, 200)
PLAN = ("--vram", "2GB", "--objects", "10")
ASKED = (
    PLAN,
    (*PLAN, "--explain"),
    ("--vram", "0.5GB"),
    ("--vram", "1GB", "--task", "image", "--frame-size", "4000x6000", "--prefer", "balanced"),
    ("--gpu", "RTX 3060 12GB", "--task", "automask"),
    ("--vram", "2GB,8GB", "--streams", "3"),
    ("--vram", "1GB", "--streams", "3", "--explain"),
    ("limits", "--vram", "2GB"),
    ("limits", "--vram", "0.6GB", "--task", "image"),
    ("need", "--variant", "large"),
    ("need", "--runtime", "stock", "--variant", "large", "--frames", "240"),
    ("predict", "--variant", "tiny", "--task", "video", "--frames", "240", "--runtime", "stock"),
    ("gpus",),
    ("compare", "{first}", "{second}"),
    ("check", "{first}", "--vram", "1GB"),
    ("doctor",),
    ("--vram", "2", "--task", "video"),
)


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("plans")
    paths = {"first": folder / "a.yaml", "second": folder / "b.yaml"}
    invoke(*PLAN, "-o", str(paths["first"]))
    invoke("--vram", "0.8GB", "--task", "image", "-o", str(paths["second"]))
    return paths


def too_wide(text: str, width: int) -> list[str]:
    """Lines that are wider, but for a single word: names and paths are not broken, nor hints that are to be pasted."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    pasted = re.compile(r"  (?!  ).*\bsam2-plan \w|^error: .*/")
    return [
        line for line in plain if len(line) > width and len(line.strip(" \\").split()) > 1 and not pasted.match(line)
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_answer_and_every_help_keeps_within_the_terminal(
    width: int, plans: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    helps = [(*([name] if name else []), "--help") for name in ("", *COMMANDS)]
    for words in (*ASKED, *helps):
        outcome = invoke(*(word.format(**plans) if "{" in word else word for word in words), tty=True)
        assert len(outcome.out + outcome.err) > 20, words
        assert too_wide(outcome.out + outcome.err, width) == [], words


def test_the_accuracy_tables_keep_within_the_terminal() -> None:
    assessment = assess_known()
    assert too_wide(accuracy_report(assessment), 80), "the width decides"
    for width in WIDTHS:
        assert too_wide(accuracy_report(assessment, Style(width=width)), width) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_lost_where_a_table_is_narrow(width: int) -> None:
    rows = [
        ["variant", "takes", "most objects", "surely", "why"],
        *(
            [f"variant{n}", f"{n}.00 GB", str(100 + n), str(n), " ".join(f"w{n}x{k}" for k in range(12))]
            for n in (7, 8)
        ),
    ]
    for lines in (Style(width=width).table(rows, (1, 2)), list(itertools.chain(*Style(width=width).rows(rows)))):
        words = " ".join(lines).split()
        for word in itertools.chain.from_iterable(cell.split() for row in rows for cell in row):
            assert word in words


@pytest.mark.parametrize("width", WIDTHS)
def test_commands_can_be_pasted_at_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("--vram", "0.8GB", "--objects", "10", "--gpus", "1", "--streams", "1")[:4]
    document = invoke(*asked, "--format", "json").document
    monkeypatch.setenv("COLUMNS", str(width))
    text = invoke(*asked, tty=True).out
    pasted = [shlex.split(line) for line in text.replace("\\\n", " ").splitlines() if "sam2-plan --vram" in line]
    for one in document["try"]:
        assert shlex.split(one["command"]) in pasted
    assert shlex.split(document["command"]) in pasted


def test_what_is_piped_is_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    rows = [
        line for line in invoke("limits", "--vram", "2GB").out.splitlines() if line.split()[:2] == ["tiny", "float16"]
    ]
    assert len(rows) == 1
    assert len(rows[0].split()) > 6


def test_help_names_every_command_in_order_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = invoke("-h").out
    assert text == invoke("--help").out
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", text, re.MULTILINE)
    assert set(listed) == set(COMMANDS)
    assert listed.index("predict") < listed.index("run") < listed.index("simulate") < listed.index("fit")
    assert "..." not in text.split("Ask:")[1].split("Examples:")[0]
    for precision in PRECISIONS:
        assert precision in text


@pytest.mark.parametrize("word", ["-V", "--version", "--program-version"])
def test_who_asks_for_the_version_gets_it(word: str) -> None:
    from planner import __version__

    outcome = invoke(word)
    assert (outcome.code, outcome.out) == (0, f"sam2-plan, version {__version__}\n")


def test_a_version_that_is_missing_says_which_is_meant() -> None:
    outcome = invoke("--vram", "2GB", "--version")
    assert outcome.code == 2
    assert "2.0 or 2.1" in outcome.err
    assert "sam2-plan -V" in outcome.err


@pytest.mark.parametrize(
    ("environment", "tty", "coloured"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({}, False, False),
    ],
)
def test_colours_follow_the_usual_variables(
    environment: dict[str, str], tty: bool, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in invoke(*PLAN, tty=tty).out) is coloured
