"""The fit: the committed coefficients come from the shipped profiles, and held-out rows say how good they are."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from planner.catalog import load_catalog
from planner.errors import PlannerError
from planner.locations import profiles_folder
from planner.memory_model import MemoryModel
from planner.memory_model.coefficients import load_coefficients
from planner.memory_model.fitting import coefficients_text, fit, judge_fitted, judge_held_out, rows_of
from planner.profiles import load_folder
from tests.conftest import ROOT, invoke

ROWS = rows_of(load_folder(profiles_folder() / "published"))
CATALOG = load_catalog()


def test_the_committed_coefficients_are_what_the_profiles_give() -> None:
    committed = (profiles_folder() / "memory_model.yaml").read_text(encoding="utf-8")
    shipped = load_coefficients()
    remade = fit(ROWS, CATALOG, shipped.profiles, shipped.memory_model)
    assert coefficients_text(remade) == committed
    assert remade == shipped


def test_the_script_says_so_too() -> None:
    command = [sys.executable, "scripts/fit_memory_model.py", "--check"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_only_rows_meant_for_it_are_fitted_to() -> None:
    assert len(ROWS) == 12
    assert {row.metric for row in ROWS} == {"allocated", "total"}
    assert all(row.figure.of == "peak" and row.figure.relation == "equal" for row in ROWS)


def test_no_coefficient_is_negative() -> None:
    c = load_coefficients()
    values = (c.constant_bytes, c.step_bytes, c.per_pixel_bytes, c.per_pixel_channel_bytes, c.reserve_ratio)
    margins = (c.margin_measured, c.margin_unmeasured, c.margin_beyond, c.margin_overhead)
    assert min(*values, *margins) >= 0
    assert c.context_bytes > 135 * 2**20


def test_fitted_rows_come_back() -> None:
    judged = judge_fitted(ROWS, MemoryModel())
    assert {one.row.id for one in judged} == {row.id for row in ROWS}
    assert max(abs(one.error) for one in judged) <= 0.05
    assert max(abs(one.error) for one in judged if one.row.metric == "allocated") <= 0.03


@pytest.mark.parametrize("by", ["row", "variant", "resolution"])
def test_every_row_is_judged_by_a_model_that_never_saw_its_group(by: str) -> None:
    judged = judge_held_out(ROWS, CATALOG, by)
    expected = [row for row in ROWS if by != "resolution" or row.metric == "allocated"]
    assert sorted(one.row.id for one in judged) == sorted(row.id for row in expected)
    fitted = {one.row.id: abs(one.error) for one in judge_fitted(ROWS, MemoryModel())}
    assert sum(abs(one.error) for one in judged) > sum(fitted[row.id] for row in expected), "held out is harder"


def test_leaving_one_row_out_is_done_by_hand_the_same() -> None:
    for left_out in (ROWS[0], ROWS[4], ROWS[8]):
        rest = [row for row in ROWS if row.id != left_out.id]
        model = MemoryModel(fit(rest, CATALOG, (), "without one"), CATALOG)
        predicted = model.totals(left_out.configuration, left_out.workload).allocated
        judged = next(one for one in judge_held_out(ROWS, CATALOG, "row") if one.row.id == left_out.id)
        assert judged.predicted_bytes == predicted


def test_the_margins_cover_what_was_held_out() -> None:
    model = MemoryModel()
    for one in judge_held_out(ROWS, CATALOG, "variant"):
        totals = model.totals(one.row.configuration, one.row.workload)
        outside = totals.total - totals.allocated if one.row.metric == "allocated" else 0
        assert totals.upper >= one.row.figure.bytes + outside


def test_too_few_rows_are_refused() -> None:
    for rows in ([], ROWS[:3], [row for row in ROWS if row.metric == "allocated"]):
        with pytest.raises(PlannerError, match="too few") as caught:
            fit(rows, CATALOG, (), "too few")
        assert caught.value.hint


def test_the_order_of_the_rows_does_not_matter() -> None:
    shipped = load_coefficients()
    turned = fit(ROWS[::-1], CATALOG, shipped.profiles, shipped.memory_model)
    assert coefficients_text(turned) == coefficients_text(shipped)


def test_accuracy_reports_the_leave_one_out_error() -> None:
    outcome = invoke("accuracy")
    assert (outcome.code, outcome.err) == (0, "")
    for words in ("row", "variant", "resolution", "%"):
        assert words in outcome.out
    document = invoke("accuracy", "--format", "json").document
    assert document["kind"] == "accuracy"
