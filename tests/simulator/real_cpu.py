"""The same drives of sam2 and of the runtime that the tracer does, run for real on the CPU under torch's profiler.

`python -m tests.simulator.real_cpu`: a process that has imported all and forks for each line of stdin, a trial as JSON;
each line of stdout is what was measured. torch's profiler remembers blocks of an earlier session, and would count their
end, so that each run needs a process of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import subprocess
import sys
import warnings
from functools import lru_cache
from typing import IO

import torch

from planner.driving import own, stock
from planner.driving.clips import OnePicture
from planner.driving.watch import Watch
from planner.measure.trial import Trial
from planner.nouns.run import Run
from planner.runtime.replacing import replaced
from planner.simulator import own_host
from planner.simulator.torch_adapters import FakeGpu
from planner.simulator.torch_patches import not_scripted
from planner.simulator.tracing import patches
from planner.simulator.tracing import trace as trace_run


class Marks(Watch):
    """Puts the sections of a run into the profiler's record."""

    def section(self, name):
        with torch.profiler.record_function(f"mark {name}"):
            pass


def measured(run: Run) -> list[tuple[str, int, int]]:
    """(section, peak, end) in bytes allocated on the CPU since the model was loaded."""
    process = _forking()
    process.stdin.write(json.dumps(Trial.of(run).to_dict()) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    sections = json.loads(line or "null")
    assert sections, "the run failed: python -m tests.simulator.real_cpu says why"
    return [tuple(section) for section in sections]


@lru_cache(maxsize=1)
def _forking() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.simulator.real_cpu"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    atexit.register(process.kill)
    return process


def _measure(run: Run) -> list[tuple[str, int, int]]:
    watch = Marks()
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        for patch in patches(run, "cpu"):
            stack.enter_context(patch)
        stack.enter_context(replaced(torch.jit, script=not_scripted))
        own_runtime = run.runtime == "own"
        model = own.load_network(run, "cpu", watch) if own_runtime else stock.load(run, "cpu", watch)
        stack.enter_context(torch.inference_mode())
        activities = [torch.profiler.ProfilerActivity.CPU]
        with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
            if own_runtime:
                own.drive_network(run, model, watch, own_host.frame)
            else:
                stock.drive(run, model, watch, OnePicture(run.workload.frames, run.workload.frame_size))
        rows = sorted(profiler.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    sections, total = [], 0
    for event in rows:
        if event.name().startswith("mark "):
            sections.append([event.name()[5:], total, total])
        elif event.name() == "[memory]":
            total += event.nbytes()
            sections[-1][1] = max(sections[-1][1], total)
            sections[-1][2] = total
    return [tuple(section) for section in sections]


def traced(run: Run) -> list[tuple[str, int, int]]:
    """The same from a trace on fake CPU tensors. What was there before counts neither for good nor when it goes."""
    gpu = FakeGpu(device="cpu")
    gc.disable()
    try:
        trace = trace_run(run, gpu)
    finally:
        gc.enable()
    loaded = trace.marks[1][1]
    old = set(trace.events[:loaded])
    sections, total = [], 0
    for name, start, stop in list(trace.sections())[1:-1]:
        peak = total
        for event in trace.events[start:stop]:
            if -event not in old:
                total += trace.allocations[abs(event) - 1].size_bytes * (1 if event > 0 else -1)
                peak = max(peak, total)
        sections.append((name, peak, total))
    return sections


def _answer(line: str, answers: IO[str]) -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            found = _measure(Trial.from_dict(json.loads(line)))
            answers.write(json.dumps(found) + "\n")
            answers.flush()
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(pid, 0)[1]:
        answers.write("null\n")
        answers.flush()


if __name__ == "__main__":
    torch.set_num_threads(1)  # whoever forks must have no threads
    told = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the profiler says things
    for asked in sys.stdin:
        _answer(asked, told)
