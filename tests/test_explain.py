"""--explain: every candidate class with its rank, its bytes, and what decided about it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import planner
from planner.nouns.words import PRECISIONS, VARIANTS, VERSIONS
from tests.checker import RECIPE, Document, label
from tests.conftest import document_of, invoke, validate
from tests.published import quality

REQUESTS = st.fixed_dictionaries(
    {
        "vram": st.integers(4 * 10**8, 4 * 10**9),
        "objects": st.sampled_from((1, 10, 300)),
        "prefer": st.sampled_from(("quality", "speed", "balanced")),
        "variant": st.none() | st.sampled_from(VARIANTS),
        "precision": st.none() | st.sampled_from(PRECISIONS),
        "frame_size": st.sampled_from(((1080, 1920), (720, 720), (2160, 3840))),
        "headroom": st.sampled_from(("auto", "none")),
    }
)


def components(plan: Document, configuration: Document) -> dict[str, int]:
    """Bytes by component, predicted anew."""
    gpu, request = plan["budget"]["gpu"], plan["request"]
    names = ("variant", "version", "precision", "attention", "object_batch", "offload_state")
    estimate = planner.predict(
        task=request["task"],
        objects=request["objects"],
        frame_size=tuple(request["frame_size"]),
        resolution=tuple(configuration["resolution"]),
        gpu=gpu["name"] if gpu else None,
        vram=None if gpu else plan["budget"]["total_bytes"],
        **{name: configuration[name] for name in names},
    )
    return {part.name: part.bytes for part in estimate.components}


@settings(max_examples=15)
@given(asked=REQUESTS)
def test_every_class_is_explained_once_and_in_order(asked: dict[str, Any]) -> None:
    plan = planner.plan(**asked, explain=True).to_dict()
    validate(plan)
    explained = plan["explained"]
    assert [one["rank"] for one in explained] == list(range(1, len(explained) + 1))
    classes = {label(one["configuration"]) for one in explained}
    assert len(classes) == len(explained)
    open_ones = itertools.product(
        [asked["variant"]] if asked["variant"] else VARIANTS,
        VERSIONS,
        [asked["precision"]] if asked["precision"] else PRECISIONS,
    )
    assert len(explained) == len(list(open_ones)) * len({str(one["configuration"]["resolution"]) for one in explained})
    usable = plan["budget"]["usable_bytes"]
    for one in explained:
        need = one["need_bytes"]
        assert need <= one["total_bytes"] == sum(components(plan, one["configuration"]).values())
        assert one["limit_bytes"] == usable
        assert (one["outcome"] in ("chosen", "fits")) == (need <= usable)
        assert one["short_by_bytes"] == (need - usable if need > usable else None)
        assert one["left_bytes"] == (max(0, usable - one["total_bytes"]) if need <= usable else None)
        assert one["reason"]


@settings(max_examples=15)
@given(asked=REQUESTS)
def test_what_stands_above_the_choice_was_rejected_or_fits_only_tightly(asked: dict[str, Any]) -> None:
    plan = planner.plan(**asked, explain=True).to_dict()
    fitting = [one for one in plan["explained"] if one["outcome"] in ("chosen", "fits")]
    if plan["chosen"] is None:
        assert fitting == []
        return
    (chosen,) = (one for one in fitting if one["outcome"] == "chosen")
    assert chosen["configuration"] == {name: plan["chosen"][name] for name in chosen["configuration"]}
    need, total, upper = (chosen[f"{name}_bytes"] for name in ("need", "total", "upper"))
    assert (need, total, upper) == tuple(plan["estimate"][f"{name}_bytes"] for name in ("least", "total", "upper"))
    above = plan["explained"][: chosen["rank"] - 1]
    assert {one["lost_by"] for one in above if one["outcome"] == "fits"} <= {"certainty"}
    shared = ("configuration", "need_bytes", "total_bytes", "limit_bytes", "short_by_bytes")
    assert [[one[name] for name in shared] for one in above if one["outcome"] != "fits"] == [
        [one[name] for name in shared] for one in plan["rejected"]
    ]
    sizes = {(one["configuration"]["variant"], *one["configuration"]["resolution"]) for one in fitting}
    others = [entry["chosen"] for entry in plan["alternatives"]]
    assert {(other["variant"], *other["resolution"]) for other in others} <= sizes


@settings(max_examples=15)
@given(asked=REQUESTS)
def test_without_what_broke_it_a_class_fits_or_has_come_closest_to_it(asked: dict[str, Any]) -> None:
    plan = planner.plan(**asked, explain=True).to_dict()
    explained, usable = plan["explained"], plan["budget"]["usable_bytes"]
    other = plan["chosen"] or min(explained, key=lambda one: one["need_bytes"])["configuration"]
    compared = components(plan, other)
    for one in explained:
        if one["outcome"] != "does_not_fit":
            assert (one["component"], one["component_bytes"], one["excess_bytes"]) == (None, None, None)
            continue
        parts = components(plan, one["configuration"])
        steps = {name: size - compared.get(name, 0) for name, size in parts.items()}
        assert one["component_bytes"] == parts[one["component"]]
        if one["excess_bytes"] is None:
            assert plan["chosen"] is None or plan["estimate"]["total_bytes"] > usable
            assert max(steps.values()) <= 0
            assert parts[one["component"]] == max(parts.values())
            continue
        assert one["excess_bytes"] == steps[one["component"]]
        assert one["need_bytes"] - one["excess_bytes"] <= usable or one["excess_bytes"] == max(steps.values())


@settings(max_examples=20)
@given(vram=st.integers(6 * 10**8, 4 * 10**9), objects=st.sampled_from((1, 50)))
def test_what_fits_lost_by_what_is_published(vram: int, objects: int) -> None:
    plan = planner.plan(vram=vram, objects=objects, explain=True).to_dict()
    winner = plan["chosen"]

    def worth(configuration: Document, upper_bytes: int) -> tuple[bool, float, bool, int]:
        size = tuple(configuration["resolution"])
        estimate, value = quality(configuration["variant"], configuration["version"], size)
        tight = upper_bytes > plan["budget"]["usable_bytes"]
        return estimate, -value, tight, RECIPE.index(configuration["precision"])

    names = ("published", "accuracy", "certainty", "precision")
    for one in plan["explained"]:
        if one["outcome"] != "fits":
            assert one["lost_by"] is None
            continue
        best = worth(winner, plan["estimate"]["upper_bytes"])
        pairs = zip(names, best, worth(one["configuration"], one["upper_bytes"]), strict=True)
        expected = next((name for name, better, worse in pairs if better < worse), None)
        assert one["lost_by"] == expected or (expected is None and one["lost_by"] in ("speed", "bytes", "order"))


@pytest.mark.parametrize(
    ("words", "lost"),
    [
        (("--vram", "6GB", "--prefer", "speed"), {"speed", "precision", "accuracy"}),
        (("--vram", "6GB", "--prefer", "balanced"), {"balance", "precision"}),
    ],
    ids=["speed", "balanced"],
)
def test_each_preference_has_its_own_ways_to_lose(words: tuple[str, ...], lost: set[str]) -> None:
    found = {one["lost_by"] for one in document_of([*words, "--explain"])["explained"] if one["outcome"] == "fits"}
    assert lost <= found <= lost | {"order", "bytes"}


def test_the_weights_break_large_on_a_small_card() -> None:
    plan = planner.plan(vram="0.5GB", objects=10, explain=True)
    assert plan.chosen is not None
    assert plan.explained is not None
    first = plan.explained[0]
    assert (first.configuration.variant, first.component) == ("large", "weights")
    parameters = {"large": 224_430_000, "base_plus": 80_830_000}
    excess = (parameters["large"] - parameters[plan.chosen.variant]) * 2
    assert first.excess_bytes == pytest.approx(excess, rel=0.01)
    assert "weights: 287 MB more than in the choice" in first.reason


def test_what_the_gpu_cannot_run_is_said_to_lack_the_capability() -> None:
    plan = document_of(["--gpu", "T4", "--explain"])
    unsupported = [one for one in plan["explained"] if one["outcome"] == "unsupported"]
    assert {one["configuration"]["precision"] for one in unsupported} == {"autocast_bfloat16", "bfloat16"}
    for one in unsupported:
        assert (one["need_bytes"], one["component"], one["short_by_bytes"]) == (None, "capability", None)
        assert "8.0" in one["reason"]
    nothing = document_of(["--gpu", "T4", "--attention", "flash", "--explain"])
    assert {one["outcome"] for one in nothing["explained"]} == {"unsupported"}


@pytest.mark.parametrize("vram", ["0.2GB", "0.8GB", "6GB"])
def test_without_explain_the_plan_is_the_same_but_for_the_explanation(vram: str) -> None:
    plain, explained = planner.plan(vram=vram), planner.plan(vram=vram, explain=True)
    assert plain.explained is None
    assert plain.to_dict() == {**explained.to_dict(), "explained": None}


@pytest.mark.parametrize("vram", ["0.2GB", "0.8GB"])
def test_an_explained_plan_loads_as_it_was(vram: str, tmp_path: Path) -> None:
    plan = planner.plan(vram=vram, objects=10, explain=True)
    plan.save(tmp_path / "plan.json")
    assert planner.Plan.load(tmp_path / "plan.json") == plan
    text = (tmp_path / "plan.json").read_text()
    (tmp_path / "plan.json").write_text(text.replace('"outcome": "does_not_fit"', '"outcome": "chosen"', 1))
    with pytest.raises(planner.PlannerError, match="explained"):
        planner.Plan.load(tmp_path / "plan.json")


@pytest.mark.parametrize(
    "words",
    [
        ("--vram", "0.8GB", "--objects", "10"),
        ("--vram", "0.2GB"),
        ("--vram", "6GB", "--prefer", "speed"),
        ("--gpu", "T4"),
        ("--gpu", "T4", "--attention", "flash"),
        ("--vram", "6GB", "--task", "automask", "--prefer", "balanced"),
        ("--vram", "6GB", "--variant", "tiny", "--resolution", "512", "--precision", "float16", "--version", "2.0"),
    ],
    ids=" ".join,
)
def test_the_text_marks_the_choice_and_stays_short(words: tuple[str, ...]) -> None:
    outcome = invoke(*words, "--explain")
    lines = outcome.out.splitlines()
    assert len(lines) < 85  # limits, the host and the way to the weights take some lines
    assert max(map(len, lines)) < 175
    plan = document_of([*words, "--explain"])
    marked = [line for line in lines if line.lstrip().startswith("> ")]
    if plan["chosen"] is None:
        assert marked == []
        return
    assert len(marked) == 1
    chosen = plan["chosen"]
    assert f"{chosen['variant']} {chosen['version']} at {chosen['resolution'][0]}x" in marked[0]
    assert chosen["precision"] in marked[0]
