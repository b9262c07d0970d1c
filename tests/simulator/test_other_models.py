"""EdgeTAM and SAM 3's tracker through transformers: simulated, and held to what was rehearsed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import planner
from planner.errors import EnvironmentFailure, UsageError
from planner.measure.sweeps import sweep_file
from planner.memory_model import MemoryModel, arrays
from planner.nouns.run import Run, native_resolution
from planner.nouns.words import OTHER_MODELS, Variant
from planner.profiles.rehearsed import HELD_OUT, RehearsedRun, file_name, read_runs
from planner.simulator import simulate
from planner.simulator.simulation import simulate_run
from planner.text.locations import profiles_folder
from tests.conftest import invoke

pytest.importorskip("timm")
TRANSFORMERS = pytest.importorskip("transformers")
needs_models = pytest.mark.skipif(
    not hasattr(TRANSFORMERS, "Sam3TrackerVideoModel"), reason="this transformers has no SAM 3"
)


def rows(variant: str) -> list[RehearsedRun]:
    runs, _ = read_runs(profiles_folder() / "rehearsed" / f"transformers-{variant}.tsv")
    return runs


def one_of(variant: Variant, task: str, objects: int) -> RehearsedRun:
    """On capability 8.6, the shortest clip."""
    found = [one for one in rows(variant) if (one.capability, one.run.workload.task) == ((8, 6), task)]
    found = [one for one in found if one.run.workload.objects == objects]
    return min(found, key=lambda one: (one.run.workload.frames, one.run.id))


@needs_models
@pytest.mark.parametrize("variant", OTHER_MODELS)
@pytest.mark.parametrize(("task", "objects"), [("image", 3), ("video", 1)])
def test_simulated_bytes_are_those_of_the_rehearsal(
    variant: Variant, task: str, objects: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner.simulator.torch_convolutions import installed_cudnn

    monkeypatch.delenv("SAM2_PLAN_CUDNN", raising=False)  # whose answers to these convolutions ship with nothing
    if installed_cudnn() is None:
        pytest.skip("there is no cuDNN to ask")
    row = one_of(variant, task, objects)
    found = simulate_run(row.run, capability=row.capability)
    assert found.configuration["resolution"] == native_resolution(variant)
    assert (found.allocated_bytes, found.reserved_bytes) == (row.usage.allocated_bytes, row.usage.reserved_bytes)


GROWTH = {"edgetam": 262_658, "sam3_tracker": 2_862_082}
"""Kept for good of an object and frame in bfloat16: rehearsed by scripts/rehearse_grid.py, byte for byte."""

RUNS_OUT = {"edgetam": 642, "sam3_tracker": 347}
"""The frame at which 6 GB are full, of two objects streaming in bfloat16."""


@needs_models
@pytest.mark.parametrize("variant", OTHER_MODELS)
def test_what_a_frame_leaves_is_the_known_arrays_and_says_when_memory_runs_out(variant: Variant) -> None:
    asked: dict[str, Any] = {"variant": variant, "runtime": "transformers", "precision": "bfloat16", "streaming": True}
    found = simulate(**asked, frame_size=(480, 854), frames=2000, objects=2, vram="6GB")
    side = native_resolution(variant)[0]
    kept = arrays.transformers_state(variant, side * side, "bfloat16", offload_state=False)
    assert kept == GROWTH[variant]
    assert found.growth is not None
    assert found.growth.per_frame_bytes == 2 * kept + side * side * 3 * 2, "two objects, and the frame itself"
    assert found.runs_out is not None
    assert found.runs_out.frame == RUNS_OUT[variant]


@pytest.mark.parametrize(
    ("asked", "complaint", "remedy"),
    [
        ({"variant": "edgetam"}, "run by transformers alone; the runtime is own", "Ask for the runtime transformers"),
        ({"variant": "sam3_tracker", "runtime": "stock"}, "the runtime is stock", "Ask for the runtime transformers"),
        ({"variant": "edgetam", "runtime": "ultralytics"}, "the runtime is ultralytics", "Ask for the runtime"),
        ({"variant": "sam3_tracker", "runtime": "transformers", "resolution": 1024}, "1008x1008, not at 1024", "Leave"),
        ({"variant": "edgetam", "runtime": "transformers", "resolution": "512"}, "at 1024x1024, not at 512", "Leave"),
        ({"variant": "edgetam", "runtime": "transformers", "version": "2.0"}, "no version 2.0", "Leave the version"),
        ({"variant": "tiny", "runtime": "transformers", "resolution": 1008}, "multiple of 32", "multiples of 32"),
        ({"variant": "edgetam", "runtime": "transformers", "task": "automask"}, "pipeline of its own", "Ask for image"),
        ({"variant": "sam3", "runtime": "transformers"}, "'sam3' is not a variant", "detector is not covered"),
        ({"variant": "sam3.1", "runtime": "transformers"}, "'sam3.1' is not a variant", "sam3_tracker"),
    ],
)
def test_what_cannot_be_run_says_what_can(asked: dict[str, Any], complaint: str, remedy: str) -> None:
    for ask in (simulate, planner.predict):
        with pytest.raises(UsageError) as caught:
            ask(**{"frames": 10 if asked.get("task") != "automask" else None, **asked})
        assert complaint in caught.value.message
        assert remedy in caught.value.hint


def test_the_own_resolution_may_be_named() -> None:
    from planner.catalog.runtimes import resolution_of

    for given in (None, 1008, "1008", "1008x1008", (1008, 1008)):
        assert resolution_of("sam3_tracker", given) == (1008, 1008)
    assert resolution_of("edgetam", None) == resolution_of("tiny", None) == (1024, 1024)
    assert resolution_of("tiny", "576x1024") == (576, 1024)


def test_timm_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from planner.driving import transformers

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(EnvironmentFailure, match="timm") as caught:
        transformers.prepare(one_of("edgetam", "image", 3).run)
    assert caught.value.hint == "Install it with: pip install timm"


@pytest.mark.parametrize(("variant", "since"), [("edgetam", "4.57"), ("sam3_tracker", "5.0")])
def test_a_release_without_the_model_says_which_has_it(
    variant: Variant, since: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner.driving import transformers

    run: Run = one_of(variant, "image", 3).run
    name = f"{transformers.family_of(run).picture}Model"
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(__version__="4.56.2"))
    with pytest.raises(EnvironmentFailure, match=f"has no {name}") as caught:
        transformers.prepare(run)
    assert f"transformers>={since}" in caught.value.hint


def test_each_model_has_its_file_of_rows() -> None:
    for variant in OTHER_MODELS:
        assert {file_name(one.run) for one in rows(variant)} == {f"transformers-{variant}.tsv"}
        assert len(rows(variant)) >= 60


@pytest.mark.parametrize("word", ["edgetam", "sam3_tracker", "sam3"])
@pytest.mark.parametrize("command", [(), ("need",), ("limits",)])
def test_planning_is_for_sam_2_and_says_where_to_ask(word: str, command: tuple[str, ...]) -> None:
    budget = () if command == ("need",) else ("--vram", "8GB")
    found = invoke(*command, *budget, "--variant", word, "--frames", "100")
    assert found.code == 2
    assert f"'{word}' is not a variant" in found.err
    assert "predict or simulate" in found.err
    assert "runtime transformers" in found.err


@pytest.mark.parametrize("variant", OTHER_MODELS)
def test_a_prediction_lies_near_the_rehearsal_and_grows_as_it_does(variant: Variant) -> None:
    """Of rows that no law was fitted to, as far as docs/accuracy.md says; frames and memories count byte by byte."""
    model = MemoryModel()
    for row in (one for one in rows(variant) if one.use == HELD_OUT):
        found = model.totals_of(row.run, row.capability)
        assert found.allocated == pytest.approx(row.usage.allocated_bytes, rel=0.11), row.run.id
        assert found.reserved == pytest.approx(row.usage.reserved_bytes, rel=0.18), row.run.id
    asked: dict[str, Any] = {"variant": variant, "runtime": "transformers", "precision": "bfloat16", "streaming": True}
    first, second = (planner.predict(**asked, frames=frames, objects=2) for frames in (100, 101))
    side = native_resolution(variant)[0]
    assert second.allocated_bytes - first.allocated_bytes == pytest.approx(2 * GROWTH[variant] + side * side * 6, abs=2)


def test_a_prediction_compares_with_no_runtime_that_lacks_the_model() -> None:
    words = ("predict", "--variant", "sam3_tracker", "--runtime", "transformers", "--task", "image")
    found = invoke(*words, "--format", "json").document
    assert found["configuration"]["resolution"] == [1008, 1008]
    own, stock, other = found["runtimes"]
    assert (own["total_bytes"], stock["total_bytes"]) == (None, None)
    assert own["note"] == stock["note"] == "it runs SAM 2 only"
    assert other["total_bytes"] == found["estimate"]["total_bytes"]
    text = invoke(*words).out
    assert "sam3_tracker at 1008x1008" in text
    assert "on Hugging Face transformers" in text
    assert "Why ours takes less" not in text


def test_a_sweep_runs_the_models_that_the_runtime_has(tmp_path: Path) -> None:
    path = tmp_path / "ranges.yaml"
    path.write_text("{task: [image, video], variant: [tiny, edgetam, sam3_tracker]}\n")
    sizes = {trial.configuration.variant: trial.configuration.resolution for trial in sweep_file(path, "transformers")}
    assert sizes == {"tiny": (1024, 1024), "edgetam": (1024, 1024), "sam3_tracker": (1008, 1008)}
    for runtime in ("own", "stock", "ultralytics"):
        with pytest.raises(UsageError, match="run by transformers alone"):
            sweep_file(path, runtime)
    path.write_text("{variant: [tiny], resolution: [1008]}\n")
    with pytest.raises(UsageError, match="multiple of 32"):
        sweep_file(path, "transformers")
