"""Random requests, each answer held against the others that the product gives: 40, or 500; 5,000 by hand (scripts/)."""

from __future__ import annotations

import json
from typing import Any

import pytest

import planner
from scripts.check_answers import check, judge, worth
from tests.conftest import invoke

SEED = 13
SHARES = [range(20), range(20, 40)]
FURTHER = [range(first, first + 46) for first in range(40, 500, 46)]


@pytest.mark.parametrize(
    "numbers",
    [*SHARES, *(pytest.param(share, marks=pytest.mark.slow) for share in FURTHER)],
    ids=lambda share: f"requests {share.start} to {share.stop - 1}",
)
def test_no_answer_contradicts_another(numbers: range) -> None:
    assert [fault for number in numbers for fault in judge((SEED, number))[1]] == []


@pytest.mark.parametrize(
    "words",
    [
        "--vram 2GB --objects 10",
        "--vram 1535MB --task image",
        "--vram 1540MB --task image",
        "--task automask --headroom 10% --strict --vram 2.836GB",
        "--task automask --headroom 10% --strict --vram 3.12GB",
        "--vram 1GB --objects 100000 --prefer balanced",
        "--vram 8GB --objects 1000000 --prefer speed",
        "--vram 2GB --attention math",
        "--vram 2GB --task image --frame-size 8000x12000",
        "--vram 0.595GB --task image --resolution 1024x576 --prefer balanced",
        "--vram 8GB --objects 1000000000",
    ],
)
def test_what_users_found(words: str) -> None:
    """Requests that once had two answers."""
    assert check(words.split()) == []


def test_equal_accuracy_prefers_what_surely_fits_and_float32_comes_last() -> None:
    document = invoke("--vram", "1540MB", "--task", "image", "--explain", "--format", "json").document
    assert (document["verdict"], document["chosen"]["variant"]) == ("fits", "large")
    order = [one["configuration"]["precision"] for one in document["explained"]]
    first_float32 = order.index("float32")
    assert first_float32 > max(order.index(one) for one in ("autocast_bfloat16", "float16", "bfloat16"))


def test_fast_choices_stay_fast_with_many_objects() -> None:
    """A speed that is rounded to nothing orders nothing."""
    few, many = (planner.plan(vram="24GB", objects=count, prefer="speed") for count in (10, 10**5))
    assert few.chosen is not None
    assert many.chosen is not None
    assert (few.chosen.variant, few.chosen.resolution) == (many.chosen.variant, many.chosen.resolution)


def test_alternatives_are_other_choices_not_other_precisions() -> None:
    plan = planner.plan(vram="8GB", objects=10)
    assert plan.chosen is not None
    precisions = [one.precision for one in plan.alternatives if one.precision != plan.chosen.precision]
    assert len(precisions) <= 1, "one that takes less, where memory runs short"
    assert {one.variant for one in plan.alternatives} >= {"base_plus", "small"}
    assert any(one.configuration.offload_state for one in plan.alternatives)
    assert any(one.resolution != plan.chosen.resolution for one in plan.alternatives)


def test_the_judge_notices_what_it_is_there_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan whose limits, verdict and worth were changed is found out."""
    words = ["--vram", "3GB", "--objects", "10"]
    sound = invoke(*words, "--format", "json")
    plan: dict[str, Any] = json.loads(sound.out)
    assert worth(plan | {"verdict": "tight"}) > worth(plan)
    wrong = json.loads(sound.out)
    wrong["limits"]["max_resolution"] = [1024, 1024]
    wrong["limits"]["sure_objects"] = 10**6 - 1

    def answers(*asked: str) -> Any:
        return (
            type(sound)(sound.code, json.dumps(wrong), "")
            if list(asked) == [*words, "--format", "json"]
            else invoke(*asked)
        )

    monkeypatch.setattr("scripts.check_answers.invoke", answers)
    found = " ".join(check(words))
    assert "max_resolution is not the most" in found
    assert "sure_objects" in found
    assert "the text lacks" in found
