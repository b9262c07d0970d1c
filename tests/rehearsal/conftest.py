"""Stages for tests, and Python programs that are run on them without torch, through CUDA's C interface."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from planner.rehearsal.building import Libraries, libraries, why_not_rehearsing
from planner.rehearsal.machine import imaginary_gpu
from planner.rehearsal.stage import Stage

GB = 10**9
MIB = 2**20


@pytest.fixture(scope="session")
def built() -> Libraries:
    reason = why_not_rehearsing()
    if reason is not None:
        pytest.skip(f"CUDA cannot be rehearsed here: {reason}")
    return libraries()


PRELUDE = """
import ctypes, json, os, signal, sys, time
cuda = ctypes.CDLL(None)
OUT_OF_MEMORY, INITIALIZATION, NO_DEVICE, INVALID_DEVICE, NOT_SUPPORTED = 2, 3, 100, 101, 801
def number(call, *arguments, of=ctypes.c_int):
    value = of()
    return (call(ctypes.byref(value), *arguments), value.value)
def count(): return number(cuda.cudaGetDeviceCount)
def allocate(size):
    pointer = ctypes.c_void_p()
    return cuda.cudaMalloc(ctypes.byref(pointer), ctypes.c_size_t(size)), pointer
def memory():
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    error = cuda.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
    return [free.value, total.value] if error == 0 else error
def bus(device):
    text = ctypes.create_string_buffer(32)
    return text.value.decode() if cuda.cudaDeviceGetPCIBusId(text, 32, device) == 0 else None
def tell(**answers): print(json.dumps(answers), flush=True)
"""


def start(stage: Stage, program: str, **environment: str) -> subprocess.Popen[str]:
    """A Python program on the stage; it writes lines of JSON, and may wait for lines on its stdin."""
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + program],
        env={**stage.environment(), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Of a program that was started, once it has ended; its stderr is under "stderr", its pid under "pid"."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    found: dict[str, Any] = {"stderr": err, "pid": process.pid}
    for line in out.splitlines():
        found.update(json.loads(line))
    return found


def ask(stage: Stage, program: str, **environment: str) -> dict[str, Any]:
    return answers(start(stage, program, **environment))


def waiting(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of a program that goes on running."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr.read() if process.stderr else ""
    return dict(json.loads(line))


def small(total_bytes: int = 2 * GB, **facts: Any) -> Any:
    """A GPU with a context of 100 MB."""
    return imaginary_gpu(total_bytes=total_bytes, context_bytes=100_000_000, **facts)


@pytest.fixture
def fake_python(tmp_path: Path) -> Any:
    """Makes interpreters that find no other packages than those of a folder."""

    def make(site: Path | None) -> str:
        path = tmp_path / "python-of-a-test"
        look = f"PYTHONPATH='{site}' " if site else ""
        path.write_text(f"#!/bin/sh\n{look}exec '{sys.executable}' -S \"$@\"\n")
        path.chmod(0o755)
        return str(path)

    return make
