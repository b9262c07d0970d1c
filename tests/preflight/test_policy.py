"""Policies: rules, modes, exceptions with an end, and files that are none."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import planner
from planner.errors import FileError
from planner.nouns.words import POLICY_RULES
from planner.preflight.checks import FAIL, PASS, WARN
from planner.preflight.policy import read_policy
from tests.conftest import invoke, refusal

SOUND = """schema_version: 1
mode: enforce
minimum_quality: 79.0
maximum_bytes: 2GB
required_headroom: 10%
allowed_variants: [base_plus, large]
allowed_precisions: [autocast_bfloat16, float16]
"""
BREACHES = {
    "minimum_quality": "minimum_quality: 79.6",
    "maximum_bytes": "maximum_bytes: 1GB",
    "required_headroom": "required_headroom: 60%",
    "allowed_variants": "allowed_variants: [tiny, small]",
    "allowed_precisions": "allowed_precisions: [float32]",
}
TODAY = date(2026, 11, 25)


def held(tmp_path: Path, text: str, plan_path: Path, **asked: Any) -> planner.Preflight:
    policy = tmp_path / "policy.yaml"
    policy.write_text(text, encoding="utf-8")
    asked = {"vram": "3GB", "today": TODAY} | asked
    return planner.check(planner.Plan.load(plan_path), policy=policy, **asked)


def rules(found: planner.Preflight) -> dict[str, str]:
    prefix = "policy."
    return {c.name.removeprefix(prefix): c.status for c in found.checks if c.name.startswith(prefix)}


def test_a_plan_that_keeps_every_rule_passes(tmp_path: Path, plan_path: Path) -> None:
    found = held(tmp_path, SOUND, plan_path)
    assert rules(found) == dict.fromkeys(POLICY_RULES, PASS)
    assert (found.exit_code, found.policy_mode) == (0, "enforce")


@pytest.mark.parametrize("rule", POLICY_RULES)
def test_a_breach_is_exit_3_and_in_audit_a_warning(rule: str, tmp_path: Path, plan_path: Path) -> None:
    text = f"schema_version: 1\n{BREACHES[rule]}\n"
    found = held(tmp_path, text, plan_path)
    assert rules(found) == {rule: FAIL} and found.exit_code == 3
    check = found.checks[-1]
    assert check.action and check.figures
    audited = held(tmp_path, f"{text}mode: audit\n", plan_path)
    assert rules(audited) == {rule: WARN} and audited.exit_code == 0
    assert held(tmp_path, f"{text}mode: audit\n", plan_path, strict=True).exit_code == 4


@pytest.mark.parametrize("rule", POLICY_RULES)
def test_an_exception_holds_until_its_last_day(rule: str, tmp_path: Path, plan_path: Path) -> None:
    text = f"""schema_version: 1
{BREACHES[rule]}
exceptions:
  - {{rule: {rule}, until: 2026-11-25, reason: waiting for the new cards}}
"""
    found = held(tmp_path, text, plan_path)
    assert rules(found) == {rule: PASS} and found.exit_code == 0
    check = found.checks[-1]
    assert check.excepted is not None and "waiting for the new cards" in check.found
    late = held(tmp_path, text, plan_path, today=date(2026, 11, 26))
    assert rules(late) == {rule: FAIL} and late.exit_code == 3
    assert "ended on 2026-11-25" in late.checks[-1].found


def test_the_exception_that_lasts_longest_counts(tmp_path: Path, plan_path: Path) -> None:
    text = """schema_version: 1
maximum_bytes: 1GB
exceptions:
  - {rule: maximum_bytes, until: 2026-01-01, reason: old}
  - {rule: maximum_bytes, until: 2027-01-01, reason: renewed}
  - {rule: minimum_quality, until: 2030-01-01, reason: another rule}
