"""`confirm`: a plan run under its budget and compared; never more is said than was done."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import planner
from planner.api.confirm import Confirmation, confirm
from planner.errors import EnvironmentFailure, FileError, PlannerError
from planner.machine.present import present_gpus
from planner.measure.trial import Outcome, Trial
from planner.memory_model.contexts import context_on
from planner.nouns.request import Gpu
from planner.profiles import load_folder
from planner.report.confirmation import confirmation_report
from planner.report.text import Style
from planner.text.locations import user_folder
from planner.wire.confirmation import CONFIRMATION
from tests.conftest import invoke, validate
from tests.measure.fakes import GPU
from tests.stages import ON_STAGE

MB = 10**6
BUDGETS = ("1.1GB", "1.5GB", "2GB", "3GB", "4GB", "6GB", "8GB") if present_gpus() else ("1.1GB", "2GB")
"""Of an imaginary GPU two that choose differently; larger ones choose as the second does, with more room."""


@pytest.fixture(scope="module")
def plan() -> planner.Plan:
    return planner.plan(task="video", objects=3, vram="2GB", variant="tiny")


def run(plan: planner.Plan, outcome: Outcome, **asked: Any) -> tuple[Confirmation, Trial]:
    seen: list[Trial] = []

    def fake(trial: Trial) -> Outcome:
        seen.append(trial)
        return outcome

    return confirm(plan, run=fake, **asked), seen[0]


def measured(total: int, **changed: Any) -> Outcome:
    known = Outcome(
        outcome="ran", allocated_bytes=total - 600 * MB, reserved_bytes=total - 500 * MB, context_bytes=450 * MB,
        process_bytes=total, phases={"load": {"allocated_bytes": 100 * MB}, "track": {"allocated_bytes": 300 * MB}},
        alone=True, seconds_per_frame=0.03, frames=60, gpu=GPU, capability=(8, 6), versions={"torch": "2.15.0"},
    )  # fmt: skip
    return replace(known, **changed)


def test_a_checkpoint_that_the_plan_cannot_run_with_is_refused_before_anything_runs(
    plan: planner.Plan, tmp_path: Path
) -> None:
    (tmp_path / "page.pt").write_text("<html>404</html>")
    for path, named in ((tmp_path / "none.pt", "no checkpoint"), (tmp_path / "page.pt", "web page")):
        with pytest.raises(FileError, match=named):
            confirm(plan, run=lambda trial: pytest.fail("it ran"), checkpoint=str(path), record=False)


def test_what_ran_below_its_cap_is_confirmed_and_no_more_is_said(plan: planner.Plan) -> None:
    found, trial = run(plan, measured(1000 * MB), record=False)
    assert found.confirmed
    assert found.exit_code == 0
    assert trial.cap_bytes == 2 * 10**9, "the budget, headroom included: that is what the card has"
    assert found.summary == f"confirmed under a cap of 2000 MB on {GPU}: 60 frames, 3 objects, random weights"
    components = {one.name: one for one in found.components}
    assert components["unaccounted"].found == 50 * MB == found.unaccounted_bytes
    assert components["total"].found == 1000 * MB
    assert components["total"].difference == 1000 * MB - found.predicted.total_bytes
    there = context_on(Gpu(name=GPU, total_bytes=0, capability=(8, 6))).bytes
    assert found.predicted.context_bytes == there != plan.chosen.estimate.context_bytes, "of the GPU that ran it"
    assert found.predicted.reserved_bytes == plan.chosen.estimate.reserved_bytes
    assert {one.name for one in found.phases} >= {"load", "encode", "track"}
    assert found.recorded is None


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (measured(2100 * MB), "not confirmed"),
        (measured(900 * MB, outcome="out_of_memory", error="OutOfMemoryError: tried 2 GiB", phase="track"), "track"),
    ],
    ids=["above its cap", "out of memory"],
)
def test_what_takes_too_much_is_not_confirmed(plan: planner.Plan, outcome: Outcome, words: str) -> None:
    found, _ = run(plan, outcome, record=False)
    assert not found.confirmed
    assert found.exit_code == 5
    text = confirmation_report(found, Style())
    assert words in text
    assert text.startswith("not confirmed under a cap of 2000 MB")
    validate(CONFIRMATION.write(found))


def test_a_total_above_the_bound_is_said(plan: planner.Plan) -> None:
    assert plan.chosen is not None
    bound = run(plan, measured(1000 * MB), record=False)[0].predicted.upper_bytes
    found, _ = run(plan, measured(bound + MB), cap="40GB", record=False)
    assert found.confirmed
    assert found.within_upper_bound is False
    assert "ABOVE the upper bound" in confirmation_report(found, Style())


def test_what_nobody_counted_is_not_known(plan: planner.Plan) -> None:
    found, _ = run(plan, measured(900 * MB, context_bytes=None, process_bytes=None, alone=False), record=False)
    assert found.unaccounted_bytes is None
    text = confirmation_report(found, Style())
    assert "not known" in text
    assert "other processes" in text
    validate(CONFIRMATION.write(found))


@pytest.mark.parametrize("outcome", ["failed", "lost"])
def test_a_run_that_failed_otherwise_says_nothing_of_the_plan(plan: planner.Plan, outcome: str) -> None:
    with pytest.raises(EnvironmentFailure, match="a bug") as caught:
        run(plan, Outcome(outcome=outcome, error="a bug"), record=False)
    assert caught.value.exit_code == 1


def test_the_row_goes_to_the_profile_of_the_gpu(plan: planner.Plan) -> None:
    found, trial = run(plan, measured(1000 * MB, gpu="Recorded GPU"))
    assert found.recorded is not None
    rows = [row for row in load_folder(user_folder() / "profiles") if row.environment.gpu == "Recorded GPU"]
    assert [row.id for row in rows] == [trial.id]
    assert rows[0].kind == "measured"


def test_frames_and_cap_can_be_given_and_are_checked(plan: planner.Plan) -> None:
    found, trial = run(plan, measured(900 * MB, frames=300), frames=300, cap="1.5GB", record=False)
    assert (trial.frames, trial.cap_bytes) == (300, 1_500_000_000)
    assert "300 frames" in found.summary
    for asked in ({"frames": 0}, {"cap": "much"}, {"cap": -3}):
        with pytest.raises(PlannerError):
            run(plan, measured(900 * MB), record=False, **asked)
    picture = planner.plan(task="image", vram="2GB")
    with pytest.raises(PlannerError, match="videos"):
        run(picture, measured(900 * MB), frames=3, record=False)


def test_without_a_gpu_the_command_refuses_and_says_what_would_do(tmp_path: Path) -> None:
    if _has_gpu():
        pytest.skip("there is a GPU")
    path = saved(tmp_path, "--vram", "2GB", "--variant", "tiny")
    outcome = invoke("confirm", str(path))
    assert outcome.code == 1
    assert "--simulate" in outcome.err


def _has_gpu() -> bool:
    from planner.machine.present import present_gpus

    return bool(present_gpus())


def saved(tmp_path: Path, *words: str) -> Path:
    path = tmp_path / "plan.yaml"
    invoke(*words, "-o", str(path))
    return path


@pytest.mark.parametrize("task", ["image", "video"])
def test_the_simulator_agrees_with_a_plan_and_nothing_claims_a_gpu(task: str, tmp_path: Path) -> None:
    pytest.importorskip("sam2", reason="simulating runs the sam2 package")
    words = (
        "--vram",
        "1.5GB",
        "--task",
        task,
        "--variant",
        "tiny",
        "--resolution",
        {"image": "768", "video": "512"}[task],
        "--precision",
        "float16",
    )
    path = saved(tmp_path, *words)
    outcome = invoke("confirm", str(path), "--simulate", "--format", "json", "-o", str(tmp_path / "report.json"))
    document = outcome.document
    assert outcome.code == 0
    assert (document["truth"], document["gpu"], document["recorded"]) == ("simulated", None, None)
    assert "nothing ran on a GPU" in document["summary"]
    total = next(one for one in document["components"] if one["name"] == "total")
    # A budget without a name: the laws are of most cards, and the context is small, so that what is reserved tells.
    assert total["found_bytes"] == pytest.approx(total["predicted_bytes"], rel={"image": 0.05, "video": 0.07}[task])
    assert total["found_bytes"] <= document["upper_bytes"]
    assert json.loads((tmp_path / "report.json").read_text()) == document


def test_a_budget_too_small_for_the_simulated_total_is_exit_5(tmp_path: Path) -> None:
    pytest.importorskip("sam2", reason="simulating runs the sam2 package")
    path = saved(tmp_path, "--vram", "1.5GB", "--task", "image", "--variant", "tiny", "--resolution", "512")
    outcome = invoke("confirm", str(path), "--simulate", "--cap", "200MB")
    assert outcome.code == 5
    assert "contradicts the simulator" in outcome.out


def test_a_plan_that_chose_nothing_is_exit_3_and_nonsense_is_exit_2(tmp_path: Path) -> None:
    nothing = saved(tmp_path, "--vram", "100MB")
    assert invoke("confirm", str(nothing)).code == 3
    broken = tmp_path / "broken.yaml"
    text = yaml.safe_load(saved(tmp_path, "--vram", "2GB").read_text())
    text["estimate"]["total_bytes"] = 5
    broken.write_text(yaml.safe_dump(text))
    for path in (broken, tmp_path / "none.yaml"):
        assert invoke("confirm", str(path)).code == 2


@pytest.mark.gpu
def test_on_a_gpu_plans_run_within_their_budgets() -> None:
    # An imaginary one is as slow as this machine's host: as few frames as fill the memory bank (16).
    few = {"frame_size": (540, 960)} if ON_STAGE in os.environ else {}
    for vram in BUDGETS:
        plan = planner.plan(task="video", objects=3, vram=vram, **few)
        found = confirm(plan, frames=18 if few else None, record=False)
        assert found.confirmed, (vram, found.summary)
        assert found.within_upper_bound, vram
