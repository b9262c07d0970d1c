"""The command and the Python function, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

import planner
from planner.cli.main import main
from tests.conftest import validate

ISSUE = (
    "simulate --task video --variant tiny --version 2.1 --resolution 256 --frames 40 --objects 1 --precision float32 "
    "--offload-video --offload-state --async-loading --stock --capability 8.6 --frame-size 1080x1920 --format json"
)
pytestmark = pytest.mark.usefixtures("traces_shared")
SMALL = ("simulate", "--task", "image", "--resolution", "256")


@pytest.fixture(autouse=True)
def _needs_torch() -> None:
    pytest.importorskip("sam2", reason="simulating runs the sam2 package, which is not installed")


def test_the_document_holds_what_the_contract_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ISSUE.split()) == 0
    document = json.loads(capsys.readouterr().out)
    validate(document)
    assert document["total_bytes"] == document["reserved_bytes"] + document["context_bytes"]
    assert sum(component["bytes"] for component in document["components"]) == document["total_bytes"]
    # The memory bank is on the host: what stays of a frame is its pointer and bookkeeping.
    assert document["growth"]["per_frame_bytes"] < 2000


def test_the_text_names_the_operation_at_the_peak(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL]) == 0
    text = capsys.readouterr().out
    assert "reached by" in text
    assert "Nothing here was measured" in text


def test_the_timeline_is_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "memory.svg"
    assert main([*SMALL, "--timeline", str(path)]) == 0
    root = ElementTree.parse(path).getroot()
    assert root.tag.endswith("svg")
    assert "peak" in "".join(root.itertext())
    assert list(tmp_path.iterdir()) == [path]


def test_python_gives_the_same_figures(capsys: pytest.CaptureFixture[str]) -> None:
    main([*SMALL, "--format", "json"])
    document = json.loads(capsys.readouterr().out)
    found = planner.simulate(task="image", resolution=256)
    assert found.total_bytes == document["total_bytes"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--resolution", "576x1024"], "576x1024"),
        (["--capability", "eight"], "'eight' is not a compute capability"),
        (["--frames", "0"], "0 frames"),
        (["--kept-fraction", "2"], "2.0 is not a fraction"),
        (["--variant", "huge"], "'huge' is not a variant"),
        (["--attention", "flash", "--precision", "float32"], "flash"),
    ],
    ids=["not square", "capability", "no frames", "fraction", "variant", "impossible kernel"],
)
def test_bad_values_are_named_before_tracing(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--runtime", "stock", "--task", "video", *words]) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("words", [("--runtime", "stock"), ("--stock",), ("--runtime", "stock", "--stock")])
def test_whose_code_is_asked_as_in_predict_and_as_before(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    runtimes = []
    for asked in ((), words):
        assert main([*SMALL, *asked, "--format", "json"]) == 0
        document = json.loads(capsys.readouterr().out)
        validate(document)
        runtimes.append((document["configuration"]["runtime"], document["configuration"]["stock"]))
    assert runtimes == [("own", False), ("stock", True)]
