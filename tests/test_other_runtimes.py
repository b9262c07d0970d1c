"""What is said of transformers and Ultralytics without running them: predictions, comparisons, and refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

import planner
from planner.memory_model.arrays import transformers_state
from tests.conftest import invoke

TRANSFORMERS = ("--runtime", "transformers", "--variant", "tiny", "--precision", "bfloat16")


def predicted(*words: str) -> dict[str, Any]:
    found = invoke("predict", *TRANSFORMERS, *words, "--format", "json")
    assert found.code == 0, found.out
    return found.document


def test_a_prediction_stands_beside_ours_and_stock() -> None:
    document = predicted("--frames", "200", "--streaming")
    by_runtime = {one["runtime"]: one for one in document["runtimes"] if one["origin"] == "predicted"}
    assert list(by_runtime) == ["own", "stock", "transformers"]
    assert by_runtime["transformers"]["total_bytes"] == document["estimate"]["total_bytes"]
    assert by_runtime["own"]["total_bytes"] < by_runtime["transformers"]["total_bytes"]


def test_state_grows_by_what_transformers_keeps() -> None:
    short, long = (predicted("--frames", frames, "--streaming") for frames in ("100", "200"))
    grown = long["estimate"]["allocated_bytes"] - short["estimate"]["allocated_bytes"]
    kept = transformers_state("tiny", 1024**2, "bfloat16", offload_state=False) + 3 * 1024**2 * 2
    assert grown / 100 == pytest.approx(kept, rel=1e-3)
    # facebookresearch/sam2 and transformers agree on the memory; masks at full size are transformers' own.
    assert kept - 3 * 1024**2 * 2 == 2_753_026


def test_what_is_on_the_host_is_not_on_the_gpu() -> None:
    there = predicted("--frames", "200", "--processing-device", "cpu")["estimate"]
    words = ("--frames", "200", "--processing-device", "cpu", "--offload-video", "--offload-state")
    away = predicted(*words)["estimate"]
    frames = 200 * 3 * 1024**2 * 2
    masks = 200 * (1024**2 + 256**2) * 2
    assert there["allocated_bytes"] - away["allocated_bytes"] == pytest.approx(frames + masks, rel=0.02)
    assert away["host_bytes"] > frames + masks


def test_a_whole_clip_is_prepared_on_the_gpu_unless_it_is_said_otherwise() -> None:
    usual, cpu = predicted("--frames", "100"), predicted("--frames", "100", "--processing-device", "cpu")
    assert usual["estimate"]["total_bytes"] > 4_400_000_000 > 2 * cpu["estimate"]["total_bytes"], "truth.md: 4.5-4.8 GB"


def test_a_plan_says_where_the_others_run_out() -> None:
    plan = planner.plan(vram="4GB", frames=2000, objects=3, runtimes=["transformers", "ultralytics"])
    whole, streaming, pruning = plan.others
    assert [one.runtime for one in plan.others] == ["transformers", "transformers", "ultralytics"]
    assert not whole.fits
    assert "prepares the clip" in whole.reason
    assert streaming.streaming
    assert not streaming.fits
    # Rehearsed on an imaginary card of 4 GB (context 80 MB): 195 frames are done, the 196th is not.
    assert streaming.first_frame_out_of_memory == pytest.approx(196, abs=3)
    assert pruning.configuration.bounded_memory_bank
    assert pruning.first_frame_out_of_memory is None


def test_a_plan_with_others_is_saved_and_loaded(tmp_path: Any) -> None:
    plan = planner.plan(vram="8GB", frames=300, runtimes=["transformers"])
    plan.save(tmp_path / "plan.yaml")
    assert planner.Plan.load(tmp_path / "plan.yaml").others == plan.others
    assert len(plan.others) == 2
    assert planner.plan(vram="8GB", frames=300).others == ()


def test_the_longest_clip_in_limits_is_the_longest_that_a_plan_says_fits() -> None:
    found = invoke("limits", "--vram", "6GB", "--variant", "small", "--runtime", "transformers", "--format", "json")
    assert found.code == 0
    for one in found.document["others"]:
        longest = one["max_frames"]
        fits = []
        for frames in (longest, longest + 1):
            plan = planner.plan(vram="6GB", variant="small", frames=frames, runtimes=["transformers"])
            [same] = [other for other in plan.others if other.streaming == one["streaming"]]
            fits.append(same.fits)
        assert fits == [True, False], one


def test_what_is_needed_is_what_fits() -> None:
    words = ("--variant", "tiny", "--precision", "bfloat16", "--frames", "120")
    found = invoke("need", "--runtime", "transformers", "--streaming", *words, "--top", "0", "--format", "json")
    assert found.code == 0
    size = found.document["needs"][0]["budget_bytes"]
    for less, fits in ((0, True), (1, False)):
        plan = planner.plan(
            vram=size - less, variant="tiny", precision="bfloat16", frames=120, runtimes=["transformers"]
        )
        assert plan.others[1].fits is fits


def test_a_picture_of_ultralytics_takes_more_for_each_further_object() -> None:
    totals = [
        planner.predict(variant="tiny", task="image", precision="float32", objects=count, runtime="ultralytics")
        for count in (1, 10, 30)
    ]
    assert totals[0].allocated_bytes <= totals[1].allocated_bytes < totals[2].allocated_bytes


REFUSED = {
    "another size": (("--frames", "9", "--resolution", "512"), "1024x1024"),
    "no end": ((), "without end"),
    "streaming and prepared on the cpu": (("--frames", "9", "--streaming", "--processing-device", "cpu"), "one by one"),
    "automatic masks": (("--task", "automask"), "pipeline"),
    "an attention kernel": (("--frames", "9", "--attention", "flash"), "attention"),
    "passes": (("--frames", "9", "--object-batch", "4"), "object_batch"),
    "an unknown device": (("--frames", "9", "--processing-device", "gpu"), "'gpu'"),
    "keeping all": (("--frames", "9", "--keep-all"), "Ultralytics"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_transformers_cannot_do_is_refused_by_name(name: str) -> None:
    words, said = REFUSED[name]
    found = invoke("predict", *TRANSFORMERS, *words, "--format", "json")
    assert found.code == 2, found.out
    error = found.document["error"]
    assert said in f"{error['message']} {error['hint']}"
    assert error["hint"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--precision", "bfloat16"), "float16"),
        (("--resolution", "576x1024"), "square"),
        (("--resolution", "1024", "--offload-state"), "offload"),
        (("--streaming",), "transformers"),
    ],
)
def test_what_ultralytics_cannot_do_is_refused_by_name(words: tuple[str, ...], said: str) -> None:
    found = invoke("predict", "--runtime", "ultralytics", "--variant", "tiny", *words, "--format", "json")
    assert found.code == 2, found.out
    assert said in json.dumps(found.document["error"])


def test_what_no_law_predicts_is_said_and_where_it_is_simulated() -> None:
    found = invoke("predict", "--runtime", "ultralytics", "--variant", "tiny", "--task", "automask", "--format", "json")
    assert found.code == 2
    assert "simulate --runtime ultralytics --task automask" in found.document["error"]["hint"]
    plan = planner.plan(vram="4GB", task="automask", runtimes=["ultralytics", "transformers"])
    assert plan.fits
    reasons = [one.reason for one in plan.others]
    assert "No law predicts" in reasons[0] and "pipeline" in reasons[1]
    assert not any(one.fits for one in plan.others)


def test_only_what_is_no_runtime_of_ours_is_compared_with() -> None:
    with pytest.raises(planner.PlannerError, match="'stock' is not a runtime to compare with"):
        planner.plan(vram="4GB", runtimes=["stock"])


def test_several_streams_are_compared_with_nothing() -> None:
    found = invoke("--vram", "8GB", "--streams", "2", "--runtime", "transformers")
    assert found.code == 2
    assert "one process" in found.err
