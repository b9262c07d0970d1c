"""`need`: planning with exactly the budget that is named fits, and with one byte less it does not."""

from __future__ import annotations

import math
import shlex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import planner
from planner.catalog.gpus import known_gpus
from planner.nouns.words import PRECISIONS, VARIANTS
from tests.checker import Document
from tests.conftest import document_of, invoke
from tests.test_limits_command import words_of

HEADROOMS = ("auto", "none", "12.345678%", "45%", "100MB")
ASKED = st.fixed_dictionaries(
    {
        "objects": st.sampled_from((1, 1, 3, 40, 2000)),
        "frame_size": st.sampled_from(((1080, 1920), (2160, 3840), (500, 500))),
        "headroom": st.sampled_from(HEADROOMS),
        "variant": st.none() | st.sampled_from(VARIANTS),
        "precision": st.none() | st.sampled_from(PRECISIONS),
        "resolution": st.none() | st.sampled_from(((576, 1024), (2048, 2048))),
        "attention": st.sampled_from((None, None, "math", "efficient")),
    }
)


def usable(total_bytes: int, headroom: Document) -> int:
    held = headroom["fixed_bytes"] + math.ceil(total_bytes * headroom["percent"] / 100)
    return total_bytes - min(total_bytes, held)


def pins_of(configuration: Document) -> dict[str, Any]:
    names = ("variant", "version", "precision")
    return {**{name: configuration[name] for name in names}, "resolution": tuple(configuration["resolution"])}


@settings(max_examples=15)
@given(asked=ASKED, task=st.sampled_from(("video", "video", "image", "automask")), more=st.integers(1, 10**11))
def test_the_budget_has_a_plan_and_one_byte_less_has_none(asked: dict[str, Any], task: str, more: int) -> None:
    asked = asked | {"task": task, "objects": 1 if task == "automask" else asked["objects"]}
    answer = document_of(["need", "--top", "0", *words_of(asked)])
    for need in answer["needs"]:
        request = asked | pins_of(need["configuration"]) | {"top": 0}

        def plan(vram: int, request: dict[str, Any] = request) -> planner.Plan:
            return planner.plan(**request, vram=vram)

        fits, sure, preferred = (need[f"{name}budget_bytes"] for name in ("", "sure_", "preferred_"))
        assert fits <= sure <= preferred
        # A byte more may be of larger cards, whose contexts take less.
        assert 0 <= usable(fits, answer["headroom"]) - need["need_bytes"] < 2**28
        assert 0 <= usable(sure, answer["headroom"]) - need["upper_bytes"] < 2**28
        assert plan(fits).fits
        assert not plan(fits - 1).fits
        assert plan(sure).verdict == "fits"
        assert plan(sure - 1).verdict != "fits"
        batch = plan(sure).chosen.configuration.object_batch  # type: ignore[union-attr]
        # A pass of several objects that was rehearsed may be known better than one of one that was not.
        assert batch >= need["sure_configuration"]["object_batch"] and (task == "video" or batch <= 64)
        assert plan(preferred).verdict == plan(preferred + more).verdict == "fits"
        assert plan(preferred).chosen.configuration == plan(preferred + more).chosen.configuration  # type: ignore[union-attr]


@settings(max_examples=20)
@given(asked=ASKED)
def test_the_smallest_is_the_least_that_the_pins_leave_open(asked: dict[str, Any]) -> None:
    smallest = planner.need(**asked, top=0).needs[0]
    assert smallest.budget_bytes is not None
    assert planner.plan(**asked, vram=smallest.budget_bytes).fits
    assert not planner.plan(**asked, vram=smallest.budget_bytes - 1).fits
    assert smallest.budget_bytes == planner.plan(**asked, vram="1000GB", top=0).limits.smallest_total_bytes
    for name in ("variant", "precision", "resolution"):
        assert asked[name] in (None, getattr(smallest.configuration, name))


@settings(max_examples=20)
@given(
    asked=ASKED,
    task=st.sampled_from(("video", "video", "image", "automask")),
    frames=st.integers(1, 3000),
    more=st.integers(0, 10**9),
)
def test_a_stock_budget_is_what_predict_says(asked: dict[str, Any], task: str, frames: int, more: int) -> None:
    asked = asked | {"task": task, "objects": 1 if task == "automask" else asked["objects"]}
    asked["frames"] = frames if task == "video" else None
    if asked["resolution"] == (576, 1024):
        asked["resolution"] = None
    answer = document_of(["need", "--runtime", "stock", "--top", "0", *words_of(asked)])
    for need in answer["needs"]:
        known = {name: asked[name] for name in ("task", "objects", "frames", "frame_size")}
        known["attention"] = asked["attention"] or "auto"
        known["object_batch"] = asked["objects"] if task == "image" else None

        def predicted(vram: int, need: Document = need, known: dict[str, Any] = known) -> planner.Estimate:
            """On a card of that size, which says what the context takes."""
            return planner.predict(**known, **pins_of(need["configuration"]), runtime="stock", vram=vram)

        fits, sure = need["budget_bytes"], need["sure_budget_bytes"]
        assert (need["need_bytes"], need["upper_bytes"]) == (predicted(fits).least_bytes, predicted(sure).upper_bytes)
        assert need["total_bytes"] == predicted(fits).total_bytes
        for budget, name in ((fits, "least_bytes"), (sure, "upper_bytes")):
            assert usable(budget, answer["headroom"]) >= getattr(predicted(budget), name)
            assert usable(budget - 1, answer["headroom"]) < getattr(predicted(budget - 1), name)
        assert need["command"] is None
        assert need["reasons"]["command"]


