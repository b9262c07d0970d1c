"""The storages of a run on tensors without data: when each is born, when it dies, and to whom it belongs.

Private parts of torch used: UntypedStorage._cdata, which tells storages apart.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from planner.nouns.run import ComponentName, PhaseName
from planner.simulator import events
from planner.simulator.temporaries import Give, Output, Step

_KEPT = ("weights", "positional tables", "frames")
"""Components that a later label does not take over: a view of a frame is still the frames' storage."""


class Storages:
    """Follows the storages on one device and writes them to a trace.

    `phase`, `component` and the innermost of `modules` are noted with every birth.
    """

    def __init__(self, device: str) -> None:
        self.trace = events.Trace()
        self.device = device
        self.phase: PhaseName = "load"
        self.component: ComponentName = "activations"
        self.modules: list[str] = []
        """Names of the modules that are running, outermost first."""
        self._silent = False
        self._alive: dict[int, tuple[int, weakref.ref[Any]]] = {}

    @contextlib.contextmanager
    def phase_of(self, name: PhaseName, component: ComponentName | None = None) -> Iterator[None]:
        """Allocations inside belong to this phase, and to this component unless settled otherwise."""
        before = self.phase, self.component
        self.phase, self.component = name, component or self.component
        try:
            yield
        finally:
            self.phase, self.component = before

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Births inside are not recorded."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False

    def label(self, held: Any, component: ComponentName) -> None:
        """Every tensor in `held` (nested dicts and sequences) belongs to `component`."""
        for tensor in _tensors(held):
            entry = self._alive.get(tensor.untyped_storage()._cdata)
            if entry is not None and entry[0] >= 0:
                allocation = self.trace.allocations[entry[0]]
                if allocation.component not in _KEPT:
                    allocation.component = component

    def adopt(self, held: Any, component: ComponentName) -> None:
        """Record storages that were made past the dispatcher (deepcopy does that), as if they were born now."""
        for tensor in _tensors(held):
            if isinstance(tensor, FakeTensor):
                self.birth(tensor, "deepcopy", component)

    def size_of(self, held: Any) -> int:
        """Bytes of the distinct storages under `held`."""
        storages = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in _tensors(held)}
        return sum(storages.values())

    def birth(self, tensor: torch.Tensor, operation: str, component: ComponentName) -> None:
        """Record a tensor's storage, unless it is followed already or lies elsewhere."""
        if tensor.device.type != self.device or self._silent:
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        size_bytes = storage.nbytes()
        if not size_bytes:
            return
        index = self.record(size_bytes, operation, component)
        self._alive[key] = (index, weakref.ref(storage, partial(self._death, key, index)))

    def record(self, size_bytes: int, operation: str, component: ComponentName) -> int:
        """An allocation without a tensor; its number."""
        module = self.modules[-1] if self.modules else ""
        return self.trace.born(events.Allocation(size_bytes, operation, module, self.phase, component))

    def index_of(self, key: int) -> int | None:
        """The number of the allocation with this storage, None for one that is not followed."""
        entry = self._alive.get(key)
        return entry[0] if entry is not None and entry[0] >= 0 else None

    def materialize(self, index: int, size_bytes: int, form: tuple[Any, ...]) -> torch.Tensor:
        """A flat tensor over all of a storage whose birth is in the trace already."""
        dtype = form[3]
        with self.silence():
            whole = torch.empty((size_bytes // dtype.itemsize,), dtype=dtype, device=self.device)
        storage = whole.untyped_storage()
        key = storage._cdata
        self._alive[key] = (index, weakref.ref(storage, partial(self._death, key, index)))
        return whole

    def _death(self, key: int, index: int, reference: Any) -> None:
        if self._alive.pop(key, None) is not None:
            self.trace.died(index)

    def ignore(self, tensor: torch.Tensor) -> None:
        """Leave this tensor's storage out of the trace."""
        storage = tensor.untyped_storage()
        self._alive.setdefault(storage._cdata, (-1, weakref.ref(storage, partial(self._forget, storage._cdata))))

    def component_of(self, tensor: torch.Tensor) -> ComponentName | None:
        """To whom the tensor's storage belongs, None for one that is not followed."""
        index = self.index_of(tensor.untyped_storage()._cdata)
        return None if index is None else self.trace.allocations[index].component

    def forget_all(self) -> None:
        """The run is over; deaths are no longer recorded."""
        self._alive.clear()

    def _forget(self, key: int, reference: Any) -> None:
        self._alive.pop(key, None)

    def perform(
        self, steps: Sequence[Step], outputs: Sequence[torch.Tensor], operation: str, component: ComponentName
    ) -> None:
        """Record what an operation does to memory. Outputs that no step makes exist on fake tensors only."""
        buffers: dict[str, int] = {}
        for step in steps:
            if isinstance(step, Output):
                self.birth(outputs[step.number], operation, component)
            elif isinstance(step, Give):
                if step.name in buffers:
                    self.trace.died(buffers.pop(step.name))
            elif step.size_bytes:
                buffers[step.name] = self.record(step.size_bytes, step.name, "workspaces")
        for output in outputs:
            self.ignore(output)

    def scratch(self, size_bytes: int, operation: str) -> None:
        """A buffer that a kernel takes and gives back within one operation."""
        if size_bytes:
            self.trace.died(self.record(size_bytes, operation, "workspaces"))


def _tensors(held: Any) -> Iterator[torch.Tensor]:
    if isinstance(held, torch.Tensor):
        yield held
    elif isinstance(held, dict):
        for value in held.values():
            yield from _tensors(value)
    elif isinstance(held, (list, tuple)):
        for value in held:
            yield from _tensors(value)
