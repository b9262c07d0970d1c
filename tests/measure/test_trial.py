"""A trial in a process of its own: the real code on the CPU, where nothing counts bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from planner.measure import trial as module
from planner.measure.record import measurement
from planner.measure.trial import Trial, died, run_trial
from planner.nouns.run import Configuration, Sam2, Workload
from tests.conftest import ROOT


def trial(runtime: str, task: str, **changed: object) -> Trial:
    configuration = Configuration(
        variant="tiny", version="2.1", resolution=(256, 256), precision="float32", bounded_memory_bank=runtime == "own"
    )
    workload = Workload(task=task, objects=2 if task == "video" else 1, frames=3, frame_size=(64, 96))
    return Trial(runtime=runtime, configuration=configuration, workload=workload, device="cpu")


@pytest.mark.parametrize(("runtime", "task"), [("own", "video"), ("stock", "video"), ("own", "image")])
def test_the_real_code_runs_and_on_a_cpu_no_byte_is_claimed(runtime: str, task: str) -> None:
    pytest.importorskip("sam2", reason="runs the sam2 package")
    outcome = run_trial(trial(runtime, task), timeout_seconds=200)
    assert (outcome.outcome, outcome.error) == ("ran", None)
    assert outcome.frames == 3
    assert outcome.seconds_per_frame
    assert outcome.versions["sam2"]
    assert (outcome.allocated_bytes, outcome.reserved_bytes, outcome.context_bytes, outcome.gpu) == (None,) * 4
    row = measurement(trial(runtime, task), outcome, "measured", "cpu")
    assert (row.figures, row.use) == ((), "reference")


def test_no_gpu_is_an_outcome_with_a_reason() -> None:
    torch = pytest.importorskip("torch", reason="runs torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    asked = trial("own", "image")
    outcome = run_trial(Trial(runtime="own", configuration=asked.configuration, workload=asked.workload))
    assert outcome.outcome == "failed"
    assert outcome.error


def test_a_trial_that_takes_too_long_is_ended() -> None:
    outcome = run_trial(trial("own", "video"), timeout_seconds=0.2)
    assert outcome.outcome == "failed"
    assert "longer than 0.2 s" in (outcome.error or "")


def test_a_trial_survives_json_and_is_named_by_all_it_says() -> None:
    asked = trial("own", "video")
    assert Trial.from_dict(json.loads(json.dumps(asked.to_dict()))) == asked
    point = replace(asked, prompt="point", sam2=Sam2(legacy=True))
    assert Trial.from_dict(json.loads(json.dumps(point.to_dict()))) == point
    assert "prompt" not in asked.to_dict(), "rows are written as they always were"
    assert len({asked.id, point.id, replace(point, prompt="mask").id}) == 3
    names = {trial(runtime, task).id for runtime in ("own", "stock") for task in ("image", "video", "automask")}
    assert len(names) == 6


@pytest.mark.parametrize(("code", "words"), [(-9, "out of host memory"), (-11, "signal 11"), (3, "exit code 3")])
def test_a_child_that_dies_says_how(code: int, words: str) -> None:
    assert words in died(code, "last words")
    assert "last words" in died(code, "last words")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import time; time.sleep(60)", "longer than 0.5 s"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9"),
        ("print('done')", "exit code 0"),
        ("raise SystemExit('no such thing')", "no such thing"),
    ],
    ids=["hangs", "killed", "says nothing", "complains"],
)
def test_a_child_that_does_not_answer_is_a_row(code: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    child = SimpleNamespace(executable=sys.executable)
    original = subprocess.Popen

    def popen(command: list[str], **options: object) -> object:
        return original([child.executable, "-c", code], **options)

    monkeypatch.setattr(module.subprocess, "Popen", popen)
    outcome = run_trial(trial("own", "image"), timeout_seconds=0.5 if "sleep" in code else 30)
    assert outcome.outcome == "failed"
    assert message in (outcome.error or "")


def test_a_child_ends_with_whoever_started_it() -> None:
    pytest.importorskip("sam2", reason="runs the sam2 package")
    code = """
from dataclasses import replace
from planner.measure.trial import run_trial
from tests.measure.test_trial import trial
long = trial("own", "video")
run_trial(replace(long, workload=replace(long.workload, frames=10000)))
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as parent:
        child = _child_of(parent.pid)
        time.sleep(0.2)
        parent.send_signal(signal.SIGKILL)
    for _ in range(300):
        if not _alive(child):
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the child outlived its parent")


@pytest.mark.gpu
def test_on_a_gpu_bytes_are_counted_and_a_cap_holds() -> None:
    asked = trial("own", "video")
    free = run_trial(Trial(runtime="own", configuration=asked.configuration, workload=asked.workload))
    assert free.outcome == "ran"
    assert 0 < (free.allocated_bytes or 0) <= (free.reserved_bytes or 0)
    assert {"load", "encode", "track"} <= set(free.phases)
    assert free.reserved_bytes is not None and free.context_bytes is not None
    short = free.context_bytes + free.reserved_bytes // 2
    for cap_bytes, outcome in ((short, "out_of_memory"), (free.context_bytes + free.reserved_bytes, "ran")):
        capped = run_trial(
            Trial(runtime="own", configuration=asked.configuration, workload=asked.workload, cap_bytes=cap_bytes)
        )
        assert capped.outcome == outcome, capped.error
        assert capped.context_bytes is not None
        assert 0 < (capped.reserved_bytes or 0) <= cap_bytes - capped.context_bytes


def _child_of(parent: int) -> int:
    path = Path(f"/proc/{parent}/task/{parent}/children")
    if not path.exists():
        pytest.skip("this system does not list children")
    for _ in range(200):
        found = path.read_text(encoding="ascii").split()
        if found:
            return int(found[0])
        time.sleep(0.1)
    raise AssertionError("no child was started")


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return False