@pytest.mark.parametrize(
    "words",
    [
        ("--variant", "large", "--objects", "50"),
        ("--task", "image", "--variant", "large", "--resolution", "2048", "--precision", "float16"),
        ("--task", "automask", "--headroom", "12.345678%"),
        ("--headroom", "none", "--attention", "math"),
        ("--frames", "7", "--frame-size", "2160x3840", "--headroom", "400MB"),
    ],
    ids=" ".join,
)
def test_the_command_of_each_row_plans_with_exactly_that(words: tuple[str, ...]) -> None:
    for need in document_of(["need", "--top", "0", *words])["needs"]:
        program, *rest = shlex.split(need["command"])
        plan = document_of(rest)
        assert program == "sam2-plan"
        assert plan["verdict"] in ("fits", "tight")
        assert plan["budget"]["total_bytes"] == need["budget_bytes"]
        assert plan["budget"]["usable_bytes"] == need["need_bytes"] == plan["estimate"]["least_bytes"]
        assert need["total_bytes"] == plan["estimate"]["total_bytes"]
        assert {name: plan["chosen"][name] for name in need["configuration"]} == need["configuration"]


@pytest.mark.parametrize(
    "asked",
    [
        {"variant": "large", "objects": 50},
        {"variant": "large", "precision": "float16", "headroom": "none"},
        {"task": "automask", "variant": "tiny", "frame_size": "2160x3840", "headroom": "500MB"},
        {"attention": "flash"},
        {},
    ],
    ids=str,
)
def test_each_card_has_the_verdict_of_a_plan_for_it(asked: dict[str, Any]) -> None:
    needed = planner.need(**asked, top=1000)
    assert needed.further_cards == 0
    sizes = [(group.total_bytes, group.verdict) for group in needed.cards]
    assert sizes == sorted(set(sizes)) or sorted(sizes, key=lambda pair: pair[0]) == sizes
    verdicts = {name: group.verdict for group in needed.cards for name in group.names}
    one = needed.cards_for.configuration
    pins = {"variant": one.variant, "precision": one.precision, "resolution": one.resolution, "version": one.version}
    cards = known_gpus()
    for card in (*cards[::40], *(card for card in cards if card.total_bytes <= 2 * 10**9)):
        plan = planner.plan(**(asked | pins), gpu=card.name, top=0)
        if plan.budget.gpu == card:
            assert verdicts.get(card.name, "does_not_fit") == plan.verdict, card.name


def test_top_says_how_many_sizes_of_cards_are_listed() -> None:
    known = {top: document_of(["need", "--variant", "large", "--top", str(top)]) for top in (0, 2, 1000)}
    assert [len(answer["cards"]) for answer in known.values()][:2] == [0, 2]
    everything = sum(len(group["names"]) for group in known[1000]["cards"])
    assert known[2]["further_cards"] + sum(len(group["names"]) for group in known[2]["cards"]) == everything
    assert known[2]["cards"] == known[1000]["cards"][:2]
    assert everything > 100


def test_what_no_card_has_is_null_with_a_reason() -> None:
    answer = document_of(["need", "--objects", "1000000000", "--variant", "tiny", "--top", "0"])
    for need in answer["needs"]:
        assert need["preferred_budget_bytes"] is None
        assert "no card" in need["reasons"]["preferred_budget_bytes"]
        assert need["budget_bytes"] is not None, "the memory bank goes to the host"
    endless = document_of(["need", "--runtime", "stock", "--frames", "1000000000", "--variant", "tiny", "--top", "0"])
    for need in endless["needs"]:
        assert (need["budget_bytes"], need["card"]) == (None, None)
        assert need["reasons"]["budget_bytes"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("--variant", "large", "--objects", "50", "--frames", "unlimited"),
            ["official recipe", "1024x1024, autocast ", "memory bank on the host", "fits from",
             "Cards that have it", "--vram 0.749530933GB", "cards with more memory"],
        ),
        (
            ("--task", "automask", "--variant", "tiny", "--frame-size", "2160x3840"),
            ["points per batch: 1", "64 surely from 2368 MB"],
        ),
        (("--runtime", "stock", "--frames", "240"), ["stock predictors", "4 GB", "fits", "no code for are left out"]),
        (("--headroom", "none", "--top", "0"), ["headroom none", "smallest"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)  # fmt: skip
def test_the_text_says_what_it_needs(words: tuple[str, ...], expected: list[str]) -> None:
    outcome = invoke("need", *words)
    assert (outcome.code, outcome.err) == (0, "")
    assert [part for part in expected if part not in outcome.out] == []
    assert max(len(line) for line in outcome.out.splitlines() if not line.startswith("    sam2-plan")) < 150
    assert ("Cards" in outcome.out) == ("0" not in words)


def test_what_stock_needs_is_what_limits_and_plans_hold_it_against() -> None:
    """Without headroom, which is our own caution: stock stops where the whole card is used up."""
    words = ["--variant", "large", "--version", "2.1", "--precision", "autocast_bfloat16", "--resolution", "1024"]
    need = document_of(["need", "--runtime", "stock", "--frames", "240", *words, "--top", "0"])["needs"][0]
    (stock,) = document_of(["limits", "--vram", f"{need['budget_bytes'] // 1000 + 1}kB", *words])["stock"]
    assert need["budget_bytes"] == need["need_bytes"] and stock["max_frames"] == 240
