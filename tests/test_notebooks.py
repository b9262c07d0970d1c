"""Answers in notebooks: they show themselves, nothing in them runs or loads anything, and docs/notebook.ipynb works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import planner
from planner.rehearsal.machine import ImaginaryGpu
from planner.text.units import format_size

ROOT = Path(__file__).parent.parent
LARGEST = 12_000
ANSWERS: dict[str, Callable[[], Any]] = {
    "plan": lambda: planner.plan(vram="2GB", objects=10),
    "nothing": lambda: planner.plan(vram="200MB"),
    "packing": lambda: planner.pack(vram="2GB,4GB", streams=3),
    "idle": lambda: planner.pack(vram="2GB,200MB", streams=1),
    "estimate": lambda: planner.predict(variant="tiny"),
    "limits": lambda: planner.limits(vram="2GB", variant="tiny"),
    "need": lambda: planner.need(variant="tiny", top=0),
    "compare": lambda: planner.compare(planner.plan(vram="1GB"), planner.plan(vram="2GB")),
}
VOID = {"br", "hr"}


class Reader(HTMLParser):
    """Tags as they open and close, and the words between them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_shows_itself(name: str) -> None:
    found = ANSWERS[name]()
    html = found._repr_html_()
    reader = read(html)
    assert len(html) < LARGEST
    assert reader.tags <= {"div", "span", "details", "summary", "pre", "table", "tr", "th", "td"}
    assert reader.attributes <= {"style", "title"}
    assert "http" not in html.split("<pre>")[0]
    assert "url(" not in html
    assert "\n" not in repr(found)


def test_the_figures_are_those_of_the_plan() -> None:
    plan = planner.plan(vram="2GB", objects=10)
    assert plan.chosen is not None
    estimate = plan.chosen.estimate
    html = plan._repr_html_()
    words = " ".join(read(html).words)
    for size in (estimate.total_bytes, estimate.upper_bytes, *(part.bytes for part in estimate.components)):
        assert format_size(size) in words
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", html)]
    end = max(estimate.upper_bytes, plan.budget.usable_bytes)
    assert sum(widths) == pytest.approx(100 * estimate.total_bytes / end, abs=0.01)


def test_a_simulation_and_a_confirmation_show_themselves() -> None:
    pytest.importorskip("sam2")
    found = planner.simulate(variant="tiny", frames=2, resolution=512, vram="200MB")
    reader = read(found._repr_html_())
    assert "RUNS OUT" in reader.words
    assert format_size(found.total_bytes) in " ".join(reader.words)
    plan = planner.plan(vram="2GB", variant="tiny", resolution=512, frames=2)
    confirmed = planner.confirm(plan, simulate=True)
    assert "predicted" in read(confirmed._repr_html_()).words


def test_a_rehearsal_shows_itself() -> None:
    gpu = ImaginaryGpu(
        name="<b>T4</b>", capability=(7, 5), multiprocessors=40, threads_per_multiprocessor=1024,
        total_bytes=15_000_000_000, context_bytes=0, uuid="GPU-0",
    )  # fmt: skip
    found = planner.Rehearsal(
        gpus=(gpu,), memory_bytes=gpu.total_bytes, completed=False, ran_out=True, out_of_memory=1, retries=0,
        allocated_bytes=1, reserved_bytes=2, context_bytes=0, total_bytes=2, least_bytes=None, kernels=7,
        kernels_per_frame=None, milliseconds_per_frame=None, versions={}, notes=("a note",), command=("python", "x.py"),
    )  # fmt: skip
    reader = read(found._repr_html_())
    assert "OUT OF MEMORY" in reader.words
    assert "b" not in reader.tags


def test_hostile_names_are_text() -> None:
    plan = planner.plan(gpu="T4")
    assert plan.budget.gpu is not None
    bad = replace(plan, budget=replace(plan.budget, gpu=replace(plan.budget.gpu, name="<img onerror=x src=y>")))
    bad = replace(bad, warnings=("<script>alert(1)</script>",))
    assert not {"script", "img"} & read(bad._repr_html_()).tags
    assert "! <script>alert(1)</script>" in read(bad._repr_html_()).words


def test_having_a_look_imports_nothing_before() -> None:
    code = (
        "import planner, sys; planner.plan(vram='2GB')._repr_html_;"
        "print(sorted({'matplotlib', 'textual', 'numpy', 'planner.report.notebook', 'planner.tables.plans',"
        " 'planner.page.html'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


@pytest.mark.filterwarnings("default")  # of the kernel's libraries, which are not ours
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    kinds = [
        {kind for output in cell.outputs for kind in output.get("data", {output.output_type: ""})}
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    html, svg = {"text/html", "text/plain"}, {"image/svg+xml", "text/plain"}
    assert kinds == [html, html, {"stream"}, html, html, svg, html, {"text/plain"}]
    assert (tmp_path / "report.html").is_file()
