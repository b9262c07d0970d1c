"""What a terminal sees: lines within its width, help in order of use, colours by the usual variables."""

from __future__ import annotations

import contextlib
import html
import itertools
import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import planner
from planner import Plan
from planner.cli.main import COMMANDS
from planner.cli.output import ProgressLine, telling
from planner.errors import DeviceWarning
from planner.memory_model.known import assess_known
from planner.nouns.words import PRECISIONS
from planner.report.accuracy import accuracy_report
from planner.report.layout import Style
from tests.conftest import ROOT, Terminal, invoke

WIDTHS = (60, 80, 120, 200)
PLAN = ("--vram", "2GB", "--objects", "10")
ASKED = (
    PLAN,
    (*PLAN, "--explain"),
    ("--vram", "0.2GB"),
    ("--vram", "1GB", "--task", "image", "--frame-size", "4000x6000", "--prefer", "balanced"),
    ("--gpu", "RTX 3060 12GB", "--task", "automask"),
    ("--vram", "2GB,8GB", "--streams", "3"),
    ("--vram", "0.5GB", "--streams", "3", "--explain"),
    ("limits", "--vram", "2GB"),
    ("limits", "--vram", "0.6GB", "--task", "image"),
    ("need", "--variant", "large"),
    ("need", "--runtime", "stock", "--variant", "large", "--frames", "240"),
    ("predict", "--variant", "tiny", "--task", "video", "--frames", "240", "--runtime", "stock"),
    ("gpus",),
    ("checkpoints",),
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
    assessment = assess_known(None)  # as the command asks for it: worked out once
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
    asked = ("--vram", "0.8GB", "--objects", "10")
    document = invoke(*asked, "--format", "json").document
    monkeypatch.setenv("COLUMNS", str(width))
    text = invoke(*asked, tty=True).out.replace("\\\n", " ")
    pasted = [shlex.split(line) for line in text.splitlines() if line.startswith("    sam2-plan ")]
    for one in document["try"]:
        assert shlex.split(one["command"]) in pasted
    for step in document["command"].split(" && "):
        assert shlex.split(step) in pasted


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


@pytest.mark.parametrize(
    "words", [("--vram", "2GB", "--version"), ("--version", "--vram", "2GB"), ("need", "--version")]
)
def test_a_version_that_is_missing_says_which_is_meant(words: tuple[str, ...]) -> None:
    outcome = invoke(*words)
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


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_closed_streams_change_no_exit_code_and_no_file(closed: str, form: str, tmp_path: Path) -> None:
    """Nobody reads the answer; the file that is saved must not become the closed stream."""
    path = tmp_path / "plan.yaml"
    words = f"--vram 2GB --format {form} -o {shlex.quote(str(path))}"
    script = f"{shlex.quote(sys.executable)} -m planner {words} {closed}"
    done = subprocess.run(["sh", "-c", script], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "bug" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert Plan.load(path).fits


@pytest.mark.parametrize("answer", ["plan", "predict", "limits", "need", "pack", "compare"])
def test_a_repr_is_a_line_or_a_few_and_names_the_type(answer: str) -> None:
    plan = planner.plan(vram="2GB", objects=10, explain=True)
    found = {
        "plan": lambda: plan,
        "predict": lambda: planner.predict(variant="large"),
        "limits": lambda: planner.limits(vram="2GB"),
        "need": lambda: planner.need(variant="large"),
        "pack": lambda: planner.pack(vram="2GB,8GB", streams=3),
        "compare": lambda: planner.compare(plan, planner.plan(vram="8GB")),
    }[answer]()
    assert len(repr(found)) < 500
    assert type(found).__name__ in repr(found)
    for below in (plan.chosen, plan.estimate):
        assert len(repr(below)) < 500


def test_a_plan_in_a_notebook_holds_its_report() -> None:
    plan = planner.plan(vram="2GB", objects=10)
    fold = re.search("<pre>(.*)</pre>", plan._repr_html_(), re.DOTALL)
    assert fold is not None and html.unescape(fold[1]) == invoke(*PLAN).out
    assert plan.chosen is not None and plan.chosen.configuration.variant in repr(plan)


def test_sizes_and_counts_are_in_plain_words() -> None:
    text = invoke("--vram", "1000000GB", "--prefer", "balanced").out
    assert "budget 1,000,000 GB" in text
    assert "the best trade of accuracy for speed of" in text
    one = invoke("--vram", "8GB", "--task", "image", "--variant", "tiny", "--version", "2.1", "--resolution", "512",
                 "--precision", "float16").out  # fmt: skip
    assert not re.search(r"\b1 (candidates|objects|frames|streams)\b", one)


def test_a_warning_stands_on_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Terminal(tty=True)
    with contextlib.redirect_stderr(err), ProgressLine() as line, telling(DeviceWarning):
        line.show("halfway")
        warnings.warn("slow", DeviceWarning, stacklevel=1)
        line.show("done")
    assert err.text() == f"\rhalfway\r{' ' * 7}\rwarning: slow\n\rdone\r{' ' * 4}\r"
    assert ProgressLine.drawn is None
    file = Terminal()
    with contextlib.redirect_stderr(file), ProgressLine() as line:
        line.show("nobody sees it")
    assert file.text() == ""
