"""Estimators that run the real code on fake tensors: plain FakeTensorMode, torch's MemTracker, this project."""

from __future__ import annotations

import gc
import weakref
from functools import partial
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from estimators import harness
from estimators.cases import CAPABILITY, CPU, FRAME_SIZE, Answer, Case
from planner.nouns.words import TASKS
from planner.text.spelling import check_word


class LiveStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages on one device that operations return, and takes them off when they die."""

    def __init__(self, device: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device
        self.live_bytes = 0
        self.peak_bytes = 0
        self.made_bytes = 0
        """All that was ever made: the sum of outputs."""
        self._alive: dict[int, weakref.ref[Any]] = {}

    def add(self, tensor: torch.Tensor) -> None:
        """Count the tensor's storage unless it is counted."""
        storage = tensor.untyped_storage()
        key, size_bytes = storage._cdata, storage.nbytes()
        if tensor.device.type != self.device or key in self._alive:
            return
        self._alive[key] = weakref.ref(storage, partial(self._died, key, size_bytes))
        self.live_bytes += size_bytes
        self.made_bytes += size_bytes
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)

    def _died(self, key: int, size_bytes: int, reference: Any) -> None:
        if self._alive.pop(key, None) is not None:
            self.live_bytes -= size_bytes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                self.add(value)
        return result


def fake_storages(case: Case) -> Answer:
    """Peak of live storages on the device."""
    # Built for real first: sam2's constructors read numbers from tensors.
    model = harness.build(case)
    with harness.fake_host(case), FakeTensorMode(allow_non_fake_inputs=True), LiveStorages(case.device) as storages:
        harness.make_fake(model, case.device)
        harness.run(case, model, case.device)
    return Answer(peak_bytes=storages.peak_bytes, parts={"sum of all outputs": storages.made_bytes})


def mem_tracker(case: Case) -> Answer:
    """Peak total of the device as MemTracker shows it.

    The model becomes fake inside of it: track_external would miss the rotary tables, which sam2 keeps as plain
    attributes. Between frames its module statistics must be reset, or it refuses to go on.
    """
    from torch.distributed._tools.mem_tracker import MemTracker

    model = harness.build(case)
    with harness.fake_host(case), FakeTensorMode(allow_non_fake_inputs=True), MemTracker() as tracker:
        harness.make_fake(model, case.device)
        harness.run(case, model, case.device, step=tracker.reset_mod_stats)
    snapshots = tracker.get_tracker_snapshot("peak")
    found = [shown for device, shown in snapshots.items() if device.type == case.device]
    parts = {str(getattr(kind, "value", kind)): int(size) for kind, size in found[0].items() if size}
    return Answer(peak_bytes=parts.pop("Total"), parts=parts)


def sam2_plan(case: Case) -> Answer:
    """This project: `simulate` for CUDA; for the CPU the tracer's curve, since there is no allocator to model there."""
    if case.device == CPU:
        return Answer(peak_bytes=_cpu_peak_bytes(case))
    from planner.simulator.simulation import simulate

    if case.run == "encoder":
        return Answer(reason="simulates whole tasks; the encoder alone is none")
    result = simulate(
        task=check_word(case.run, "task", TASKS),
        variant=case.variant,
        version=case.version,
        resolution=case.side,
        frames=case.frames,
        precision=case.precision,
        capability=CAPABILITY,
        frame_size=FRAME_SIZE,
        runtime="stock",
    )
    parts = {component.name: component.bytes for component in result.components if component.bytes}
    return Answer(
        peak_bytes=result.allocated_bytes,
        headline_bytes=result.total_bytes,
        parts=parts,
        note=f"its total adds the allocator's cache (reserved {result.reserved_bytes:,} B) and the CUDA context",
    )


def _cpu_peak_bytes(case: Case) -> int:
    from planner.simulator.torch_adapters import FakeGpu
    from planner.simulator.tracing import Tracer, load_stock, trace

    run = harness.run_of(case)
    gpu = FakeGpu(device=CPU)
    # Storages die with their last reference; the collector of cycles would make their order depend on chance.
    gc.disable()
    try:
        if case.run == "encoder":
            with gpu.run():
                model = load_stock(run, gpu, Tracer(gpu))
                harness.run(case, model)
        else:
            trace(run, gpu, rounds=1)
    finally:
        gc.enable()
    return max(gpu.trace.curve_bytes())
