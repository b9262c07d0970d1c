"""Simulations and traces that several tests ask about, each made once in a process: they take seconds."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

import pytest

pytest.importorskip("torch", reason="the trace runs torch")
pytest.importorskip("sam2", reason="the trace runs the sam2 package")

from planner.nouns.run import Run
from planner.simulator import Simulation, simulate, tracing
from planner.simulator.events import Trace
from planner.simulator.settings import Traced, checked, conditions_of, run_of, trace
from planner.simulator.torch_adapters import FakeGpu


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
    return trace(run_of(found), conditions_of(found))


@lru_cache(maxsize=8)
def traced(run: Run) -> Trace:
    """The trace of a stock run, with what repeats taken from its first time; to be read only."""
    return tracing.trace(run, FakeGpu(repeat=tracing.REPEATED[run.runtime]))
