"""The forms of a report, each read by a parser of that form that is not ours."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import junitparser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from sarif_pydantic import Sarif

import planner
from planner.preflight.checks import FAIL, PASS, SKIP, WARN, Check, preflight_document
from planner.report.junit import preflight_junit
from planner.report.markdown import preflight_markdown
from planner.report.preflight import preflight_report
from planner.report.sarif import preflight_sarif
from planner.report.text import Style
from tests.conftest import invoke, validate
from tests.preflight.machines import OTHER_TORCH, gpu, report

POLICY = """schema_version: 1
minimum_quality: 79.9
maximum_bytes: 1.5GB
allowed_variants: [tiny]
exceptions:
  - {rule: allowed_variants, until: 2999-01-01, reason: "large | until *then*"}
"""


@pytest.fixture
def words(plan_path: Path, tmp_path: Path) -> tuple[str, ...]:
    """A check with everything: passes, warnings, failures, an exception, and what was skipped."""
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    machine = report(tmp_path, [gpu(card_free_bytes=2_050_000_000)], {"torch": OTHER_TORCH})
    return ("check", str(plan_path), "--simulate-gpu", str(machine), "--policy", str(tmp_path / "policy.yaml"))


def document_of(words: tuple[str, ...]) -> dict[str, Any]:
    document = invoke(*words, "--format", "json").document
    assert {check["status"] for check in document["checks"]} == {PASS, WARN, FAIL, SKIP}
    return document


def test_json_says_what_the_text_says(words: tuple[str, ...]) -> None:
    document, text = document_of(words), invoke(*words)
    assert text.code == document["exit_code"] == 3
    flat = " ".join(text.out.split())
    for check in document["checks"]:
        option = re.search(r"\((--\w+)\)$", check["found"]) if check["status"] == SKIP else None
        assert check["name"] in text.out and (option[1] if option else " ".join(check["found"].split())) in flat
        assert check["action"] is None or " ".join(check["action"].split()) in flat
    assert sum(document["counts"].values()) == len(document["checks"])


def test_one_line_of_json_is_the_last_of_stdout(words: tuple[str, ...]) -> None:
    alone = invoke(*words, "--format", "json", "--oneline")
    assert alone.out.count("\n") == 1 and alone.out.endswith("\n")
    assert json.loads(alone.out) == document_of(words)
    for form in ("text", "markdown", "junit"):
        both = invoke(*words, "--format", form, "--oneline")
        *rest, last = both.out.splitlines()
        assert json.loads(last) == document_of(words) and len(rest) > 5
    failed = invoke("check", "none.yaml", "--oneline")
    assert failed.code == 2 and failed.out.count("\n") == 1
    validate(json.loads(failed.out))


def test_markdown_is_one_table_that_renders(words: tuple[str, ...]) -> None:
    document = document_of(words)
    html = MarkdownIt("commonmark").enable("table").render(invoke(*words, "--format", "markdown").out)
    tables = re.findall(r"<table>.*?</table>", html, re.DOTALL)
    assert len(tables) == 2
    rows = [re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in tables[0].split("<tr>")[2:]]
    assert [re.sub("<.*?>", "", row[1]) for row in rows] == [check["name"] for check in document["checks"]]
    assert all(len(row) == 4 for row in rows)
    assert [unescaped(row[2]) for row in rows] == [" ".join(check["found"].split()) for check in document["checks"]]
    assert "<em>" not in tables[0], "what was found is text, not markup"


def unescaped(html: str) -> str:
    for entity, letter in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        html = html.replace(entity, letter)
    return html


def test_sarif_is_read_by_its_own_model(words: tuple[str, ...]) -> None:
    document = document_of(words)
    text = invoke(*words, "--format", "sarif").out
    (run,) = Sarif.model_validate_json(text).runs
    assert [rule.id for rule in run.tool.driver.rules] == [c["name"].replace(" ", "-") for c in document["checks"]]
    levels = {WARN: "warning", FAIL: "error"}
    raw = json.loads(text)["runs"][0]["results"]
    # Scanners show every result as a problem: what passes or is skipped is a rule without one.
    shown = [check for check in document["checks"] if check["status"] in levels or check["exception"]]
    assert len({check["status"] for check in document["checks"]}) == 4 and len(shown) < len(document["checks"])
    for result, check, plain in zip(run.results, shown, raw, strict=True):
        assert run.tool.driver.rules[result.rule_index].id == result.rule_id
        assert check["found"] in result.message.text
        if check["exception"]:
            (suppression,) = plain["suppressions"]
            assert (plain["level"], suppression["status"]) == ("note", "accepted")
            assert "until 2999-01-01" in suppression["justification"]
        else:
            assert plain["level"] == levels[check["status"]] and "suppressions" not in plain
    assert json.loads(text)["runs"][0]["invocations"][0]["exitCode"] == 3


def test_junit_is_read_by_junitparser(words: tuple[str, ...]) -> None:
    document = document_of(words)
    xml = junitparser.JUnitXml.fromstring(invoke(*words, "--format", "junit").out.encode())
    (suite,) = list(xml)
    cases = list(suite)
    assert [case.name for case in cases] == [check["name"] for check in document["checks"]]
    counts = document["counts"]
    assert (suite.tests, suite.failures, suite.skipped) == (len(cases), counts[FAIL], counts[SKIP])
    for case, check in zip(cases, document["checks"], strict=True):
        assert case.is_failure == (check["status"] == FAIL) and case.is_skipped == (check["status"] == SKIP)
        if check["status"] == WARN:
            assert case.system_out.startswith("warning: ")


def test_reports_are_saved_by_their_endings_before_a_non_zero_exit(words: tuple[str, ...], tmp_path: Path) -> None:
    names = ("r.txt", "r.json", "r.md", "r.sarif", "r.xml")
    saves = [part for name in names for part in ("-o", str(tmp_path / name))]
    outcome = invoke(*words, *saves, tty=True)
    assert outcome.code == 3
    assert json.loads((tmp_path / "r.json").read_text()) == document_of(words)
    assert (tmp_path / "r.txt").read_text().startswith(f"{words[1]}: the plan does not hold")
    assert "\x1b" in outcome.out and "\x1b" not in (tmp_path / "r.txt").read_text()
    Sarif.model_validate_json((tmp_path / "r.sarif").read_text())
    assert junitparser.JUnitXml.fromfile(str(tmp_path / "r.xml"))
    assert "| check |" in (tmp_path / "r.md").read_text()


def test_a_report_that_cannot_be_saved_costs_neither_the_others_nor_the_verdict(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    saves = ("-o", str(tmp_path / "no" / "r.json"), "-o", str(tmp_path / "r.xml"))
    outcome = invoke(*words, *saves)
    assert outcome.code == 3 and "cannot be written" in outcome.err and "does not hold" in outcome.out
    assert junitparser.JUnitXml.fromfile(str(tmp_path / "r.xml"))
    holds = invoke("check", words[1], "--vram", "8GB", *saves)
    assert holds.code == 1 and "cannot be written" in holds.err and "the plan holds" in holds.out


ANY_TEXT = st.text(max_size=40) | st.sampled_from(
    ["]]>", "<b>&amp;", "a|b", "`x`", "line\nbreak", "\x00\x1b[31m", "\ud800", "*_~#", "\\", "'\"", "--", "\ufffe"]
)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_whatever_was_found_stays_readable_in_every_form(name: str, found: str, action: str) -> None:
    from dataclasses import replace

    sound = planner.check(planner.plan(vram="3GB"), vram="3GB")
    checks = [
        Check(name="memory", status=status, found=found, action=action, figures={"x_bytes": 1})
        for status in (PASS, WARN, FAIL, SKIP)
    ]
    any_found = replace(sound, checks=tuple(checks), name=name or "p")

    def clean(text: str) -> str:
        return text.encode("utf-8", "replace").decode("utf-8")

    validate(json.loads(clean(json.dumps(preflight_document(any_found), ensure_ascii=False))))
    xml = junitparser.JUnitXml.fromstring(clean(preflight_junit(any_found)).encode())
    assert [case.is_failure for case in next(iter(xml))] == [False, False, True, False]
    run = Sarif.model_validate_json(clean(json.dumps(preflight_sarif(any_found), ensure_ascii=False))).runs[0]
    assert [result.level.value for result in run.results] == ["warning", "error"]
    html = MarkdownIt("commonmark").enable("table").render(clean(preflight_markdown(any_found)))
    first = re.findall(r"<table>.*?</table>", html, re.DOTALL)[0]
    assert first.count("<td>") == 16, "four checks of four cells, whatever they hold"
    assert preflight_report(any_found, Style())


@pytest.mark.parametrize("path", ["plan.yaml", "a b/plan é.yaml", "/tmp/x y/plan.yaml", "../plan.yaml"])
def test_sarif_names_the_plan_by_a_uri(path: str) -> None:
    from dataclasses import replace

    found = replace(planner.check(planner.plan(vram="3GB"), vram="0.7GB"), name=path)
    (location,) = preflight_sarif(found)["runs"][0]["results"][0]["locations"]
    uri = location["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.isascii() and " " not in uri
    assert unquote(urlparse(uri).path) == path


def test_the_schema_refuses_a_document_without_one_of_its_keys(words: tuple[str, ...]) -> None:
    import jsonschema

    sound = document_of(words)
    for key in sound:
        with pytest.raises((jsonschema.ValidationError, KeyError)):
            validate({name: value for name, value in sound.items() if name != key})
