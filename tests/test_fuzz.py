"""The fuzzer of scripts/ in small, and that it would notice."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'scripts'}"}


@pytest.mark.parametrize("count", [200, pytest.param(500, marks=pytest.mark.slow)])
def test_broken_command_lines_and_files_end_in_the_contract(count: int) -> None:
    """10,000 of them by hand: python scripts/fuzz_commands.py; how long they take is judged there, too."""
    command = [sys.executable, "scripts/fuzz_commands.py", "--count", str(count), "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert f"{count} cases" in done.stdout and "0 with faults" in done.stdout
    codes = done.stdout.split("exit codes {")[1].split("}")[0]
    known = (0, 2, 3) if count == 500 else (0, 2)
    assert all(f"{code}: " in codes for code in known), "sound ones are among them"


PLANTED = """
import tempfile, pathlib
import fuzz_commands as fuzz

case = fuzz.Case(("--vram", "2GB"), {"plan.yaml": b"x"}, frozenset({"out.json"}))

def faults(program):
    fuzz.sam2_plan = program
    return fuzz.run(case, "0:0", pathlib.Path(tempfile.mkdtemp()).resolve()).faults

def writes(words):
    pathlib.Path("elsewhere.txt").write_text("x")
    pathlib.Path("out.json").write_text("x")
    return 0

def overwrites(words):
    pathlib.Path("plan.yaml").write_text("y")
    return 0

def far_away(words):
    with open(pathlib.Path(tempfile.gettempdir()) / "sam2-plan-fuzz-far", "w"):
        return 0

def raises(words):
    raise KeyError("planted")

def garbled(words):
    print('{"a": 1}{"b": 2}')
    return 0

assert faults(lambda words: 0) == ()
assert "it wrote elsewhere.txt" in faults(writes) and len(faults(writes)) == 1
assert faults(overwrites) == ("it wrote plan.yaml",)
assert "sam2-plan-fuzz-far" in faults(far_away)[0]
assert "KeyError" in faults(raises)[0]
assert faults(lambda words: 9)[0] == "exit code 9"
assert "one JSON document" in faults(garbled)[0]
assert "without a message" in faults(lambda words: 2)[0]
"""


def test_the_fuzzer_notices_what_it_is_there_for() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLANTED], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
