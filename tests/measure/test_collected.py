"""Rows that were collected elsewhere: taken as they are, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planner.errors import FileError
from planner.measure.collected import read_collected
from planner.profiles import load_profile
from tests.conftest import invoke

VIDEO = {
    "task": "video", "version": "2.1", "precision": "amp-bf16", "size": 1024, "objects": 2, "frames": 24,
    "frame_size": [1080, 1920], "offload_video": False, "offload_state": True, "variant": "tiny",
}  # fmt: skip


def row(**changed: Any) -> dict[str, Any]:
    found = {
        "configuration": VIDEO, "torch": "2.12.0", "gpu": "NVIDIA H200", "capability": [9, 0], "cuda": "13.0",
        "cudnn": 91000, "total_bytes": 150_000_000_000, "context_bytes": 600_000_000, "weights_bytes": 156_000_000,
        "init_bytes": 460_000_000, "peak_allocated_bytes": 900_000_000, "peak_reserved_bytes": 1_000_000_000,
        "process_bytes": 1_600_000_000, "seconds": [1.0, 0.1, 0.04, 0.04, 0.05], "kind": "solo", "alone": True,
    }  # fmt: skip
    return found | changed


def written(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join((json.dumps(one) if isinstance(one, dict) else one) + "\n" for one in rows))
    return path


def test_a_row_becomes_a_trial_of_stock_and_its_bytes(tmp_path: Path) -> None:
    ((trial, outcome),), refused = read_collected(written(tmp_path, row()))
    assert refused == []
    assert (trial.runtime, trial.workload.objects, trial.workload.frames) == ("stock", 2, 24)
    assert trial.configuration.precision == "autocast_bfloat16"
    assert (trial.configuration.offload_state, trial.configuration.bounded_memory_bank) == (True, False)
    assert (outcome.allocated_bytes, outcome.reserved_bytes) == (900_000_000, 1_000_000_000)
    assert (outcome.context_bytes, outcome.seconds_per_frame) == (600_000_000, 0.04)
    assert outcome.phases["init"]["allocated_bytes"] == 460_000_000


def test_the_context_counts_only_where_the_process_was_alone(tmp_path: Path) -> None:
    ((_, outcome),), _ = read_collected(written(tmp_path, row(alone=False, kind="sweep")))
    assert outcome.context_bytes is None


def test_of_several_runs_the_one_that_was_alone_stays(tmp_path: Path) -> None:
    rows = [row(), row(alone=False, kind="sweep", peak_allocated_bytes=950_000_000)]
    for order in (rows, rows[::-1]):
        ((_, outcome),), _ = read_collected(written(tmp_path, *order))
        assert outcome.alone


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"peak_allocated_bytes": 2_000_000_000}, "exceeds peak_reserved_bytes"),
        ({"peak_reserved_bytes": 10**12}, "exceeds total_bytes"),
        ({"peak_allocated_bytes": -5}, "-5"),
        ({"peak_reserved_bytes": float("nan")}, "nan"),
        ({"process_bytes": "much"}, "much"),
        ({"gpu": None, "peak_allocated_bytes": 0, "peak_reserved_bytes": 0}, "CPU"),
        ({"configuration": VIDEO | {"size": 1000}}, "1000"),
        ({"configuration": VIDEO | {"precision": "int8"}}, "int8"),
        ({"configuration": VIDEO | {"variant": "huge"}}, "huge"),
        ({"configuration": {}}, "task"),
    ],
    ids=str,
)
def test_an_impossible_row_is_refused_by_name(changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    found, refused = read_collected(written(tmp_path, row(), row(**changed)))
    assert len(found) == 1
    assert [one.line for one in refused] == [2]
    assert words in refused[0].reason


def test_an_error_row_is_a_row(tmp_path: Path) -> None:
    rows = ({"configuration": VIDEO, "error": "Traceback\ntorch.OutOfMemoryError: CUDA out of memory. Tried"},)
    ((_, outcome),), refused = read_collected(written(tmp_path, *rows))
    assert (outcome.outcome, refused) == ("out_of_memory", [])


def test_the_command_takes_what_it_can_and_exits_2_for_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path, row(), "rubbish")
    outcome = invoke("measure", "--import", str(path), "--out", str(tmp_path / "profiles"))
    assert outcome.code == 2
    assert "line 2" in outcome.out
    (measured,) = load_profile(tmp_path / "profiles" / "measured-nvidia-h200.yaml")
    assert (measured.use, measured.runtime, measured.environment.capability) == ("fit", "stock", "9.0")


def test_no_file_and_no_rows_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", written(tmp_path, "")):
        with pytest.raises(FileError) as caught:
            read_collected(path)
        assert caught.value.hint
