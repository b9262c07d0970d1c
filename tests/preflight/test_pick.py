"""`sam2-plan pick` and `planner.pick`: which GPU has room now."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import planner
from planner.errors import EnvironmentFailure, UsageError
from tests.conftest import ROOT, invoke
from tests.preflight.machines import gpu, hopeless_size, report, report_of

GB = 10**9


def uuid(number: int) -> str:
    return f"GPU-{number:08d}-0000-0000-0000-000000000000"


def test_the_gpu_with_the_most_room_is_printed_and_nothing_else(plan_path: Path, tmp_path: Path) -> None:
    machine = report(tmp_path, [gpu(n, card_free_bytes=free) for n, free in enumerate([2 * GB, 9 * GB, 4 * GB])])
    outcome = invoke("pick", str(plan_path), "--simulate-gpu", str(machine))
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{uuid(1)}\n", "")
    two = invoke("pick", str(plan_path), "--simulate-gpu", str(machine), "--gpus", "2")
    assert two.out == f"{uuid(1)},{uuid(2)}\n"
    assert invoke("pick", str(plan_path), "--simulate-gpu", str(machine), "--index", "--gpus", "3").out == "1,2,0\n"
    document = invoke("pick", str(plan_path), "--simulate-gpu", str(machine), "--format", "json").document
    assert document["value"] == uuid(1)
    assert [one["gpu"]["index"] for one in document["others"]] == [2, 0]


def test_slices_are_printed_by_their_uuids(plan_path: Path, tmp_path: Path) -> None:
    machine = report_of("a100-mig", tmp_path)
    outcome = invoke("pick", str(plan_path), "--simulate-gpu", str(machine), "--gpus", "3")
    assert outcome.out.strip().split(",")[1:] == [
        "MIG-00000001-0000-0000-0000-000000000000", "MIG-00000000-0000-0000-0000-000000000000",
    ]  # fmt: skip
    by_index = invoke("pick", str(plan_path), "--simulate-gpu", str(machine), "--gpus", "3", "--index")
    assert by_index.code == 2 and "MIG slice" in by_index.err


def test_what_cuda_takes_is_what_was_printed(plan_path: Path, tmp_path: Path) -> None:
    """As in the help: in a command's own environment."""
    machine = report(tmp_path, [gpu(0, card_free_bytes=GB), gpu(1)])
    line = (
        f'CUDA_VISIBLE_DEVICES=$("{sys.executable}" -m planner pick "{plan_path}" --simulate-gpu "{machine}") '
        f'"{sys.executable}" -c \'import os; print(os.environ["CUDA_VISIBLE_DEVICES"])\''
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == (f"{uuid(1)}\n", 0)


def test_no_room_is_exit_3_with_what_each_lacks(plan_path: Path, tmp_path: Path) -> None:
    machine = report(tmp_path, [gpu(0, card_free_bytes=GB), gpu(1, card_free_bytes=3 * GB)])
    words = ("pick", str(plan_path), "--simulate-gpu", str(machine), "--gpus", "2")
    outcome = invoke(*words)
    assert (outcome.code, outcome.out) == (3, "")
    assert "1 of 2 GPUs have room" in outcome.err and "0: large 2.1" in outcome.err and "--wait" in outcome.err
    assert invoke(*words, "--format", "json").document["error"]["code"] == "does_not_fit"


def test_no_gpu_is_exit_1_and_too_many_exit_2(plan_path: Path, tmp_path: Path) -> None:
    none = report(tmp_path, [], reasons={"gpus": "NVML: Driver Not Loaded"})
    plan = planner.Plan.load(plan_path)
    with pytest.raises(EnvironmentFailure, match="Driver Not Loaded"):
        planner.pick(plan, simulate_gpu=none)
    with pytest.raises(UsageError, match="2 GPUs are asked for, but 1 are here"):
        planner.pick(plan, gpus=2, simulate_gpu=report(tmp_path))
    for gpus in ("0", "-1", "1.5", "all"):
        outcome = invoke("pick", str(plan_path), "--simulate-gpu", str(report(tmp_path)), "--gpus", gpus)
        assert outcome.code == 2 and gpus in outcome.err


def test_a_plan_that_chose_nothing_has_no_place(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    planner.plan(vram=hopeless_size(), objects=10).save(path)
    assert invoke("pick", str(path), "--simulate-gpu", str(report(tmp_path))).code == 3


def test_waiting_for_room(plan_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from planner.wire.machine import read_machine

    full = read_machine(report(tmp_path, [gpu(card_free_bytes=GB)]))
    looks = iter([full, full, read_machine(report(tmp_path))])
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert planner.pick(planner.Plan.load(plan_path), wait=60, look=lambda: next(looks)).value == uuid(0)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 6))
def test_those_picked_have_room_and_no_other_has_more(free: list[int], count: int) -> None:
    import tempfile

    plan = planner.plan(vram="3GB", objects=10)
    with tempfile.TemporaryDirectory() as folder:
        cards: list[dict[str, Any]] = [
            gpu(number, card_bytes=48 * GB, card_free_bytes=one * GB) for number, one in enumerate(free)
        ]
        machine = report(Path(folder), cards)
        roomy = [one for one in free if one * GB * 0.95 >= 1.6e9]
        if count > len(free):
            with pytest.raises(UsageError):
                planner.pick(plan, gpus=count, simulate_gpu=machine)
        elif count > len(roomy):
            with pytest.raises(planner.DoesNotFit):
                planner.pick(plan, gpus=count, simulate_gpu=machine)
        else:
            found = planner.pick(plan, gpus=count, simulate_gpu=machine)
            picked = [offer.gpu.free_bytes for offer in found.picked]
            assert picked == sorted((one * GB for one in free), reverse=True)[:count]
