"""Do again what a module did before, without running it: the same births and deaths, and outputs of the same form.

A frame runs the same modules on tensors of the same form as the frame before; what they do to memory depends on
nothing else once their caches are filled. A call is remembered only if it left nothing behind but its outputs, gave
back nothing that was there before it, and returned new storages or views of its arguments; and it is repeated only
after a second call did the same, which the first one, filling caches, does not.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from planner.simulator.torch_adapters import FakeGpu

_NUMBER = re.compile(r"\d+")

Form = tuple[Any, ...]


@dataclasses.dataclass(slots=True)
class _Output:
    """One output tensor: a view of a storage born in the call, or of an argument."""

    form: Form
    born: int | None
    """Which birth of the call holds it."""
    argument: int | None
    """Which tensor argument holds it."""


@dataclasses.dataclass(slots=True)
class _Call:
    """What one call did."""

    name: str
    allocations: list[Any]
    events: list[int]
    """As in Trace, numbered from the call's first birth."""
    outputs: list[_Output]
    structure: Any
    """The returned value with numbers of outputs in place of tensors."""
    confirmed: bool = False
    """Whether another call did the same."""

    def does_as(self, other: _Call) -> bool:
        """Whether both do the same to memory."""
        sizes = [allocation.size_bytes for allocation in self.allocations]
        return (
            self.events == other.events
            and self.outputs == other.outputs
            and sizes == [allocation.size_bytes for allocation in other.allocations]
        )


class Repeats:
    """The calls of some modules, by the form of their arguments."""

    def __init__(self, gpu: FakeGpu, names: tuple[str, ...]) -> None:
        self._gpu = gpu
        self._patterns = re.compile("|".join(names))
        self._calls: dict[Form, _Call] = {}
        self._wanted: dict[str, bool] = {}
        self._shapes: dict[str, tuple[Any, ...]] = {}

    def wants(self, name: str) -> bool:
        """Whether calls of this module are to be repeated."""
        known = self._wanted.get(name)
        if known is None:
            known = self._wanted[name] = self._patterns.fullmatch(name) is not None
        return known

    def call(
        self,
        name: str,
        module: torch.nn.Module | None,
        run: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run a module or a function, or repeat what it, or a module of its kind, did on arguments of this form."""
        tensors: list[torch.Tensor] = []
        forms = _forms((args, kwargs), tensors)
        gpu = self._gpu
        key = (
            _NUMBER.sub("*", name),
            self._shapes_of(name, module),
            forms,
            gpu.phase,
            gpu.component,
            torch.is_autocast_enabled(gpu.device),
        )
        known = self._calls.get(key)
        if known is not None and known.confirmed:
            return self._repeat(known, name, tensors)
        start, first = len(gpu.trace.events), len(gpu.trace.allocations)
        result = run(*args, **kwargs)
        call = self._remember(name, start, first, result, tensors)
        if call is not None:
            call.confirmed = known is not None and known.does_as(call)
            self._calls[key] = call
        return result

    def _shapes_of(self, name: str, module: torch.nn.Module | None) -> tuple[Any, ...]:
        """Shapes of the module's parameters: modules whose names differ by a number only may differ in these."""
        known = self._shapes.get(name) if module is not None else ()
        if known is None:
            assert module is not None
            known = self._shapes[name] = tuple(tuple(parameter.shape) for parameter in module.parameters())
        return known

    def _remember(self, name: str, start: int, first: int, result: Any, arguments: list[torch.Tensor]) -> _Call | None:
        trace = self._gpu.trace
        events = [event - first if event > 0 else event + first for event in trace.events[start:]]
        if any(event == 0 or (event < 0 and -event > len(trace.allocations) - first) for event in events):
            return None
        if any(-event <= first for event in trace.events[start:] if event < 0):
            return None
        living = {event - 1 for event in events if event > 0} - {-event - 1 for event in events if event < 0}
        held = {argument.untyped_storage()._cdata: number for number, argument in enumerate(arguments)}
        outputs: list[_Output] = []
        objects: list[torch.Tensor] = []
        structure = _structure(result, objects)
        for tensor in objects:
            key = tensor.untyped_storage()._cdata
            index = self._gpu.index_of(key)
            if key in held:
                outputs.append(_Output(_form(tensor, arguments[held[key]].storage_offset()), None, held[key]))
            elif index is not None and index - first in living:
                outputs.append(_Output(_form(tensor, 0), index - first, None))
            else:
                return None
        if living != {output.born for output in outputs if output.born is not None}:
            return None
        return _Call(name, trace.allocations[first:], events, outputs, structure)

    def _repeat(self, call: _Call, name: str, arguments: list[torch.Tensor]) -> Any:
        trace = self._gpu.trace
        first = len(trace.allocations)
        for allocation in call.allocations:
            module = allocation.module
            if name != call.name and module.startswith(call.name):
                module = name + module[len(call.name) :]
            trace.allocations.append(dataclasses.replace(allocation, module=module))
        trace.events.extend(event + first if event > 0 else event - first for event in call.events)
        storages: dict[int, torch.Tensor] = {}
        tensors = []
        for output in call.outputs:
            if output.born is not None:
                whole = storages.get(output.born)
                if whole is None:
                    size_bytes = call.allocations[output.born].size_bytes
                    whole = self._gpu.materialize(first + output.born, size_bytes, output.form)
                    storages[output.born] = whole
            else:
                assert output.argument is not None
                whole = arguments[output.argument]
            tensors.append(_view(whole, output.form))
        return _filled(call.structure, tensors)


def _form(tensor: torch.Tensor, origin: int) -> Form:
    """Shape, strides, offset from `origin`, type and device."""
    return (tuple(tensor.shape), tensor.stride(), tensor.storage_offset() - origin, tensor.dtype, tensor.device.type)


def _view(whole: torch.Tensor, form: Form) -> torch.Tensor:
    shape, stride, offset, dtype, _ = form
    if whole.dtype != dtype:
        whole = whole.view(dtype)
    return whole.as_strided(shape, stride, whole.storage_offset() + offset)


def _forms(value: Any, tensors: list[torch.Tensor]) -> Any:
    """The value with forms in place of tensors, hashable; tensors are collected in order."""
    if isinstance(value, torch.Tensor):
        tensors.append(value)
        return _form(value, value.storage_offset())  # where in its storage an argument begins changes nothing
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, *(_forms(item, tensors) for item in value))
    if isinstance(value, dict):
        return tuple((name, _forms(item, tensors)) for name, item in value.items())
    return value


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    number: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Mapping:
    """A dict, or what stands for one, such as transformers' outputs, which are classes with fields."""

    kind: type
    items: dict[str, Any]


def _structure(value: Any, tensors: list[torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        for number, known in enumerate(tensors):
            if known is value:
                return _Place(number)
        tensors.append(value)
        return _Place(len(tensors) - 1)
    if isinstance(value, (list, tuple)):
        return _like(value, (_structure(item, tensors) for item in value))
    if isinstance(value, dict):
        return _Mapping(type(value), {name: _structure(item, tensors) for name, item in value.items()})
    return value


def _filled(structure: Any, tensors: list[torch.Tensor]) -> Any:
    if isinstance(structure, _Place):
        return tensors[structure.number]
    if isinstance(structure, (list, tuple)):
        return _like(structure, (_filled(item, tensors) for item in structure))
    if isinstance(structure, _Mapping):
        return structure.kind(**{name: _filled(item, tensors) for name, item in structure.items.items()})
    return structure


def _like(value: Any, items: Iterable[Any]) -> Any:
    """A list, tuple or named tuple as `value`, of other items."""
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
