"""What rehearsals and runs found, beside the plan: each figure of theirs, with its difference, and nothing more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import planner
from planner.api.confirm import confirm
from planner.errors import FileError, UsageError
from tests.conftest import ROOT, invoke, refusal
from tests.page.browser import Sight
from tests.page.test_report import data_of
from tests.test_confirm import MB, measured

REHEARSAL = ROOT / "tests" / "data" / "rehearsal.json"
"""What `sam2-plan rehearse plan.yaml --gpu "RTX 3060" --format json` printed for a plan of --vram 6GB."""
FOUND = """() => [...document.querySelectorAll("#found tbody tr")].map((row) => [row.querySelector("th").textContent,
  ...[...row.querySelectorAll("td")].slice(0, 2).map((cell) => cell.firstChild.value ?? cell.textContent)])"""


def rows_of(document: dict[str, Any]) -> list[list[str]]:
    """Names with what was predicted and what was found, as the page lists them."""
    named = [(one["name"], one) for one in document["components"]]
    named += [(f"phase {one['name']}", one) for one in document["phases"]]
    return [[name, said(one["predicted_bytes"]), said(one["found_bytes"])] for name, one in named]


def said(size: int | None) -> str:
    return "not known" if size is None else str(size)


def test_a_rehearsal_and_a_confirmation_stand_beside_the_plan(chromium: Any, tmp_path: Path) -> None:
    plan = planner.plan(vram="6GB")
    confirmation = confirm(plan, run=lambda trial: measured(1300 * MB), record=False)
    page = planner.save_report([plan, REHEARSAL, confirmation], tmp_path / "page.html")
    rehearsed, confirmed = (one["document"] for one in data_of(page)["found"])
    with Sight(chromium, page) as sight:
        rows = sight.page.evaluate(FOUND)
        heads = sight.page.locator("#found h3").all_inner_texts()
    assert heads[0] == "rehearsal.json: Rehearsed on an imaginary GeForce RTX 3060 8 GB"
    assert heads[1].startswith("confirmation 3: Measured on ")
    bound = ["upper bound", str(rehearsed["predicted"]["upper_bytes"]), "kept"]
    other = ["upper bound", str(confirmed["upper_bytes"]), "kept" if confirmed["within_upper_bound"] else "exceeded"]
    assert rows == [*rows_of(rehearsed), bound, *rows_of(confirmed), other]
    assert sight.said == []


def test_what_was_found_needs_a_plan_beside_it_and_is_checked(tmp_path: Path) -> None:
    assert refusal(UsageError, planner.save_report, REHEARSAL, tmp_path / "page.html") is not None
    broken = json.loads(REHEARSAL.read_text())
    broken["phases"][0]["found_bytes"] = "<b>many</b>"
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    planner.plan(vram="6GB").save(tmp_path / "plan.yaml")
    error = refusal(FileError, planner.save_report, [tmp_path / "plan.yaml", tmp_path / "broken.json"], tmp_path / "p")
    assert error is not None
    assert "found_bytes" in error.message
    words = (str(tmp_path / "plan.yaml"), str(REHEARSAL), "-o", str(tmp_path / "page.html"))
    assert ": 1 plan and 1 run beside, " in invoke("report", *words).out
