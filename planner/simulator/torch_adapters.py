"""Everything that touches private parts of torch, in one place.

`FakeGpu` makes torch run on tensors that have shapes and devices but no data, and writes the births and
deaths of their storages to a Trace. It knows nothing of SAM 2 beyond the names that callers give it.

Written for torch 2.8 to 2.14. Private parts used: FakeTensorMode, TorchDispatchMode, OpOverload.decompose,
FakeTensor.constant, UntypedStorage._cdata, torch._C's dispatch-key guards.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

import numpy
import torch
from torch._meta_registrations import meta_conv
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.utils._python_dispatch import TorchDispatchMode

from planner.errors import PlannerError
from planner.simulator import events, kernels
from planner.simulator.attention import choose_attention
from planner.simulator.repeats import Repeats
from planner.simulator.torch_indexing import WithoutDeviceGuards
from planner.simulator.workspaces import Workspaces

aten = torch.ops.aten

_KEPT = (events.WEIGHTS, events.TABLES, events.FRAMES)
"""Components that a later label does not take over: a view of a frame is still the frames' storage."""

_GEMM = {"mm", "addmm", "bmm", "baddbmm", "_addmm_activation"}
"""Operations that run on cuBLAS and so make torch take its workspace."""


class UnknownOperation(PlannerError):
    """The run used an operation that the tracer cannot follow."""


