"""Pictures of a plan: its own figures, the same file each time, and words that stay words."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

import planner
from planner.errors import EnvironmentFailure, UsageError
from planner.text.command_lines import describe
from planner.text.units import format_size
from tests.conftest import invoke, refusal


def words_of(svg: str) -> list[str]:
    """All texts of a picture."""
    return [text for node in ElementTree.fromstring(svg).iter() if (text := (node.text or "").strip())]


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)


def test_memory_and_accuracy_are_named(tmp_path: Path) -> None:
    path = tmp_path / "plan.svg"
    outcome = invoke("--vram", "2GB", "--objects", "10", "--plot", str(path))
    assert (outcome.code, outcome.err) == (0, "")
    plan = planner.plan(vram="2GB", objects=10)
    assert plan.chosen is not None
    words = words_of(path.read_text())
    assert words[words.index("usable 1900 MB") :].count("usable 1900 MB") == 2
    assert any(describe(plan.chosen.configuration) in text for text in words)
    assert any(text.endswith(f", {format_size(plan.chosen.estimate.total_bytes)}") for text in words)
    assert {part.name for part in plan.chosen.estimate.components} <= set(words)
    assert {"upper bound", "chosen", "large", "base_plus", "J&F on SA-V test"} <= set(words)


def test_the_same_plan_gives_the_same_picture(tmp_path: Path) -> None:
    plan = planner.plan(vram="1.3GB", explain=True)
    assert planner.plot(plan).svg() == planner.plot(plan).svg()
    assert "dc:date" not in planner.plot(plan).svg()
    assert planner.plot(plan).save(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_where_nothing_fits_the_misses_stand_against_the_budget() -> None:
    words = words_of(planner.plot(planner.plan(vram="200MB")).svg())
    assert any(text.startswith("DOES NOT FIT") for text in words)
    assert any("short by" in text for text in words)


@pytest.mark.parametrize(
    "asked", [{"task": "automask"}, {"task": "image"}, {"frames": 3, "host_memory": "1MB"}], ids=str
)
def test_every_kind_of_plan_can_be_drawn(asked: dict[str, str]) -> None:
    assert words_of(planner.plot(planner.plan(vram="0.6GB", **asked)).svg())  # type: ignore[arg-type]


def test_a_hostile_name_is_text() -> None:
    plan = planner.plan(gpu="T4")
    assert plan.budget.gpu is not None
    name = "<script>$\\frac{1}{0}$ & _x_"
    hostile = replace(plan, budget=replace(plan.budget, gpu=replace(plan.budget.gpu, name=name)))
    svg = planner.plot(hostile).svg()
    assert "<script" not in svg
    assert any(text.startswith(name) for text in words_of(svg))


def test_streams_are_drawn_as_one_process(tmp_path: Path) -> None:
    path = tmp_path / "packing.svg"
    assert invoke("--vram", "2GB,4GB", "--streams", "3", "--plot", str(path)).code == 0
    assert any("each of 3 streams" in text for text in words_of(path.read_text()))


def test_what_cannot_be_drawn_is_refused_before_planning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "plan.svg" in invoke("--vram", "2GB", "--plot", "x.pdf").err
    same = str(tmp_path / "x.svg")
    assert "take the place" in invoke("--vram", "2GB", "-o", same, "--plot", same).err
    assert invoke("--vram", "2GB", "--plot", str(tmp_path / "none" / "x.svg")).code == 1
    assert refusal(UsageError, planner.plot, "plan.yaml") is not None
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    missing = refusal(EnvironmentFailure, planner.plot, planner.plan(vram="2GB"))
    assert missing is not None
    assert "sam2-plan[plot]" in missing.hint
