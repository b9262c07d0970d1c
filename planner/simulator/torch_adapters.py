"""A GPU that is not there: torch runs on tensors without data, and every storage is noted.

`FakeGpu` makes torch run on tensors that have shapes and devices but no data, and writes the births and
deaths of their storages to a Trace. It knows nothing of SAM 2 beyond the names that callers give it.

This and the other modules named torch_* are all that touches private parts of torch, for 2.8 to 2.14. Used here:
FakeTensorMode, TorchDispatchMode, FakeTensor.constant, OpOverload._op_dk, torch._C's table of kernels, _prims_common.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch._prims_common import suggest_memory_format
from torch._subclasses.fake_tensor import (
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.utils._python_dispatch import TorchDispatchMode

from planner.errors import PlannerError
from planner.nouns.run import ComponentName
from planner.nouns.words import Attention
from planner.runtime.replacing import replaced
from planner.simulator.convolutions.workspaces import ConvolutionWorkspaces
from planner.simulator.repeats import Repeats
from planner.simulator.torch_convolutions import convolve
from planner.simulator.torch_indexing import WithoutDeviceGuards
from planner.simulator.torch_operations import HANDLERS
from planner.simulator.torch_patches import patches
from planner.simulator.torch_storages import Storages
from planner.simulator.torch_temporaries import steps_of
from planner.simulator.workspaces import Workspaces

_AUTOCAST_KEY = "AutocastCUDA"
_GEMM = {"mm", "addmm", "bmm", "baddbmm", "_addmm_activation"}
"""Operations that run on cuBLAS and so make torch take its workspace."""


class UnknownOperation(PlannerError):
    """The run used an operation that the tracer cannot follow."""


class FakeGpu(TorchDispatchMode, Storages):
    """A device on which everything runs and nothing is computed.

    Inside `with FakeGpu(...) as gpu:` tensors are fake; `gpu.trace` gains an event for every storage that is born
    or dies on `device`. `device` is "cuda" for a GPU of the given compute capability, or "cpu" to trace what a CPU
    run would allocate (for comparison with a real one). `attention` forces a scaled-dot-product kernel; without one
    `prefer_cudnn` says whether cuDNN's goes first where torch would have it so. `keeps_casts`: whether autocast keeps
    its copies of weights, as torch up to 2.10 did under inference mode; None leaves it to the installed torch.
    `kept_fraction` says which share of elements boolean selections keep: 1.0 is the worst case. `repeat` names
    modules (patterns) whose calls may be repeated instead of run (repeats.py).
    """

    def __init__(
        self,
        *,
        capability: tuple[int, int] = (8, 6),
        attention: Attention = "auto",
        prefer_cudnn: bool = True,
        keeps_casts: bool | None = None,
        device: str = "cuda",
        workspaces: Workspaces | None = None,
        convolutions: ConvolutionWorkspaces | None = None,
        kept_fraction: float = 1.0,
        repeat: tuple[str, ...] = (),
    ) -> None:
        TorchDispatchMode.__init__(self)
        Storages.__init__(self, device)
        self.capability = capability
        self.attention = attention
        self.prefer_cudnn = prefer_cudnn
        self._keeps_casts = keeps_casts
        self._kept_casts: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.kept_fraction = kept_fraction
        self.convolutions = convolutions
        self._workspaces = workspaces
        self._taken: set[str] = set()
        self._repeats = Repeats(self, repeat) if repeat else None
        self._autocasting = self._cast = False
        self._guarded = device == "cuda" and _guards_ask_driver()
        self._names: dict[int, str] = {}
        self._composite: dict[Any, bool] = {}
        self._alias: dict[Any, bool] = {}
        self._casts: dict[Any, bool] = {}
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._stack = contextlib.ExitStack()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spare every operation the wrapper that only a compiler needs (torch 2.9 and later)."""
        return False

    # -- entering and leaving -------------------------------------------------------------------------

    def name_modules(self, model: torch.nn.Module) -> None:
        """Attribute allocations to the modules of this model from now on."""
        self._names = {id(module): name for name, module in model.named_modules()}

    def run(self) -> contextlib.AbstractContextManager[FakeGpu]:
        """The context in which torch is fake and watched."""
        return self._run()

    @contextlib.contextmanager
    def _run(self) -> Iterator[FakeGpu]:
        with contextlib.ExitStack() as stack:
            for patch in patches():
                stack.enter_context(patch)
            stack.enter_context(replaced(torch.nn.Module, __call__=self._module_call()))
            stack.enter_context(self._fake)
            stack.enter_context(self)
            if self._guarded:
                stack.enter_context(WithoutDeviceGuards())
            try:
                yield self
            finally:
                self.forget_all()

    @contextlib.contextmanager
    def autocast(self, dtype: torch.dtype | None) -> Iterator[None]:
        """torch.autocast, which disables itself where there is no GPU: forced. None is no autocast."""
        if dtype is None:
            yield
            return
        before = torch.is_autocast_enabled(self.device), torch.get_autocast_dtype(self.device)
        cached = torch.is_autocast_cache_enabled()
        if self._keeps_casts is not None:
            torch.set_autocast_cache_enabled(False)
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
                self._kept_casts.clear()
            torch.set_autocast_cache_enabled(cached)
            torch.set_autocast_enabled(self.device, before[0])
            torch.set_autocast_dtype(self.device, before[1])

    # -- dispatch -------------------------------------------------------------------------------------

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        handler = HANDLERS.get(func)
        if handler is not None:
            with self._autocast_within(func):
                result = handler(self, func, args, kwargs)
            if result is not NotImplemented:
                return result
        if self._is_composite(func):
            if func._schema.name == "aten::to":
                args, kwargs = _with_device_index(args, kwargs)
            with self, self._autocast_within(func):
                # Not func.decompose(): it prefers decompositions written in Python for compilers, which make
                # tensors that the C++ kernels do not (bicubic and bilinear interpolation).
                return func._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
        return self._execute(func, args, kwargs)

    def _execute(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._prepare(args, kwargs)
        name = func._schema.name.removeprefix("aten::")
        if name == "convolution" and self.device == "cuda" and args[0].device.type == "cuda":
            return convolve(self, args)
        kept = self._kept_cast(name, args, kwargs)
        if kept is not None:
            return kept
        try:
            result = func(*args, **kwargs)
        except (UnsupportedOperatorException, DynamicOutputShapeException, NotImplementedError) as error:
            raise self._unknown(func, error) from error
        if self._is_alias(func):
            return result
        self._account(name, args, result)
        if self._keeps_casts and self._is_cast_of_weight(name, args):
            self._kept_casts[id(args[0])] = args[0], result
        return result

    def _kept_cast(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor | None:
        """The copy of a weight that autocast made before, where it keeps them."""
        if not self._keeps_casts or not self._is_cast_of_weight(name, args):
            return None
        found = self._kept_casts.get(id(args[0]))
        return found[1] if found is not None and found[1].dtype == kwargs.get("dtype") else None

    def _is_cast_of_weight(self, name: str, args: tuple[Any, ...]) -> bool:
        """Whether cached_cast would try its cache: a leaf in float32 that wants gradients (autocast_mode.cpp)."""
        return (
            name == "_to_copy"
            and self._autocasting
            and isinstance(args[0], torch.nn.Parameter)
            and args[0].requires_grad
            and args[0].dtype is torch.float32
        )

    def _account(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        """Record the outputs, and what the kernel takes beside them."""
        component = self._component(name, args)
        outputs = [result] if isinstance(result, torch.Tensor) else result if isinstance(result, (tuple, list)) else []
        outputs = [item for item in outputs if isinstance(item, torch.Tensor)]
        here = bool(outputs) and self.device == outputs[0].device.type == "cuda"
        steps = steps_of(self, name, args, result) if here else None
        if steps is None:
            for item in outputs:
                self.birth(item, name, component)
        else:
            self.perform(steps, outputs, name, component)
        self._copies(name, args, result)
        if name in _GEMM:
            self.take_blas_workspace(name)

    def _prepare(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Drop constants, which would make torch compute for real, and keep real host arrays out of the trace."""
        for value in (*args, *kwargs.values()):
            for tensor in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(tensor, FakeTensor):
                    if tensor.constant is not None:
                        tensor.constant = None
                elif isinstance(tensor, torch.Tensor) and self.device == "cpu":
                    self.ignore(self._fake.from_tensor(tensor))

    def _is_composite(self, func: Any) -> bool:
        """Whether torch's own C++ decomposition runs; under inference mode it has not run yet when we are asked."""
        known = self._composite.get(func)
        if known is None:
            known = func.namespace != "prim" and torch._C._dispatch_has_kernel_for_dispatch_key(
                func.name(), "CompositeImplicitAutograd"
            )
            self._composite[func] = known
        return known

    @contextlib.contextmanager
    def _autocast_within(self, func: Any) -> Iterator[None]:
        """Inside an operation that autocast lets through, those that it deals with are cast, as they are in C++.

        The Python key switches autocast off for all that it runs; after an operation that autocast has dealt with, it
        stays off (cached_cast's ExcludeDispatchKeyGuard in aten/src/ATen/autocast_mode.cpp).
        """
        if not self._autocasting or self._cast:
            yield
        elif self._is_cast(func):
            self._cast = True
            try:
                yield
            finally:
                self._cast = False
        else:
            excluded = torch._C._dispatch_tls_local_exclude_set().remove(getattr(torch._C.DispatchKey, _AUTOCAST_KEY))
            with torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), excluded):
                yield

    def _is_cast(self, func: Any) -> bool:
        """Whether autocast deals with the operation itself."""
        known = self._casts.get(func)
        if known is None:
            known = torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), _AUTOCAST_KEY)
            self._casts[func] = known
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

    def _component(self, name: str, args: tuple[Any, ...]) -> ComponentName:
        copies = name == "_to_copy" and args and isinstance(args[0], torch.Tensor)
        if copies and self._autocasting and self.component_of(args[0]) == "weights":
            return "autocast copies"
        return self.component

    def _unknown(self, func: Any, error: Exception) -> UnknownOperation:
        module = self.modules[-1] if self.modules else "(no module)"
        return UnknownOperation(
            f"The tracer cannot follow the operation {func.name()} in {module}: {str(error).splitlines()[0]}",
            f"Report the operation, the module, and torch {torch.__version__} as an issue of sam2-plan.",
        )

    # -- beside the tensors ---------------------------------------------------------------------------

    def kept(self, count: int) -> int:
        """How many of `count` elements a selection keeps whose outcome depends on data."""
        return round(count * self.kept_fraction)

    def _copies(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        """Copies that kernels make of their own accord, as the source or a profile of a real run shows them.

        Pooling wants its input dense, in the format its strides suggest: contiguous or channels-last (ATen/native/cuda/
        DilatedMaxPool2d.cu, ATen/native/cpu/MaxPoolKernel.cpp). On a CPU a transposed convolution by oneDNN makes its
        output channels-last first; smaller copies there are left out, below 1 % of the peak together.
        """
        if name == "max_pool2d_with_indices":
            pooled = args[0]
            if not pooled.is_contiguous(memory_format=suggest_memory_format(pooled)):
                self.scratch(pooled.numel() * pooled.element_size(), "max_pool2d copy")
        elif name == "convolution" and args[6] and self.device == "cpu":
            self.scratch(result.numel() * result.element_size(), "conv_transpose2d copy")

    def take_blas_workspace(self, name: str) -> None:
        """The cuBLAS workspace, or cuBLASLt's for products with a bias where that has one of its own."""
        if self._workspaces is None:
            return
        product, lt = self._workspaces.cublas, self._workspaces.cublaslt
        which, workspace = ("cuBLASLt", lt) if name == "addmm" and lt.bytes else ("cuBLAS", product)
        if workspace.lifetime == "call":
            self.scratch(workspace.bytes, f"{which} workspace")
        elif which not in self._taken:
            self._taken.add(which)
            self.record(workspace.bytes, f"{which} workspace", "workspaces")

    @property
    def multiprocessors(self) -> int:
        """Multiprocessors of the GPU; 0 where they are not known."""
        return self._workspaces.multiprocessors.count if self._workspaces is not None else 0

    # -- modules --------------------------------------------------------------------------------------

    def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function, or repeat it like a module where that is wanted. `name` tells it from others."""
        if self._repeats is None:
            return function(*args, **kwargs)
        return self._repeats.call(name, None, function, args, kwargs)

    def _module_call(self) -> Callable[..., Any]:
        original = torch.nn.Module.__call__
        names, stack, repeats = self, self.modules, self._repeats

        def call(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            name = names._names.get(id(module))
            if name is None:
                return original(module, *args, **kwargs)
            stack.append(name)
            try:
                if repeats is not None and repeats.wants(name):
                    return repeats.call(name, module, partial(original, module), args, kwargs)
                return original(module, *args, **kwargs)
            finally:
                stack.pop()

        return call


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
