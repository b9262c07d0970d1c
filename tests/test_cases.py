"""Golden plans: each file of tests/cases is asked on the command line, compared and checked.

decisions.json beside them has the whole decision of each (scripts/make_decisions.py).
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.make_decisions import CASES, FILE, decision
from tests.checker import document_faults
from tests.conftest import document_of, invoke
from tests.oracle import world_faults

DECISIONS = json.loads(FILE.read_text(encoding="utf-8"))
KEYS = {
    "arguments", "exit_code", "verdict", "chosen", "total_bytes", "allocated_bytes", "budget_bytes", "usable_bytes",
    "warnings", "reasons", "rejected", "rejected_at_most", "advice", "stock_fits",
}  # fmt: skip


def read(path: Path) -> dict[str, Any]:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(case) <= KEYS, f"misspelt: {set(case) - KEYS}"
    return case


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_golden_plan(path: Path) -> None:
    case = read(path)
    words = shlex.split(case["arguments"])
    plan = document_of(words)
    assert plan["exit_code"] == case["exit_code"]
    if "verdict" in case:
        assert plan["verdict"] in case["verdict"]
    _compare_choice(plan, case)
    _compare_words(plan, case)
    for key, said in (("budget_bytes", "total_bytes"), ("usable_bytes", "usable_bytes")):
        if key in case:
            assert plan["budget"][said] == case[key]
    if "stock_fits" in case:
        assert plan["stock"]["fits"] is case["stock_fits"]
    assert document_faults(plan) == []
    assert world_faults(plan) == []


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_whole_decision_is_what_it_was(path: Path) -> None:
    assert decision(read(path)["arguments"]) == DECISIONS[path.stem]


def test_every_case_has_its_decision() -> None:
    assert list(DECISIONS) == [path.stem for path in CASES]


def _compare_choice(plan: dict[str, Any], case: dict[str, Any]) -> None:
    if case["chosen"] is None:
        assert plan["chosen"] is None
        return
    assert plan["chosen"] is not None
    assert {name: plan["chosen"][name] for name in case["chosen"]} == case["chosen"]
    for name in ("total_bytes", "allocated_bytes"):
        if name in case:
            low, high = case[name]
            assert low <= plan["estimate"][name] <= high


def _compare_words(plan: dict[str, Any], case: dict[str, Any]) -> None:
    warnings = "\n".join(plan["warnings"])
    assert [words for words in case.get("warnings", ()) if words not in warnings] == []
    reasons = "\n".join(entry["reason"] for entry in plan["rejected"])
    assert [words for words in case.get("reasons", ()) if words not in reasons] == []
    advice = "\n".join(line["change"] for line in plan["try"])
    assert [words for words in case.get("advice", ()) if words not in advice] == []
    precisions = {entry["configuration"]["precision"] for entry in plan["rejected"]}
    assert set(case.get("rejected", ())) <= precisions
    if "rejected_at_most" in case:
        assert len(plan["rejected"]) <= case["rejected_at_most"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_text_says_what_the_document_says(path: Path) -> None:
    case = read(path)
    outcome = invoke(*shlex.split(case["arguments"]), "--explain")
    assert outcome.code == case["exit_code"]
    asked = [f"{words} is portrait" for words in ("1920x1080", "1024x576") if f" {words}" in case["arguments"]]
    assert [words for words in asked if words not in outcome.err] == []
    assert len(outcome.err.splitlines()) == len(asked)
    verdict = {"fits": "FITS", "tight": "TIGHT", "does_not_fit": "DOES NOT FIT"}
    plan = document_of(shlex.split(case["arguments"]))
    assert verdict[plan["verdict"]] in outcome.out
    assert f"{plan['budget']['total_bytes']:,} B" in outcome.out
    for words in (*plan["warnings"], *(line["command"] for line in plan["try"])):
        assert words in outcome.out
    if plan["chosen"]:
        chosen = plan["chosen"]
        name = f"{chosen['variant']} {chosen['version']} at {chosen['resolution'][0]}x{chosen['resolution'][1]}"
        assert name in outcome.out
        assert all(part["name"] in outcome.out for part in plan["estimate"]["components"])


def test_there_are_at_least_thirty_golden_plans() -> None:
    assert len(CASES) >= 30
