"""A run of SAM 2 on a fake GPU: what the drivers tell of it becomes a trace.

The code that is traced is the real one, down to the masks that leave the GPU, except where it would read data
(own_host, stock_host). Where the control flow depends on data, the worst case is taken: `kept_fraction` (1.0) of the
automatic masks pass each filter, and a comparison of a number read from the GPU sees zero.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from planner.driving.calls import ROUNDS
from planner.driving.clips import OnePicture, Unbacked
from planner.driving.others import driver_of
from planner.driving.watch import Watch
from planner.nouns.run import ComponentName, PhaseName, Run
from planner.runtime.precision import AUTOCAST
from planner.simulator import events
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
    "transformers": (
        r"vision_encoder\.backbone",  # its neck keeps the encodings of positions that it made last
        r"memory_attention\.layers\.\d+",
        r"memory_encoder",
        r"mask_decoder",
    ),
    "ultralytics": (
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
        self.network: torch.nn.Module | None = None
        """The model, once it is there."""

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
        self.network = model

    def holds(self, component: ComponentName, held: Any) -> None:
        """Whose they are is settled."""
        self._gpu.label(held, component)

    def progress(self, done: int, total: int) -> None:
        """For whoever waits."""
        if self._progress:
            self._progress(done, total)


def trace(
    run: Run, gpu: FakeGpu, progress: Progress | None = None, rounds: int = ROUNDS, tracked: int | None = None
) -> events.Trace:
    """Run `run` on `gpu`; the trace, with a mark where each section begins.

    `rounds`: of a picture. `tracked`: how many frames of a clip are run; None: all. A runtime that takes the clip as a
    whole holds it whole, whatever is run of it.
    """
    watch = Tracer(gpu, progress)
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        for patch in patches(run, gpu.device):
            stack.enter_context(patch)
        stack.enter_context(gpu.run())
        gpu.trace.mark("load")
        if run.runtime == "own":
            _trace_own(_shortened(run, tracked), gpu, watch, stack, rounds)
        elif run.runtime == "stock":
            _trace_stock(_shortened(run, tracked), gpu, watch, stack, rounds)
        else:
            _trace_other(run, gpu, watch, stack, rounds, tracked)
        gpu.trace.mark("end")
    return gpu.trace


def _shortened(run: Run, frames: int | None) -> Run:
    return run if frames is None else replace(run, workload=replace(run.workload, frames=frames))


def patches(run: Run, device: str) -> Iterator[contextlib.AbstractContextManager[Any]]:
    """What is replaced around a run, because it would read data or ask for a GPU."""
    if run.runtime == "own":
        from planner.simulator import own_host

        return own_host.patches(device)
    if run.runtime == "stock":
        from planner.simulator import stock_host

        return stock_host.patches(run, device)
    from planner.simulator import other_hosts

    return other_hosts.patches(run, device)


def _trace_own(run: Run, gpu: FakeGpu, watch: Watch, stack: contextlib.ExitStack, rounds: int) -> None:
    from planner.driving import own
    from planner.simulator import own_host

    dtype = AUTOCAST.get(run.configuration.precision)
    network = own.load_network(run, gpu.device, watch, contexts=lambda: gpu.autocast(dtype))
    stack.enter_context(network.computing())
    own.drive_network(run, network, watch, own_host.frame, rounds=rounds)


def _trace_stock(run: Run, gpu: FakeGpu, watch: Watch, stack: contextlib.ExitStack, rounds: int) -> None:
    from planner.driving import stock

    stack.enter_context(torch.inference_mode())
    model = load_stock(run, gpu, watch)
    stack.enter_context(gpu.autocast(stock.autocast_type(run)))
    frames = run.workload.frames or 1
    stock.drive(run, model, watch, OnePicture(frames, run.workload.frame_size), rounds=rounds)
    _label_model(gpu, model)


def _trace_other(
    run: Run, gpu: FakeGpu, watch: Tracer, stack: contextlib.ExitStack, rounds: int, tracked: int | None
) -> None:
    driver = driver_of(run.runtime)
    stack.enter_context(torch.inference_mode())  # before: weights that want gradients are multiplied in another way
    model = driver.load(run, gpu.device, watch)
    assert watch.network is not None
    _label_model(gpu, watch.network)
    stack.enter_context(gpu.autocast(driver.autocast_type(run)))
    gpu.trace.whole_clip = True
    clip = Unbacked(run.workload.frames or tracked or 1, run.workload.frame_size)
    driver.drive(run, model, watch, clip, rounds=rounds, tracked=tracked)
    _label_model(gpu, watch.network)


def load_stock(run: Run, gpu: FakeGpu, watch: Watch) -> Any:
    """The predictor's model on the fake GPU, its weights and tables labelled."""
    from planner.driving import stock

    model = stock.load(run, gpu.device, watch)
    _label_model(gpu, model)
    return model


def _label_model(gpu: FakeGpu, model: torch.nn.Module) -> None:
    gpu.label([*model.parameters(), *model.buffers()], "weights")
    for module in model.modules():
        for name in ("cache", "freqs_cis"):
            gpu.label(getattr(module, name, None), "positional tables")
