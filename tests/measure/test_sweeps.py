"""Which configurations a sweep runs: presets, and ranges of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.errors import FileError, UsageError
from planner.measure.sweeps import PRESETS, preset, sweep_file
from planner.nouns.words import VARIANTS


@pytest.mark.parametrize("runtime", ["own", "stock"])
def test_presets_grow_and_name_each_trial_once(runtime: str) -> None:
    sizes = []
    for name in PRESETS:
        trials = preset(name, runtime)
        assert len({trial.id for trial in trials}) == len(trials)
        assert all(trial.configuration.bounded_memory_bank == (runtime == "own") for trial in trials)
        sizes.append(len(trials))
    assert sizes == sorted(sizes)
    assert sizes[0] <= 12
    assert {trial.configuration.variant for trial in preset("standard", runtime)} == set(VARIANTS)


def test_ranges_give_their_product(tmp_path: Path) -> None:
    path = tmp_path / "ranges.yaml"
    path.write_text("- {task: [image], variant: [tiny, large], resolution: [512, 576x1024]}\n- task: [video]\n")
    trials = sweep_file(path, "own")
    assert len(trials) == 5
    assert {trial.configuration.resolution for trial in trials[:4]} == {(512, 512), (576, 1024)}
    assert trials[4].workload.frames is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("variant: [huge]", "huge"),
        ("variant: []", "empty"),
        ("variant: tiny", "list"),
        ("resolution: [1000]", "32"),
        ("objects: [0]", "objects"),
        ("variants: [tiny]", "variants"),
        ("offload_state: [maybe]", "true and false"),
        ("[]", "nothing to run"),
        ("frames: [-3]", "frames"),
    ],
)
def test_a_bad_range_names_the_file_and_the_value(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "ranges.yaml"
    path.write_text(text + "\n")
    with pytest.raises(FileError, match=words) as caught:
        sweep_file(path, "own")
    assert "ranges.yaml" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("resolution: [576x1024]", "576x1024"),
        ("object_batch: [4]", "object_batch"),
        ("frames: [unlimited]", "without end"),
    ],
)
def test_what_stock_cannot_run_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "ranges.yaml"
    path.write_text(text + "\n")
    with pytest.raises(UsageError, match=words):
        sweep_file(path, "stock")


def test_ranges_without_bounds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ranges.yaml"
    path.write_text(f"objects: {list(range(1, 80))}\nobject_batch: {list(range(1, 80))}\n")
    with pytest.raises(UsageError, match="more than 5000"):
        sweep_file(path, "own")


def test_an_unknown_preset_names_those_that_are() -> None:
    with pytest.raises(UsageError, match="huge") as caught:
        preset("huge", "own")
    assert "quick" in caught.value.hint