class FakeGpu(TorchDispatchMode):
    """A device on which everything runs and nothing is computed.

    Inside `with FakeGpu(...) as gpu:` tensors are fake; `gpu.trace` gains an event for every storage that is born
    or dies on `device`. `device` is "cuda" for a GPU of the given compute capability, or "cpu" to trace what a CPU
    run would allocate (for comparison with a real one). `attention` forces a scaled-dot-product kernel.
    `kept_fraction` says which share of elements boolean selections keep: 1.0 is the worst case. `repeat` names
    modules (patterns) whose calls may be repeated instead of run (repeats.py).
    """

    def __init__(
        self,
        *,
        capability: tuple[int, int] = (8, 6),
        attention: str = "auto",
        device: str = "cuda",
        workspaces: Workspaces | None = None,
        kept_fraction: float = 1.0,
        repeat: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.trace = events.Trace()
        self.device = device
        self.phase = "load"
        self.component = events.ACTIVATIONS
        self.capability = capability
        self.attention = attention
        self.kept_fraction = kept_fraction
        self._workspaces = workspaces
        self._taken: set[str] = set()
        self._repeats = Repeats(self, repeat) if repeat else None
        self._silent = self._autocasting = False
        self._guarded = device == "cuda" and _guards_ask_driver()
        self._modules: list[str] = []
        self._names: dict[int, str] = {}
        self._alive: dict[int, tuple[int, weakref.ref[Any]]] = {}
        self._composite: dict[Any, bool] = {}
        self._alias: dict[Any, bool] = {}
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._stack = contextlib.ExitStack()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spare every operation the wrapper that only a compiler needs (torch 2.9 and later)."""
        return False

    # -- entering and leaving -------------------------------------------------------------------------

    def run(self) -> contextlib.AbstractContextManager[FakeGpu]:
        """The context in which torch is fake and watched."""
        return self._run()

    @contextlib.contextmanager
    def _run(self) -> Iterator[FakeGpu]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(torch.nn.Module, "_apply", _apply_to_module))
            stack.enter_context(mock.patch.object(torch.Tensor, "numpy", _numpy_of_nothing))
            stack.enter_context(mock.patch.object(torch.Tensor, "__deepcopy__", _deepcopy_of_nothing))
            stack.enter_context(mock.patch.object(torch.Tensor, "tolist", _list_of_nothing))
            stack.enter_context(mock.patch.object(torch.jit, "script", _not_scripted))
            stack.enter_context(mock.patch.object(torch.nn.Module, "__call__", self._module_call()))
            stack.enter_context(self._fake)
            stack.enter_context(self)
            if self._guarded:
                stack.enter_context(WithoutDeviceGuards())
            try:
                yield self
            finally:
                self._alive.clear()

    @contextlib.contextmanager
    def phase_of(self, name: str, component: str | None = None) -> Iterator[None]:
        """Allocations inside belong to this phase, and to this component unless settled otherwise."""
        before = self.phase, self.component
        self.phase, self.component = name, component or self.component
        try:
            yield
        finally:
            self.phase, self.component = before

    @contextlib.contextmanager
    def autocast(self, dtype: torch.dtype | None) -> Iterator[None]:
        """torch.autocast, which disables itself where there is no GPU: forced. None is no autocast."""
        if dtype is None:
            yield
            return
        before = torch.is_autocast_enabled(self.device), torch.get_autocast_dtype(self.device)
        torch.set_autocast_enabled(self.device, True)
        torch.set_autocast_dtype(self.device, dtype)
        torch.autocast_increment_nesting()
        # Asked inside an operation that casts its arguments, torch.is_autocast_enabled says no.
        self._autocasting = True
        try:
            yield
        finally:
            self._autocasting = False
            if torch.autocast_decrement_nesting() == 0:
                torch.clear_autocast_cache()
            torch.set_autocast_enabled(self.device, before[0])
            torch.set_autocast_dtype(self.device, before[1])

    # -- what belongs to whom -------------------------------------------------------------------------

    def name_modules(self, model: torch.nn.Module) -> None:
        """Attribute allocations to the modules of this model from now on."""
        self._names = {id(module): name for name, module in model.named_modules()}

    def label(self, held: Any, component: str) -> None:
        """Every tensor in `held` (nested dicts and sequences) belongs to `component`."""
        for tensor in _tensors(held):
            entry = self._alive.get(tensor.untyped_storage()._cdata)
            if entry is not None and entry[0] >= 0:
                allocation = self.trace.allocations[entry[0]]
                if allocation.component not in _KEPT:
                    allocation.component = component

    def adopt(self, held: Any, component: str) -> None:
        """Record storages that were made past the dispatcher (deepcopy does that), as if they were born now."""
        for tensor in _tensors(held):
            if isinstance(tensor, FakeTensor):
                self._birth(tensor, "deepcopy", component)

    def size_of(self, held: Any) -> int:
        """Bytes of the distinct storages under `held`."""
        storages = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in _tensors(held)}
        return sum(storages.values())

    # -- dispatch -------------------------------------------------------------------------------------

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        handler = _HANDLERS.get(func)
        if handler is not None:
            result = handler(self, func, args, kwargs)
            if result is not NotImplemented:
                return result
        if self._is_composite(func):
            if func._schema.name == "aten::to":
                args, kwargs = _with_device_index(args, kwargs)
            with self:
                # Not func.decompose(): it prefers decompositions written in Python for compilers, which make
                # tensors that the C++ kernels do not (bicubic and bilinear interpolation).
                return func._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
        return self._execute(func, args, kwargs)

    def _execute(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._prepare(args, kwargs)
        name = func._schema.name.removeprefix("aten::")
        if name in _GEMM:
            self._take_blas_workspace(name)
        try:
            result = self._convolve(args) if name == "convolution" and self._guarded else func(*args, **kwargs)
        except (UnsupportedOperatorException, DynamicOutputShapeException, NotImplementedError) as error:
            raise self._unknown(func, error) from error
        if self._is_alias(func):
            return result
        component = self._component(name, args)
        if isinstance(result, torch.Tensor):
            self._birth(result, name, component)
        elif isinstance(result, (tuple, list)):
            for item in result:
                if isinstance(item, torch.Tensor):
                    self._birth(item, name, component)
        if self.device == "cpu":
            self._cpu_scratch(name, args, result)
        if name == "convolution" and self._workspaces is not None:
            size_bytes = self._workspaces.convolution.bytes(_type_name(result), args[0].numel(), result.numel())
            self.scratch(size_bytes, "convolution workspace")
        return result

    def _prepare(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Drop constants, which would make torch compute for real, and keep real host arrays out of the trace."""
        for value in (*args, *kwargs.values()):
            for tensor in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(tensor, FakeTensor):
                    if tensor.constant is not None:
                        tensor.constant = None
                elif isinstance(tensor, torch.Tensor) and self.device == "cpu":
                    storage = self._fake.from_tensor(tensor).untyped_storage()
                    self._alive.setdefault(
                        storage._cdata, (-1, weakref.ref(storage, partial(self._forget, storage._cdata)))
                    )

    def _convolve(self, args: tuple[Any, ...]) -> torch.Tensor:
        """A convolution's output; FakeTensorMode would ask the driver which backend runs it (torch 2.8)."""
        self._silent = True
        try:
            with self:
                return meta_conv(*args)
        finally:
            self._silent = False

    def _is_composite(self, func: Any) -> bool:
        """Whether torch's own C++ decomposition runs; under inference mode it has not run yet when we are asked."""
        known = self._composite.get(func)
        if known is None:
            known = func.namespace != "prim" and torch._C._dispatch_has_kernel_for_dispatch_key(
                func.name(), "CompositeImplicitAutograd"
            )
            self._composite[func] = known
        return known

    def _is_alias(self, func: Any) -> bool:
        """Whether the results are views of arguments, or arguments changed in place: no new storage.

        Asked of the schema, because views of complex fake tensors come with a storage object of their own.
        """
        known = self._alias.get(func)
        if known is None:
            returns = func._schema.returns
            known = bool(returns) and all(value.alias_info is not None for value in returns)
            self._alias[func] = known
        return known

    def _component(self, name: str, args: tuple[Any, ...]) -> str:
        if name == "_to_copy" and args and isinstance(args[0], torch.Tensor) and self._autocasting:
            entry = self._alive.get(args[0].untyped_storage()._cdata)
            if entry is not None and entry[0] >= 0 and self.trace.allocations[entry[0]].component == events.WEIGHTS:
                return events.AUTOCAST_COPIES
        return self.component

    def _unknown(self, func: Any, error: Exception) -> UnknownOperation:
        module = self._modules[-1] if self._modules else "(no module)"
        return UnknownOperation(
            f"The tracer cannot follow the operation {func.name()} in {module}: {str(error).splitlines()[0]}",
            f"Report the operation, the module, and torch {torch.__version__} as an issue of sam2-plan.",
        )

    def kept(self, count: int) -> int:
        """How many of `count` elements a selection keeps whose outcome depends on data."""
        return round(count * self.kept_fraction)

    # -- births and deaths ----------------------------------------------------------------------------

    def _birth(self, tensor: torch.Tensor, operation: str, component: str) -> None:
        if tensor.device.type != self.device or self._silent:
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        size_bytes = storage.nbytes()
        if not size_bytes:
            return
        index = self._record(size_bytes, operation, component)
        self._alive[key] = (index, weakref.ref(storage, partial(self._death, key, index)))

    def _record(self, size_bytes: int, operation: str, component: str) -> int:
        module = self._modules[-1] if self._modules else ""
        return self.trace.born(events.Allocation(size_bytes, operation, module, self.phase, component))

    def index_of(self, key: int) -> int | None:
        """The number of the allocation with this storage, None for one that is not followed."""
        entry = self._alive.get(key)
        return entry[0] if entry is not None and entry[0] >= 0 else None

    def materialize(self, index: int, size_bytes: int, form: tuple[Any, ...]) -> torch.Tensor:
        """A flat tensor over all of a storage whose birth is in the trace already."""
        dtype = form[3]
        self._silent = True
        try:
            whole = torch.empty((size_bytes // dtype.itemsize,), dtype=dtype, device=self.device)
        finally:
            self._silent = False
        storage = whole.untyped_storage()
        key = storage._cdata
        self._alive[key] = (index, weakref.ref(storage, partial(self._death, key, index)))
        return whole

    def _death(self, key: int, index: int, reference: Any) -> None:
        if self._alive.pop(key, None) is not None:
            self.trace.died(index)

    def _forget(self, key: int, reference: Any) -> None:
        self._alive.pop(key, None)

    def scratch(self, size_bytes: int, operation: str) -> None:
        """A buffer that a kernel takes and gives back within one operation."""
        if size_bytes:
            self.trace.died(self._record(size_bytes, operation, events.WORKSPACES))

    def _cpu_scratch(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        """Copies that CPU kernels make and CUDA's do not, as a profile of a real run shows them.

        Pooling copies an input that is not contiguous (ATen/native/cpu/MaxPoolKernel.cpp); a transposed convolution
        by oneDNN makes its output channels-last first. Smaller ones are left out: below 1 % of the peak together.
        """
        if name == "max_pool2d_with_indices" and not args[0].is_contiguous():
            self.scratch(args[0].numel() * args[0].element_size(), "max_pool2d copy")
        elif name == "convolution" and args[6]:
            self.scratch(result.numel() * result.element_size(), "conv_transpose2d copy")

    def _take_blas_workspace(self, name: str) -> None:
        """The cuBLAS workspace, or cuBLASLt's for products with a bias where that has one of its own."""
        if self._workspaces is None:
            return
        product, lt = self._workspaces.cublas, self._workspaces.cublaslt
        which, workspace = ("cuBLASLt", lt) if name == "addmm" and lt.bytes else ("cuBLAS", product)
        if workspace.lifetime == "call":
            self.scratch(workspace.bytes, f"{which} workspace")
        elif which not in self._taken:
            self._taken.add(which)
            self._record(workspace.bytes, f"{which} workspace", events.WORKSPACES)

    def attention_scratch(self, kernel: str, query: torch.Tensor, key: torch.Tensor) -> None:
        """What a fused attention kernel takes during the call, beside its outputs."""
        batch, heads, queries, head_dim = query.shape
        if kernel == "efficient":
            size = kernels.efficient_accumulator_bytes(batch, heads, queries, head_dim, query.element_size())
            self.scratch(size, "efficient attention accumulator")
        elif kernel == "flash" and self._workspaces is not None:
            count = self._workspaces.multiprocessors.count
            sizes = kernels.flash_split_bytes(batch, heads, queries, key.shape[2], head_dim, count)
            indices = [self._record(size, "flash attention split", events.WORKSPACES) for size in sizes if size]
            for index in indices:
                self.trace.died(index)

    # -- modules --------------------------------------------------------------------------------------

    def _module_call(self) -> Callable[..., Any]:
        original = torch.nn.Module.__call__
        names, stack, repeats = self, self._modules, self._repeats

        def call(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            name = names._names.get(id(module))
            if name is None:
                return original(module, *args, **kwargs)
            stack.append(name)
            try:
                if repeats is not None and repeats.wants(name):
                    return repeats.call(name, partial(original, module), args, kwargs)
                return original(module, *args, **kwargs)
            finally:
                stack.pop()

        return call


def _type_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _tensors(held: Any) -> Iterator[torch.Tensor]:
    if isinstance(held, torch.Tensor):
        yield held
    elif isinstance(held, dict):
        for value in held.values():
            yield from _tensors(value)
    elif isinstance(held, (list, tuple)):
        for value in held:
            yield from _tensors(value)


# -- operations that need more than FakeTensorMode gives ----------------------------------------------


def _linear(gpu: FakeGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """aten.linear as C++ runs it on plain tensors.

    Its own decomposition adds the bias out of place for tensor subclasses (isTensorSubclassLike), which fake tensors
    are: one activation too many. Source: aten/src/ATen/native/Linear.cpp.
    """
    values, weight, bias = args[0], args[1], args[2] if len(args) > 2 else kwargs.get("bias")
    with gpu:
        if bias is None:
            return torch.matmul(values, weight.t())
        if values.dim() == 2:
            return torch.addmm(bias, values, weight.t())
        if values.is_contiguous():
            flat = torch.addmm(bias, values.reshape(-1, values.shape[-1]), weight.t())
            return flat.view(*values.shape[:-1], weight.shape[0])
        return torch.matmul(values, weight.t()).add_(bias)


def _scaled_dot_product(gpu: FakeGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Attention on the kernel that the GPU in question would run; aten/src/ATen/native/transformers/attention.cpp."""
    query, key, value = args[:3]
    mask = args[3] if len(args) > 3 else kwargs.get("attn_mask")
    scale = kwargs.get("scale")
    if query.device.type != "cuda":
        return NotImplemented
    kernel = choose_attention(
        capability=gpu.capability,
        dtype=_type_name(query),
        head_dim=query.shape[-1],
        masked=mask is not None,
        forced=gpu.attention,
    )
    gpu.attention_scratch(kernel, query, key)
    with gpu:
        if kernel == "flash":
            return aten._scaled_dot_product_flash_attention(query, key, value, 0.0, False, False, scale=scale)[0]
        if kernel == "cudnn":
            return aten._scaled_dot_product_cudnn_attention(
                query, key, value, mask, False, 0.0, False, False, scale=scale
            )[0]
        if kernel == "efficient":
            return aten._scaled_dot_product_efficient_attention(query, key, value, mask, False, scale=scale)[0]
        with _without_autocast():
            return aten._scaled_dot_product_attention_math(query, key, value, mask, scale=scale)[0]


def _scalar(gpu: FakeGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A number read from the GPU: its true value where torch knows it, else zero (False), stated by callers."""
    try:
        return func(*args, **kwargs)
    except (DataDependentOutputException, DynamicOutputShapeException):
        return 0.0 if args[0].dtype.is_floating_point else 0


def _nonzero(gpu: FakeGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """How many elements are kept depends on data: `kept_fraction` of them. The result is int64, one row for each."""
    values = args[0]
    with gpu:
        return torch.empty((gpu.kept(values.numel()), values.dim()), dtype=torch.int64, device=values.device)


def _index(gpu: FakeGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Selection by a mask: torch turns it into selection by positions (expandTensors in IndexingUtils.h)."""
    values, indices = args
    if not any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices):
        return NotImplemented
    positions: list[Any] = []
    with gpu:
        for index in indices:
            if index is not None and index.dtype in (torch.bool, torch.uint8):
                positions.extend(aten.nonzero(index).unbind(1))
            else:
                positions.append(index)
        return aten.index(values, positions)


def _nms(gpu: FakeGpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Non-maximum suppression: sorts, gathers, and marks overlaps in a bit matrix; keeps `kept_fraction`.

    Source: torchvision/csrc/ops/cuda/nms_kernel.cu.
    """
    boxes, scores = args[:2]
    with gpu:
        order = torch.sort(scores, descending=True)[1]
        ordered = torch.index_select(boxes, 0, order)
        count = boxes.shape[0]
        overlaps = torch.empty((count * -(-count // 64),), dtype=torch.int64, device=boxes.device)
        kept = torch.empty((gpu.kept(count),), dtype=torch.int64, device=boxes.device)
        del order, ordered, overlaps
        return kept


_HANDLERS: dict[Any, Callable[..., Any]] = {
    aten.linear.default: _linear,
    aten.nonzero.default: _nonzero,
    aten.index.Tensor: _index,
    aten.scaled_dot_product_attention.default: _scaled_dot_product,
    aten._local_scalar_dense.default: _scalar,
}


def handle_torchvision() -> None:
    """Also follow torchvision's own operations; it must have been imported."""
    _HANDLERS.setdefault(torch.ops.torchvision.nms.default, _nms)


# -- patches that last as long as the run -------------------------------------------------------------


def _apply_to_module(
    module: torch.nn.Module, convert: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True
) -> Any:
    """torch.nn.Module._apply with new parameters in place of changed ones, in the same order.

    The original changes a parameter's data in place, or swaps tensors; a fake tensor allows neither across devices.
    """
    if recurse:
        for child in module.children():
            child._apply(convert)
    for key, parameter in module._parameters.items():
        if parameter is not None:
            with torch.no_grad():
                converted = convert(parameter)
            module._parameters[key] = torch.nn.Parameter(converted, parameter.requires_grad)
    for key, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[key] = convert(buffer)
    return module


def _guards_ask_driver() -> bool:
    """Whether device guards fail without a driver: the CUDA runtime answers cudaGetDevice by itself from 13 on."""
    return not torch.cuda.is_available() and int((torch.version.cuda or "0").split(".")[0]) < 13


def _with_device_index(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give "cuda" its index: without it, Tensor.to asks the driver for the current device (torch 2.8)."""

    def indexed(value: Any) -> Any:
        if isinstance(value, torch.device) and value.type == "cuda" and value.index is None:
            return torch.device("cuda", 0)
        return value

    return tuple(map(indexed, args)), {name: indexed(value) for name, value in kwargs.items()}


def _without_autocast() -> Any:
    """Inside an operation that autocast has dealt with, autocast is off; the Python dispatcher turns it on again."""
    return torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCUDA))


def _not_scripted(module: Any, *args: Any, **kwargs: Any) -> Any:
    """torch.jit.script's interpreter crashes on fake tensors; sam2 scripts its host-side transforms only."""
    return module


def _numpy_of_nothing(tensor: torch.Tensor, *, force: bool = False) -> numpy.ndarray:
    """Zeros of the tensor's shape that take no memory."""
    dtype = torch.empty((), dtype=tensor.dtype, device="meta").dtype
    return numpy.broadcast_to(numpy.zeros((), dtype=_NUMPY_TYPES.get(dtype, numpy.float32)), tuple(tensor.shape))


def _deepcopy_of_nothing(tensor: torch.Tensor, memo: dict[int, Any]) -> torch.Tensor:
    """A deep copy copies the whole storage, also of a view. The original would copy bytes that are not there."""
    if id(tensor) in memo:
        return memo[id(tensor)]
    with torch.no_grad():
        elements = tensor.untyped_storage().nbytes() // tensor.element_size()
        whole = torch.empty((elements,), dtype=tensor.dtype, device=tensor.device)
        copy: torch.Tensor = whole.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())
    if isinstance(tensor, torch.nn.Parameter):
        copy = torch.nn.Parameter(copy.detach(), tensor.requires_grad)
    memo[id(tensor)] = copy
    return copy


def _list_of_nothing(tensor: torch.Tensor) -> Any:
    return _numpy_of_nothing(tensor).tolist()


_NUMPY_TYPES: dict[torch.dtype, Any] = {
    torch.bool: numpy.bool_,
    torch.uint8: numpy.uint8,
    torch.int16: numpy.int16,
    torch.int32: numpy.int32,
    torch.int64: numpy.int64,
    torch.float16: numpy.float16,
    torch.float32: numpy.float32,
    torch.float64: numpy.float64,
}


class Seeming:
    """A module with some names replaced, for packages that ask `torch.cuda.is_available()` to decide what to keep."""

    def __init__(self, original: Any, **replaced: Any) -> None:
        self.__dict__.update(replaced, _original=original)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_original"], name)


def torch_with_cuda() -> Any:
    """torch, but with a GPU available, to be put in place of the name `torch` of one module."""
    return Seeming(torch, cuda=Seeming(torch.cuda, is_available=lambda: True))
