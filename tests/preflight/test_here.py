"""Check on the machine that runs: what this process is held to, what the file claims, paths that cannot be seen."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import planner
from planner.errors import UsageError
from planner.nouns.machine import CAP_VARIABLE
from planner.preflight.checks import FAIL, PASS, SKIP, WARN
from tests.conftest import commands, document_of, invoke
from tests.preflight.machines import gpu, report
from tests.preflight.test_check import checks

GB = 10**9


def held_to(plan: planner.Plan, machine: Path, cap: str) -> Any:
    found = planner.check(plan, simulate_gpu=machine, environment={CAP_VARIABLE: cap})
    return next(check for check in found.checks if check.name == "memory cap"), found.exit_code


def test_what_this_process_is_held_to_is_judged_too(
    plan_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the advice that is followed below saves a plan
    plan, machine = planner.Plan.load(plan_path), report(tmp_path)
    need = plan.estimate
    assert need is not None
    short, code = held_to(plan, machine, "1GB")
    # What its context takes beyond that of any card of the cap's size is held back.
    assert (short.status, code) == (FAIL, 3) and "--vram 1GB --headroom 0.060425564GB " in short.action
    assert document_of(commands(short.action)[0])["request"]["objects"] == plan.request.workload.objects
    # This machine's GPU has a context of its own.
    least, total, upper = (short.figures[f"{name}_bytes"] for name in ("least", "total", "upper"))
    tight, code = held_to(plan, machine, f"{(total + upper) // 2000}kB")
    assert (tight.status, code) == (WARN, 0)
    if least < total:
        squeezed, code = held_to(plan, machine, f"{(least + total) // 2000}kB")
        assert (squeezed.status, code) == (WARN, 0) and "by giving cache back" in squeezed.found
    # The share that placing hands out is the bound itself, of which nothing is held back.
    own = plan.ray_options(gpu="24GB")["runtime_env"]["env_vars"][CAP_VARIABLE]
    shared, code = held_to(plan, machine, own)
    assert (shared.status, code) == (PASS, 0)
    with pytest.raises(UsageError, match="lots"):
        held_to(plan, machine, "lots")
    elsewhere = planner.check(plan, vram="3GB", environment={CAP_VARIABLE: "1GB"})
    assert "memory cap" not in [check.name for check in elsewhere.checks]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64, expandable_segments:False"}, "expandable_segments:False"),
        ({"PYTORCH_ALLOC_CONF": "backend:cudaMallocAsync"}, "backend:cudaMallocAsync"),
        ({"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}, None),
        ({"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64"}, None),
    ],
)
def test_another_allocator_than_planned_for_is_said(
    plan_path: Path, tmp_path: Path, settings: dict[str, str], said: str | None
) -> None:
    plan = planner.Plan.load(plan_path)
    found = planner.check(plan, simulate_gpu=report(tmp_path), environment=settings)
    warned = [check for check in found.checks if check.name == "allocator"]
    assert [check.status for check in warned] == [WARN] * (said is not None)
    assert all(said and said in check.found and said in str(check.action) for check in warned)
    elsewhere = planner.check(plan, vram="3GB", environment=settings)
    assert "allocator" not in [check.name for check in elsewhere.checks]


def test_a_system_whose_driver_maps_no_memory_is_said(plan_path: Path, tmp_path: Path) -> None:
    machine = report(tmp_path)
    text = machine.read_text(encoding="utf-8")
    assert "Linux 6.8" in text
    machine.write_text(text.replace("Linux 6.8", "Linux 5.15.167.4-microsoft-standard-WSL2"), encoding="utf-8")
    found = planner.check(planner.Plan.load(plan_path), simulate_gpu=machine, environment={})
    assert [(c.status, "WSL2" in c.found) for c in found.checks if c.name == "allocator"] == [(WARN, True)]


def test_a_cap_in_the_environment_ends_with_3(plan_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAP_VARIABLE, "1GB")
    words = ("check", str(plan_path), "--simulate-gpu", str(report(tmp_path)))
    outcome = invoke(*words)
    assert outcome.code == 3 and "holds this process to 1000 MB" in outcome.out


def test_less_memory_than_the_headroom_of_the_plan_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    planner.plan(vram="8GB", headroom="3GB").save(path)
    assert checks(str(path), "--vram", "2GB", code=3)["memory"]["status"] == FAIL
    full = report(tmp_path, [gpu(card_free_bytes=0)])
    assert checks(str(path), "--simulate-gpu", str(full), code=3)["memory"]["status"] == FAIL
    assert invoke("--simulate-gpu", str(full)).code == 3, "a full GPU is no mistyped headroom"


def test_quality_is_what_is_known_today_whatever_the_file_says(plan_path: Path, tmp_path: Path) -> None:
    """A plan edited by hand, or of an old release, passes no policy by its own word."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("schema_version: 1\nminimum_quality: 79\n")
    text = plan_path.read_text()
    quality = planner.Plan.load(plan_path).chosen.quality  # type: ignore[union-attr]
    plan_path.write_text(text.replace(f"quality: {quality}", "quality: 99.0", 1))
    found = checks(str(plan_path), "--vram", "3GB", "--policy", str(policy), code=0)
    assert found["policy.minimum_quality"]["figures"]["quality"] == quality
    assert found["prediction"]["status"] == WARN and "99" in found["prediction"]["found"]


