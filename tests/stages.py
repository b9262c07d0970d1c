"""Fresh processes on imaginary GPUs, for tests of what meets CUDA."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from planner.rehearsal.building import why_not_rehearsing
from planner.rehearsal.machine import ImaginaryGpu, imaginary_gpu
from planner.rehearsal.stage import Stage

ROOT = Path(__file__).resolve().parent.parent
ON_STAGE = "SAM2_PLAN_TESTS_ON_STAGE"
"""Set in processes that tests start on an imaginary GPU."""
MB = 10**6


def require_stage() -> None:
    """Skip the test, with the reason, where CUDA cannot be rehearsed."""
    reason = why_not_rehearsing()
    if reason is not None:
        pytest.skip(f"there is no GPU, and none can be imagined: {reason}")


def on_stage(
    *command: str,
    gpus: Sequence[ImaginaryGpu] = (),
    variables: dict[str, str] | None = None,
    timeout: float = 280,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a command with imaginary GPUs (one of compute capability 8.6 unless told)."""
    require_stage()
    with Stage(gpus or [imaginary_gpu()], zero_scalars=True, **options) as stage:
        environment = stage.environment({**os.environ, "PYTHONPATH": str(ROOT), ON_STAGE: "1", **(variables or {})})
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, cwd=ROOT)


def python_on_stage(code: str, *words: str, **options: Any) -> str:
    """What a Python program prints; it must end well."""
    ran = on_stage(sys.executable, "-W", "ignore", "-c", code, *words, **options)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


def sam2_plan_on_stage(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command line of the program, in a process of its own."""
    return on_stage(sys.executable, "-m", "planner", *words, **options)
