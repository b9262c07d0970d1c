"""The same drives of sam2 and of the runtime that the tracer does, run for real on the CPU under torch's profiler."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import subprocess
import sys
import warnings
from unittest import mock

import torch

from planner.domain import Configuration
from planner.simulator import own, stock, stock_host, stock_tasks
from planner.simulator.torch_adapters import FakeGpu
from planner.simulator.torch_patches import not_scripted


class _Marks:
    """Puts the marks of a trace into the profiler's record."""

    def mark(self, name):
        with torch.profiler.record_function(f"mark {name}"):
            pass


class RealCpu:
    """Stands in for FakeGpu: everything runs, nothing is recorded."""

    device = "cpu"

    def __init__(self) -> None:
        self.trace = _Marks()
        self.phase, self.component = "load", ""

    @contextlib.contextmanager
    def phase_of(self, name, component=None):
        yield

    def in_phase(self, method, name, component=None):
        return method

    def repeated(self, function, name):
        return function

    def autocast(self, dtype):
        return contextlib.nullcontext()

    def label(self, held, component):
        pass

    def name_modules(self, model):
        pass


def measured(run: stock.StockRun | own.OwnRun) -> list[tuple[str, int, int]]:
    """(section, peak, end) in bytes allocated on the CPU since the model was loaded.

    In a fresh process: the profiler remembers blocks of an earlier session, and would count their end.
    """
    command = [sys.executable, "-m", "tests.simulator.real_cpu", json.dumps(dataclasses.asdict(run))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    return [tuple(section) for section in json.loads(done.stdout.splitlines()[-1])]


def _measure(run: stock.StockRun | own.OwnRun) -> list[tuple[str, int, int]]:
    cpu = RealCpu()
    ours = isinstance(run, own.OwnRun)
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        for patch in own.patches(cpu) if ours else stock_host.patches(run, cpu):
            stack.enter_context(patch)
        stack.enter_context(mock.patch.object(torch.jit, "script", not_scripted))
        model = own.load(run, cpu) if ours else stock.load(run, cpu)
        stack.enter_context(torch.inference_mode())
        drive = own.drive if ours else {"image": stock_tasks.drive_image, "video": stock_tasks.drive_video}[run.task]
        activities = [torch.profiler.ProfilerActivity.CPU]
        with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
            drive(run, cpu, model, lambda done, total: None)
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


def traced(run: stock.StockRun | own.OwnRun) -> list[tuple[str, int, int]]:
    """The same from a trace on fake CPU tensors. What was there before counts neither for good nor when it goes."""
    gpu = FakeGpu(device="cpu")
    gc.disable()
    try:
        trace = own.trace_own(run, gpu) if isinstance(run, own.OwnRun) else stock.trace_stock(run, gpu)
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
    fields = json.loads(sys.argv[1])
    if "configuration" in fields:
        asked = own.OwnRun(**fields | {"configuration": Configuration(**fields["configuration"])})
    else:
        asked = stock.StockRun(**fields)
    print(json.dumps(_measure(asked)))