def test_the_advice_helps(tmp_path: Path) -> None:
    """What is advised is taken at its word, and fits."""
    path = tmp_path / "plan.yaml"
    planner.plan(vram="1.75GB", objects=10).save(path)
    least = planner.plan(vram="50MB", objects=10).limits.smallest_total_bytes
    assert least is not None
    action = checks(str(path), "--vram", f"{(least - 10**6) // 1000}kB", code=3)["memory"]["action"]
    given = re.search(r"Give it (\S+),", action)
    assert given is not None and invoke("--vram", given[1], "--objects", "10").code == 0
    full = report(tmp_path, [gpu(card_free_bytes=GB), gpu(1)])
    action = checks(str(path), "--simulate-gpu", str(full), code=3)["memory"]["action"]
    assert "Free its memory" in action and "sam2-plan pick" in action
    line = shlex.split(action.split("plan for what there is: sam2-plan ")[1])
    line[line.index("-o") + 1] = str(tmp_path / "smaller.yaml")
    assert invoke(*line).code == 0
    assert checks(str(tmp_path / "smaller.yaml"), "--simulate-gpu", str(full), code=0)


def test_the_advice_is_for_the_input_as_it_is(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="writes a picture")
    image.new("L", (7000, 5000)).save(tmp_path / "large.png")
    path = tmp_path / "plan.yaml"
    planner.plan(vram="0.4GB", task="automask", frame_size="480x640").save(path)
    words = (str(path), "--vram", "0.4GB", "--input", str(tmp_path / "large.png"))
    found = checks(*words, code=3)["memory"]
    assert "Give it" in found["action"] or "--frame-size 5000x7000" in found["action"]


def test_only_a_budget_names_no_gpu(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    planner.plan(gpu="RTX 3060").save(path)
    assert checks(str(path), "--vram", "4GB", code=0)["gpu"]["status"] == SKIP


@pytest.mark.parametrize("value", ["~nobody-of-that-name/x", "a" * 5000])
def test_a_path_that_no_system_takes_is_a_check_that_fails(value: str, plan_path: Path) -> None:
    assert checks(str(plan_path), "--vram", "3GB", "--checkpoint", value, code=2)["checkpoint"]["status"] == FAIL
    assert checks(str(plan_path), "--vram", "3GB", "--out", f"{value}/masks", code=1)["disk"]["status"] == FAIL


def test_a_file_is_no_folder_for_outputs(plan_path: Path) -> None:
    assert "is no folder" in checks(str(plan_path), "--vram", "3GB", "--out", str(plan_path), code=1)["disk"]["found"]


def test_a_home_that_cannot_be_looked_into_is_no_home(plan_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from planner.memory_model.current import known_model

    monkeypatch.setenv("SAM2_PLAN_HOME", "/" + "a" * 5000)
    known_model.cache_clear()
    assert checks(str(plan_path), "--vram", "3GB", code=0)
    assert invoke("doctor").code == 0
