"""`sam2-plan measure` on the command line, without a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.machine.present import present_gpus
from planner.profiles import load_profile
from tests.conftest import invoke


def test_without_a_gpu_it_refuses_and_says_what_would_do(tmp_path: Path) -> None:
    if present_gpus():
        pytest.skip("there is a GPU")
    outcome = invoke("measure", "--out", str(tmp_path))
    assert outcome.code == 1
    assert "--simulate" in outcome.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--preset", "huge"), "huge"),
        (("--preset", "quick", "--import", "rows.jsonl"), "contradict"),
        (("--sweep", "missing.yaml"), "missing.yaml"),
        (("--runtime", "reimplementation"), "reimplementation"),
        (("--import", "missing.jsonl"), "missing.jsonl"),
    ],
)
def test_bad_input_is_named_before_anything_runs(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    outcome = invoke("measure", "--out", str(tmp_path), *words)
    assert outcome.code == 2
    assert said in outcome.err


def test_the_simulator_fills_the_same_form_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("sam2", reason="simulating runs the sam2 package")
    ranges = tmp_path / "ranges.yaml"
    ranges.write_text(
        "{task: [image, video], resolution: [256], precision: [float16], frames: [3]}\n", encoding="utf-8"
    )
    words = ("measure", "--simulate", "--sweep", str(ranges), "--out", str(tmp_path / "out"))
    document = invoke(*words, "--format", "json").document
    assert (document["truth"], document["ran"], len(document["rows"])) == ("simulated", 2, 2)
    assert all(row["allocated_bytes"] > 0 and row["process_bytes"] is None for row in document["rows"])
    again = invoke(*words)
    assert "2 rows simulated, 0 of them now" in again.out
    (profile,) = (tmp_path / "out").glob("*.yaml")
    rows = load_profile(profile)
    assert {(row.kind, row.use) for row in rows} == {("simulated", "fit")}
    assert [row.environment.driver for row in rows] == [None, None]
