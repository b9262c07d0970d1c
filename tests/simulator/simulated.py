"""Simulations and traces that several tests ask about, each made once in a process: they take seconds.

`pytestmark = traces_shared`: whatever else a module simulates, it traces the same run under the same conditions once.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest

pytest.importorskip("torch", reason="the trace runs torch")
pytest.importorskip("sam2", reason="the trace runs the sam2 package")

from planner.nouns.run import Run
from planner.simulator import Simulation, settings, simulate, tracing
from planner.simulator.events import Trace
from planner.simulator.settings import Conditions, Progress, Traced, checked, conditions_of, run_of
from planner.simulator.torch_adapters import FakeGpu

traces_shared = pytest.mark.usefixtures("traces_shared")


def simulated(**asked: Any) -> Simulation:
    """What `simulate` answers; to be read only."""
    return _simulated(tuple(sorted(asked.items())))


@lru_cache(maxsize=32)
def _simulated(asked: tuple[tuple[str, Any], ...]) -> Simulation:
    return simulate(**dict(asked))


def traced_of(**asked: Any) -> Traced:
    """What `simulate` traces for these arguments; to be read only."""
    return _traced_of(tuple(sorted(asked.items())))


@lru_cache(maxsize=8)
def _traced_of(asked: tuple[tuple[str, Any], ...]) -> Traced:
    defaults = {name: one.default for name, one in inspect.signature(simulate).parameters.items()}
    found = checked(defaults | dict(asked))
    return trace_once(run_of(found), conditions_of(found))


def trace_once(run: Run, conditions: Conditions, progress: Progress | None = None) -> Traced:
    """planner.simulator.settings.trace, which traces as many frames of a long clip; to be read only."""
    frames = settings._traced_frames(run, conditions.full_trace)
    return _trace_once(replace(run, workload=replace(run.workload, frames=frames)), conditions)


@lru_cache(maxsize=12)
def _trace_once(run: Run, conditions: Conditions) -> Traced:
    return settings.trace(run, conditions)


@lru_cache(maxsize=8)
def traced(run: Run) -> Trace:
    """The trace of a stock run, with what repeats taken from its first time; to be read only."""
    return tracing.trace(run, FakeGpu(repeat=tracing.REPEATED[run.runtime]))
