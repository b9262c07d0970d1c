"""`rehearse PLAN`: a plan on an imaginary GPU, beside what it predicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import planner
from planner.driving.least import GRANULE, least_of
from planner.rehearsal.building import why_not_rehearsing
from tests.conftest import invoke, validate

pytestmark = pytest.mark.skipif(bool(why_not_rehearsing()), reason=str(why_not_rehearsing()))
SMALL = ("--task", "video", "--variant", "tiny", "--resolution", "512", "--frame-size", "240x320")


@pytest.fixture(scope="module")
def readme_plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plans") / "plan.yaml"
    assert invoke("--vram", "2GB", "--task", "video", "--objects", "10", "-o", str(path)).code == 0
    return path


def test_the_plan_of_the_readme_completes_on_a_card_of_2_gb(readme_plan: Path) -> None:
    found = invoke("rehearse", str(readme_plan), "--frames", "4", "--format", "json")
    assert found.code == 0, found.out
    document = found.document
    assert document["memory_bytes"] == 2 * 10**9
    predicted = document["predicted"]
    assert document["total_bytes"] == document["reserved_bytes"] + document["context_bytes"] <= predicted["upper_bytes"]
    assert document["context_bytes"] == predicted["context_bytes"], "a context is predicted, never found here"
    assert {phase["name"] for phase in document["phases"]} >= {"load", "encode", "prompt", "track", "output"}
    assert document["kernels_per_frame"] > 1000
    assert document["milliseconds_per_frame"] > 0


def test_a_card_below_the_least_of_the_plan_is_exit_5_with_what_torch_said(readme_plan: Path) -> None:
    found = invoke("rehearse", str(readme_plan), "--vram", "0.8GB", "--frames", "3")
    assert found.code == 5
    assert found.out.startswith("out of memory on an imaginary ")
    assert "Memory ran out" in found.out
    assert "Nothing ran on a GPU" in found.out


def test_where_memory_runs_out_fallback_steps_down_and_completes(readme_plan: Path) -> None:
    found = invoke("rehearse", str(readme_plan), "--vram", "0.8GB", "--frames", "3", "--fallback", "--format", "json")
    assert found.code == 0, found.out
    assert found.document["plan"]["steps"], "it had to step down"


def test_the_least_memory_completes_and_a_granule_less_does_not(tmp_path: Path) -> None:
    plan = planner.plan(
        task="video", vram="2GB", variant="tiny", resolution=512, frame_size="240x320", precision="float16"
    )
    tries: dict[int, bool] = {}
    found = planner.rehearse(plan, frames=1, least=True, tried=tries.__setitem__)
    assert found.least_bytes is not None
    assert found.total_bytes is not None
    assert found.allocated_bytes is not None
    assert found.context_bytes + found.allocated_bytes * 0.9 < found.least_bytes <= found.total_bytes
    assert tries[found.least_bytes]
    assert not tries[found.least_bytes - GRANULE]
    validate(json.loads(json.dumps(found.to_dict())))


def test_a_plan_of_pictures_says_what_it_takes_on_another_card(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    assert invoke("--vram", "4GB", "--task", "image", "--variant", "tiny", "-o", str(path)).code in (0, 4)
    found = invoke("rehearse", str(path), "--gpu", "RTX 4090", "--format", "json").document
    assert found["gpus"][0]["capability"] == [8, 9]
    assert found["plan"]["task"] == "image"
    assert found["exit_code"] == 0


@pytest.mark.parametrize("least", [1, 57, 63, 64, 100])
def test_bisection_finds_the_smallest_that_completes(least: int) -> None:
    tried: list[int] = []

    def completes(memory_bytes: int) -> bool:
        tried.append(memory_bytes)
        return memory_bytes >= least * GRANULE

    assert least_of(completes, 100 * GRANULE, 60 * GRANULE, 0) == least * GRANULE
    assert len(tried) == len(set(tried)) <= 16


def test_a_plan_without_a_choice_is_exit_3_and_contradictions_are_exit_2(tmp_path: Path, readme_plan: Path) -> None:
    nothing = tmp_path / "nothing.yaml"
    invoke("--vram", "100MB", "--task", "video", "-o", str(nothing))
    assert invoke("rehearse", str(nothing)).code == 3
    for words in (
        (),
        ("--",),
        (str(readme_plan), "--", "true"),
        (str(tmp_path / "none.yaml"),),
        (str(readme_plan), "--gpu", "RTX 3060", "--vram", "2GB"),
        (str(readme_plan), "--gpu", "RTX 9999"),
        (str(readme_plan), "--capability", "3.5"),
        (str(readme_plan), "--capability", "8.6.1"),
        (str(readme_plan), "--vram", "2"),
        (str(readme_plan), "--frames", "0"),
        ("--fallback", "--", "true"),
        ("--frames", "3", "--", "true"),
    ):
        found = invoke("rehearse", *words)
        assert found.code == 2, (words, found)
        assert found.err.startswith("error: "), words


def test_a_plan_is_rehearsed_on_the_stock_predictors_too(tmp_path: Path) -> None:
    """Whose code runs is asked as in predict, simulate and measure; own is the default."""
    path = tmp_path / "plan.yaml"
    planner.plan(task="image", vram="2GB", variant="tiny", resolution=256, frame_size="240x320").save(path)
    found = invoke("rehearse", str(path), "--runtime", "stock", "--format", "json")
    assert found.code == 0, found.out
    document = found.document
    assert document["plan"]["runtime"] == "stock"
    predicted = planner.predict(
        variant="tiny", task="image", resolution=256, frame_size="240x320", runtime="stock",
        precision=document["plan"]["configuration"]["precision"],
    )  # fmt: skip
    assert document["predicted"]["allocated_bytes"] == predicted.allocated_bytes
    assert invoke("rehearse", str(path), "--runtime", "stock", "--fallback").code == 2
    assert invoke("rehearse", "--runtime", "stock", "--", "true").code == 2


def test_clips_of_one_process_take_their_memory_banks_more_and_stay_below_the_bound() -> None:
    pins = {"variant": "tiny", "resolution": 512, "precision": "float16", "gpu": "RTX 3090", "objects": 2}
    one, four = (planner.rehearse(planner.plan(streams=n, **pins), frames=18) for n in (1, 4))
    assert one.completed and four.completed and four.within_upper_bound
    bank = next(part.bytes for part in one.predicted.components if part.name == "memory bank")
    added = four.allocated_bytes - one.allocated_bytes
    assert added == pytest.approx(3 * bank, rel=0.5), "and neither weights nor a frame's features"
    assert abs(four.total_bytes / four.predicted.total_bytes - 1) < 0.06, "one size of weights, predicted by law"