"""
    assert "renewed" in held(tmp_path, text, plan_path).checks[-1].found


def test_bounds_that_only_the_upper_bound_breaks_are_warnings(tmp_path: Path, plan_path: Path) -> None:
    assert rules(held(tmp_path, "schema_version: 1\nmaximum_bytes: 1.3GB\n", plan_path)) == {"maximum_bytes": WARN}
    headroom = "schema_version: 1\nrequired_headroom: 1.7GB\n"
    assert rules(held(tmp_path, headroom, plan_path)) == {"required_headroom": WARN}


@given(st.integers(1_000_001, 4 * 10**9), st.integers(1_000_001, 4 * 10**9))
def test_a_laxer_limit_is_never_worse(one: int, other: int) -> None:
    import tempfile

    plan = planner.plan(vram="3GB", objects=10)
    order = (PASS, WARN, FAIL)
    found = []
    for limit in sorted((one, other)):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(f"schema_version: 1\nmaximum_bytes: {limit}\n")
            file.flush()
            found.append(rules(planner.check(plan, vram="3GB", policy=file.name))["maximum_bytes"])
    assert order.index(found[1]) <= order.index(found[0])


BROKEN = {
    "empty": ("", "empty"),
    "a list": ("- a", "mapping"),
    "no version": ("mode: audit", "schema_version"),
    "a later version": ("schema_version: 2", "schema_version"),
    "an unknown rule": ("schema_version: 1\nmaximum_byte: 2GB", "maximum_bytes"),
    "an unknown mode": ("schema_version: 1\nmode: warn", "enforce, audit"),
    "a size without a unit": ("schema_version: 1\nmaximum_bytes: '2'", "no unit"),
    "a size with a comma": ("schema_version: 1\nmaximum_bytes: 2,5GB", "not a size"),
    "a number too small": ("schema_version: 1\nmaximum_bytes: 8", "Give bytes"),
    "a size that is a list": ("schema_version: 1\nmaximum_bytes: [2GB]", "not a size"),
    "a quality beyond 100": ("schema_version: 1\nminimum_quality: 101", "0 to 100"),
    "quality in words": ("schema_version: 1\nminimum_quality: good", "0 to 100"),
    "headroom of everything": ("schema_version: 1\nrequired_headroom: 100%", "leaves nothing"),
    "headroom as a number": ("schema_version: 1\nrequired_headroom: 10", "not a headroom"),
    "an unknown variant": ("schema_version: 1\nallowed_variants: [huge]", "base_plus"),
    "no variant": ("schema_version: 1\nallowed_variants: []", "nothing obeys"),
    "variants as text": ("schema_version: 1\nallowed_variants: tiny", "list"),
    "an unknown precision": ("schema_version: 1\nallowed_precisions: [fp16]", "float16"),
    "an exception without an end": (
        "schema_version: 1\nexceptions: [{rule: maximum_bytes, reason: x}]", "'until'",
    ),
    "an exception without a reason": (
        "schema_version: 1\nexceptions: [{rule: maximum_bytes, until: 2026-01-01}]", "'reason'",
    ),
    "an exception from no rule": (
        "schema_version: 1\nexceptions: [{rule: memory, until: 2026-01-01, reason: x}]", "maximum_bytes",
    ),
    "a day that is none": (
        "schema_version: 1\nexceptions: [{rule: maximum_bytes, until: 2026-02-30, reason: x}]", "2026-12-31",
    ),
    "a day in words": (
        "schema_version: 1\nexceptions: [{rule: maximum_bytes, until: soon, reason: x}]", "2026-12-31",
    ),
    "an anchor": ("schema_version: &a 1", "anchors"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_broken_policy_names_line_and_remedy(text: str, expected: str, tmp_path: Path, plan_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    error = refusal(FileError, read_policy, path)
    assert error is not None
    assert "policy.yaml, line " in error.message and expected in str(error)
    outcome = invoke("check", str(plan_path), "--vram", "3GB", "--policy", str(path))
    assert (outcome.code, outcome.out) == (2, "")


def test_a_policy_without_a_gpu_still_judges_what_it_can(tmp_path: Path, plan_path: Path) -> None:
    from tests.preflight.machines import report

    machine = report(tmp_path, [], reasons={"gpus": "none"})
    found = held(tmp_path, SOUND, plan_path, vram=None, simulate_gpu=machine)
    assert rules(found) == {**dict.fromkeys(POLICY_RULES, PASS), "required_headroom": "skip"}
    assert found.exit_code == 1
