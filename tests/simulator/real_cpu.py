"""The same drives of sam2 and of the runtime that the tracer does, run for real on the CPU under torch's profiler."""

from __future__ import annotations

import contextlib
import gc
import json
import subprocess
import sys
import warnings

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
    """(section, peak, end) in bytes allocated on the CPU since the model was loaded.

    In a fresh process: the profiler remembers blocks of an earlier session, and would count their end.
    """
    asked = Trial.of(run).to_dict()
    command = [sys.executable, "-m", "tests.simulator.real_cpu", json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    return [tuple(section) for section in json.loads(done.stdout.splitlines()[-1])]


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


if __name__ == "__main__":
    print(json.dumps(_measure(Trial.from_dict(json.loads(sys.argv[1])))))
