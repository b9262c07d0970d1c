"""`compare`: two plans side by side; the same is said to be the same, and nothing that differs is left out."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import planner
from planner.wire.comparison import COMPARISON
from tests.checker import Document
from tests.conftest import document_of, invoke, validate

PLANS: dict[str, dict[str, Any]] = {
    "tight": {"vram": "0.44GB", "objects": 10},
    "roomy": {"vram": "8GB"},
    "fewer alternatives": {"vram": "8GB", "top": 1},
    "strict": {"vram": "8GB", "strict": True},
    "explained": {"vram": "8GB", "explain": True},
    "nothing": {"vram": "0.2GB"},
    "nothing of a pin": {"vram": "0.6GB", "variant": "large", "resolution": 2048},
    "a picture on a T4": {"gpu": "T4", "task": "image", "headroom": "1GB"},
    "automatic masks": {"gpu": "RTX 4090", "task": "automask"},
    "a clip, fast": {"vram": "8GB", "frames": 5, "prefer": "speed", "frame_size": "720x1280"},
}


def compared(first: planner.Plan, second: planner.Plan) -> Document:
    document = COMPARISON.write(planner.compare(first, second))
    validate(document)
    return document


@pytest.mark.parametrize("asked", PLANS.values(), ids=PLANS)
def test_a_plan_and_itself_are_the_same(asked: dict[str, Any], tmp_path: Path) -> None:
    plan = planner.plan(**asked)
    found = compared(plan, planner.plan(**asked))
    assert found["equal"]
    assert (found["differences"], found["elsewhere"]) == ([], [])
    assert all(one["first_bytes"] == one["second_bytes"] for one in found["figures"] + found["components"])
    for name in ("a.yaml", "b.json"):
        plan.save(tmp_path / name)
    outcome = invoke("compare", str(tmp_path / "a.yaml"), str(tmp_path / "b.json"))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("The plans are the same: ")
    assert len(outcome.out.splitlines()) == 1


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(PLANS, 2)), ids=lambda name: name)
def test_two_plans_differ_both_ways_alike(one: str, other: str) -> None:
    first, second = planner.plan(**PLANS[one]), planner.plan(**PLANS[other])
    found, turned = compared(first, second), compared(second, first)
    assert not found["equal"]
    assert (found["first"], found["second"]) == (turned["second"], turned["first"])
    there = {(entry["section"], entry["name"]): (entry["first"], entry["second"]) for entry in found["differences"]}
    back = {(entry["section"], entry["name"]): (entry["second"], entry["first"]) for entry in turned["differences"]}
    assert there == back
    assert all(left != right for left, right in there.values())
    assert found["elsewhere"] == turned["elsewhere"]
    for name in ("figures", "components"):
        sizes = {entry["name"]: (entry["first_bytes"], entry["second_bytes"]) for entry in found[name]}
        assert sizes == {entry["name"]: (entry["second_bytes"], entry["first_bytes"]) for entry in turned[name]}
        for entry in found[name]:
            known = None not in sizes[entry["name"]]
            assert (entry["difference_bytes"] is not None) == known
            assert not known or entry["difference_bytes"] == entry["second_bytes"] - entry["first_bytes"]


@settings(max_examples=40)
@given(
    first=st.fixed_dictionaries({"vram": st.integers(4 * 10**8, 4 * 10**9), "objects": st.integers(1, 30)}),
    second=st.fixed_dictionaries({"vram": st.integers(4 * 10**8, 4 * 10**9), "objects": st.integers(1, 30)}),
)
def test_equal_is_the_same_document_and_the_figures_are_the_plans_own(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    plans = [planner.plan(**asked, top=1) for asked in (first, second)]
    found = compared(*plans)
    documents = [plan.to_dict() for plan in plans]
    assert found["equal"] == (documents[0] == documents[1])
    for side, document in zip(("first", "second"), documents, strict=True):
        assert found[side]["verdict"] == document["verdict"]
        estimate = document["estimate"]
        sizes = {entry["name"]: entry[f"{side}_bytes"] for entry in found["figures"]}
        parts = {entry["name"]: entry[f"{side}_bytes"] for entry in found["components"]}
        if estimate is None:
            assert set(sizes.values()) | set(parts.values()) <= {None}
            continue
        assert sizes["total"] == estimate["total_bytes"] == found[side]["total_bytes"] == sum(parts.values())
        assert sizes["upper bound"] == estimate["upper_bytes"]
        assert {part["name"]: part["bytes"] for part in estimate["components"]} == {
            name: size for name, size in parts.items() if size
        }


def test_what_differs_is_named_where_it_is() -> None:
    found = compared(planner.plan(**PLANS["tight"]), planner.plan(**PLANS["a picture on a T4"]))
    names = {(entry["section"], entry["name"]) for entry in found["differences"]}
    assert {("request", "task"), ("request", "objects"), ("budget", "gpu name"), ("decision", "verdict")} <= names
    assert {("chosen", "variant"), ("chosen", "quality"), ("limits", "max_objects")} <= names
    assert compared(planner.plan(**PLANS["roomy"]), planner.plan(**PLANS["fewer alternatives"]))["elsewhere"] == [
        "alternatives"
    ]
    explained = compared(planner.plan(**PLANS["roomy"]), planner.plan(**PLANS["explained"]))
    assert (explained["differences"], explained["elsewhere"]) == ([], ["explained"])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("tight", "roomy", ["TIGHT", "FITS", "+361 MB", "objects", "10", "upper bound", "Not the same either"]),
        ("tight", "nothing", ["DOES NOT FIT", "nothing fits 190 MB usable", "weights"]),
        ("roomy", "fewer alternatives", ["are the same", "alternatives"]),
        ("roomy", "a picture on a T4", ["budget: gpu capability", "7.5", "Tesla T4", "video", "image"]),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_text_sets_them_side_by_side(one: str, other: str, expected: list[str], tmp_path: Path) -> None:
    paths = [tmp_path / "one.yaml", tmp_path / "other.json"]
    for path, name in zip(paths, (one, other), strict=True):
        planner.plan(**PLANS[name]).save(path)
    outcome = invoke("compare", *map(str, paths))
    assert (outcome.code, outcome.err) == (0, "")
    assert [part for part in (*expected, "one.yaml", "other.json") if part not in outcome.out] == []
    assert max(map(len, outcome.out.splitlines())) < 130
    assert document_of(["compare", *map(str, paths)])["equal"] is False


def test_plans_of_the_same_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    for folder, vram in (("a", "2GB"), ("b", "8GB")):
        (tmp_path / folder).mkdir()
        planner.plan(vram=vram).save(tmp_path / folder / "plan.yaml")
    paths = [str(tmp_path / folder / "plan.yaml") for folder in ("a", "b")]
    out = invoke("compare", *paths).out
    assert all(path in out for path in paths)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "No such file"),
        ("", "empty"),
        ("just words", "mapping"),
        ('{"error": {"code": "usage", "message": "x", "hint": ""}}', "error"),
        ('{"schema_version": 1, "kind": "packing"}', "kind"),
    ],
)
def test_a_file_that_is_no_plan_is_exit_2(text: str | None, expected: str, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    planner.plan(vram="2GB").save(good)
    if text is not None:
        bad.write_text(text)
    for paths in ((good, bad), (bad, good)):
        outcome = invoke("compare", *map(str, paths))
        assert (outcome.code, outcome.out) == (2, "")
        assert "bad.yaml" in outcome.err
        assert expected in outcome.err
        assert invoke("compare", *map(str, paths), "--format", "json").document["error"]["code"] == "file"


@pytest.mark.parametrize(
    ("one", "other", "code"),
    [
        ("roomy", "roomy", 0),
        ("roomy", "fewer alternatives", 3),
        ("roomy", "tight", 4),
        ("roomy", "nothing", 4),
        ("nothing", "nothing", 0),
    ],
)
def test_the_exit_code_says_on_request_whether_they_differ(one: str, other: str, code: int, tmp_path: Path) -> None:
    paths = [tmp_path / "one.yaml", tmp_path / "other.yaml"]
    for path, name in zip(paths, (one, other), strict=True):
        planner.plan(**PLANS[name]).save(path)
    words = ("compare", *map(str, paths))
    assert invoke(*words, "--exit-code").code == code
    assert invoke(*words, "--exit-code", "--format", "json").code == code
    assert invoke(*words).code == 0
