"""Every request for memory may fail: a thinned sweep of scripts/inject_out_of_memory.py, which has the whole one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.stages import ROOT, require_stage

pytest.importorskip("sam2", reason="runs the sam2 package")


def test_runs_that_meet_a_failure_recover_or_end_cleanly_and_leave_nothing_behind() -> None:
    require_stage()
    tasks = ("track, bank on the host", "correct", "several clips", "segment", "run")
    words = [word for task in tasks for word in ("--task", task)]
    command = [sys.executable, "scripts/inject_out_of_memory.py", *words, "--every", "11", "--caps", "4", "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert ran.stdout, ran.stderr[-2000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert set(found) == set(tasks)
    for task, tally in found.items():
        assert not tally["faults"], (task, tally["faults"])
        assert tally["requests"] > 10, "the driver was asked"
        assert tally["ends"]["recovered"] > 1, tally
    ends = {end for tally in found.values() for end in tally["ends"]}
    assert ends == {"recovered", "clean error"}, "some caps are too small for anything"
