"""A run of SAM 2 on a fake GPU: what the drivers tell of it becomes a trace.

The code that is traced is the real one, down to the masks that leave the GPU, except where it would read data
(own_host, stock_host). Where the control flow depends on data, the worst case is taken: `kept_fraction` (1.0) of the
automatic masks pass each filter, and a comparison of a number read from the GPU sees zero.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from planner.driving import own, stock
from planner.driving.clips import OnePicture
from planner.driving.watch import Watch
from planner.nouns.run import ComponentName, PhaseName, Run
from planner.runtime.network import AUTOCAST
from planner.simulator import events, own_host, stock_host
from planner.simulator.torch_adapters import FakeGpu

Progress = Callable[[int, int], None]

REPEATED = {
    "own": (
        r"sam_mask_decoder",
        r"memory_encoder\.\w+",
        r"memory_attention\.layers\.\d+\.\w+",
        r"image_encoder\.trunk\.blocks\.\d+\.\w+",
    ),
    "stock": (
        r"image_encoder",
        r"memory_attention\.layers\.\d+",
        r"memory_encoder",
        r"sam_mask_decoder",
    ),
}
"""By runtime: modules whose calls depend on nothing but the form of their arguments, once their caches are filled.
Functions of our own runtime that do say so themselves (Watch.step)."""


class Tracer(Watch):
    """Writes what it is told into the trace of a fake GPU."""

    def __init__(self, gpu: FakeGpu, progress: Progress | None = None) -> None:
        self._gpu = gpu
        self._progress = progress

    def phase(self, name: PhaseName, component: ComponentName | None = None) -> contextlib.AbstractContextManager[None]:
        """Births within belong to it."""
        return self._gpu.phase_of(name, component)

    detail = phase

    def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Repeated where it was done before."""
        return self._gpu.step(name, function, *args, **kwargs)

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """Births within are on another stream, as where there is a GPU."""
        first = len(self._gpu.trace.allocations)
        yield
        if self._gpu.device == "cuda":
            self._gpu.trace.elsewhere.update(range(first, len(self._gpu.trace.allocations)))

    def section(self, name: str) -> None:
        """A mark in the trace."""
        self._gpu.trace.mark(name)

    def model(self, model: Any) -> None:
        """Modules give their names to what they allocate."""
        self._gpu.name_modules(model)

    def holds(self, component: ComponentName, held: Any) -> None:
        """Whose they are is settled."""
        self._gpu.label(held, component)

    def progress(self, done: int, total: int) -> None:
        """For whoever waits."""
        if self._progress:
            self._progress(done, total)


def trace(run: Run, gpu: FakeGpu, progress: Progress | None = None, rounds: int = stock.ROUNDS) -> events.Trace:
    """Run `run` on `gpu`; the trace, with a mark where each section begins. `rounds`: of a picture."""
    watch = Tracer(gpu, progress)
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        for patch in patches(run, gpu.device):
            stack.enter_context(patch)
        stack.enter_context(gpu.run())
        gpu.trace.mark("load")
        (_trace_own if run.runtime == "own" else _trace_stock)(run, gpu, watch, stack, rounds)
    return gpu.trace


def patches(run: Run, device: str) -> Iterator[contextlib.AbstractContextManager[Any]]:
    """What is replaced around a run, because it would read data or ask for a GPU."""
    return own_host.patches(device) if run.runtime == "own" else stock_host.patches(run, device)


def _trace_own(run: Run, gpu: FakeGpu, watch: Watch, stack: contextlib.ExitStack, rounds: int) -> None:
    dtype = AUTOCAST.get(run.configuration.precision)
    network = own.load_network(run, gpu.device, watch, contexts=lambda: gpu.autocast(dtype))
    stack.enter_context(network.computing())
    own.drive_network(run, network, watch, own_host.frame, rounds=rounds)
    gpu.trace.mark("end")


def _trace_stock(run: Run, gpu: FakeGpu, watch: Watch, stack: contextlib.ExitStack, rounds: int) -> None:
    model = load_stock(run, gpu, watch)
    stack.enter_context(torch.inference_mode())
    stack.enter_context(gpu.autocast(stock.autocast_type(run)))
    frames = run.workload.frames or 1
    stock.drive(run, model, watch, OnePicture(frames, run.workload.frame_size), rounds=rounds)
    gpu.trace.mark("end")
    _label_model(gpu, model)


def load_stock(run: Run, gpu: FakeGpu, watch: Watch) -> Any:
    """The predictor's model on the fake GPU, its weights and tables labelled."""
    model = stock.load(run, gpu.device, watch)
    _label_model(gpu, model)
    return model


def _label_model(gpu: FakeGpu, model: torch.nn.Module) -> None:
    gpu.label([*model.parameters(), *model.buffers()], "weights")
    for module in model.modules():
        for name in ("cache", "freqs_cis"):
            gpu.label(getattr(module, name, None), "positional tables")
