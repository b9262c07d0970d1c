"""EdgeTAM and SAM 3's tracker through transformers: simulated, and held to what was rehearsed."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

import planner
from planner.errors import EnvironmentFailure, UsageError
from planner.memory_model import arrays
from planner.nouns.run import Run, native_resolution
from planner.nouns.words import OTHER_MODELS
from planner.profiles.rehearsed import RehearsedRun, file_name, read_runs
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


def one_of(variant: str, task: str, objects: int) -> RehearsedRun:
    """On capability 8.6, the shortest clip."""
    found = [one for one in rows(variant) if (one.capability, one.run.workload.task) == ((8, 6), task)]
    found = [one for one in found if one.run.workload.objects == objects]
    return min(found, key=lambda one: (one.run.workload.frames, one.run.id))


@needs_models
@pytest.mark.parametrize("variant", OTHER_MODELS)
@pytest.mark.parametrize(("task", "objects"), [("image", 3), ("video", 1)])
def test_simulated_bytes_are_those_of_the_rehearsal(variant: str, task: str, objects: int) -> None:
    row = one_of(variant, task, objects)
    found = simulate_run(row.run, capability=row.capability)
    assert found.configuration["resolution"] == native_resolution(variant)
    assert (found.allocated_bytes, found.reserved_bytes) == (row.usage.allocated_bytes, row.usage.reserved_bytes)


GROWTH = {"edgetam": 262_658, "sam3_tracker": 2_862_082}
"""Kept for good of an object and frame in bfloat16: rehearsed by scripts/rehearse_grid.py, byte for byte."""


@needs_models
@pytest.mark.parametrize("variant", OTHER_MODELS)
def test_what_a_frame_leaves_is_the_known_arrays_and_says_when_memory_runs_out(variant: str) -> None:
    asked: dict[str, Any] = {"variant": variant, "runtime": "transformers", "precision": "bfloat16", "streaming": True}
    found = simulate(**asked, frame_size=(480, 854), frames=2000, objects=2, vram="6GB")
    side = native_resolution(variant)[0]
    kept = arrays.transformers_state(variant, side * side, "bfloat16", offload_state=False)
    assert kept == GROWTH[variant]
    assert found.growth is not None
    assert found.growth.per_frame_bytes == 2 * kept + side * side * 3 * 2, "two objects, and the frame itself"
    assert found.runs_out is not None
    assert 100 < int(found.runs_out.section.removeprefix("frame ")) < 1000


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

    for given in (None, 1008, "1008", "1008x1008", (1008, 1008), [1008, 1008]):
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
    variant: str, since: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner.driving import transformers

    run: Run = one_of(variant, "image", 3).run
    name = f"{transformers.family_of(run).picture}Model"
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(__version__="4.56.2"))  # type: ignore[arg-type]
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
