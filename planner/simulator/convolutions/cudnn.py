"""cuDNN's own word on the workspace of a convolution, without a GPU: its documented graph API, by ctypes.

The program of a child process, because cuDNN may abort or crash where something is missing; it imports nothing but the
standard library, and is run by its path (`python -I -S cudnn.py LIBCUDNN [LIBRARY ...]`, what is to be loaded first
behind it). A JSON object a line: the first on stdin describes the GPU and is answered by {"cudnn": version}, each
further one is a convolution and is answered by {"bytes": N}, N null where cuDNN has nothing to offer. {"fault": text}
instead means that it cannot be asked here.

The steps are those of torch with torch.backends.cudnn.benchmark off (aten/src/ATen/native/cudnn/Conv_v8.cpp): the
heuristics in mode INSTANT, the engine configurations filtered by their numerical notes, the first whose plan finalises
and is no erratum; if none is, those of mode FALLBACK. In place of a handle, which needs a GPU, stands the description
of one (CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, cuDNN 9.8). Numbers are enumerators of cudnn_graph_v9.h and cudnn_ops_v9.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any

_CONVOLUTION, _ENGINE, _ENGINECFG, _ENGINEHEUR, _PLAN = 1, 2, 3, 4, 5
_FORWARD, _BACKWARD_DATA, _OPGRAPH, _TENSOR, _DEVICEPROP = 10, 12, 15, 17, 38
"""cudnnBackendDescriptorType_t"""
_DATA_TYPE, _BOOLEAN, _INT64, _FLOAT = 1, 2, 3, 4
_CONVOLUTION_MODE, _HEUR_MODE, _NUMERICAL_NOTE, _DESCRIPTOR, _CHAR = 7, 8, 11, 15, 24
"""cudnnBackendAttributeType_t"""
_DTYPES = {"float32": 0, "float16": 2, "bfloat16": 9}
"""cudnnDataType_t"""
_INSTANT, _FALLBACK = 0, 2
"""cudnnBackendHeurMode_t"""
_TENSOR_CORE, _DOWN_CONVERT_INPUTS = 0, 1
"""cudnnBackendNumericalNote_t"""
_ALIGNMENT = 32
"""Bytes; torch's allocator gives 512, and from 16 on nothing changes."""
_CONFIGURATIONS = 64
"""Room for what the heuristics offer."""
_OLDEST = 90800
_ERRATA = ((58, False, 92300, 1200), (63, True, 92300, 1200), (23, True, 91500, None))
"""Engines that torch passes over (plan_errata_exception in Conv_v8.cpp, as built into torch 2.14.1): number, whether of
backward data, from which cuDNN on, on which device (None: all). The first two run on cublasLt, which is said to be
mended in cuBLAS 13.6.1 (https://github.com/pytorch/pytorch/pull/191701). Rules that end before cuDNN 9.24 are left out.
"""


class Refused(Exception):
    """A call of cuDNN that did not succeed."""

    def __init__(self, status: int, what: str, message: str) -> None:
        super().__init__(f"{what}: status {status}: {message}")
        self.broken = 1000 <= status < 2000
        """Whether cuDNN itself cannot work here (CUDNN_STATUS_NOT_INITIALIZED and its kin, 1008 for a library that
        could not be loaded), rather than one configuration."""


class Library:
    """cuDNN, loaded."""

    def __init__(self, path: str) -> None:
        if sys.platform == "win32":
            os.add_dll_directory(os.path.dirname(path))
        self.calls = ctypes.CDLL(path)
        self.calls.cudnnGetVersion.restype = ctypes.c_size_t
        self.version: int = self.calls.cudnnGetVersion()
        if self.version < _OLDEST:
            raise OSError(f"cuDNN {self.version} cannot be asked without a GPU; 9.8 is the first that can")

    def check(self, status: int, what: str) -> None:
        """Raise Refused for a status that is not success."""
        if status:
            buffer = ctypes.create_string_buffer(4096)
            self.calls.cudnnGetLastErrorString(buffer, ctypes.c_size_t(len(buffer)))
            raise Refused(status, what, buffer.value.decode(errors="replace").strip())


class Descriptor:
    """A backend descriptor; destroyed with the object."""

    def __init__(self, library: Library, kind: int) -> None:
        self.library, self.kind = library, kind
        self.pointer = ctypes.c_void_p()
        self._kept: list[Any] = []
        status = library.calls.cudnnBackendCreateDescriptor(kind, ctypes.byref(self.pointer))
        library.check(status, f"descriptor {kind}")

    def __del__(self) -> None:
        if self.pointer:
            self.library.calls.cudnnBackendDestroyDescriptor(self.pointer)

    def set(self, name: int, kind: int, *values: Any) -> None:
        """Set an attribute; a text is one value of kind _CHAR."""
        array: Any
        if kind == _DESCRIPTOR:
            array = (ctypes.c_void_p * len(values))(*(value.pointer for value in values))
            self._kept.extend(values)
        elif kind == _CHAR:
            array = ctypes.create_string_buffer(values[0], len(values[0]))
        else:
            array = (_element(kind) * len(values))(*values)
        status = self.library.calls.cudnnBackendSetAttribute(
            self.pointer, name, kind, ctypes.c_int64(len(array)), ctypes.byref(array)
        )
        self.library.check(status, f"attribute {name}")

    def get(self, name: int, kind: int, room: int = 1) -> list[Any]:
        """An attribute's values, at most `room`."""
        array, count = (_element(kind) * room)(), ctypes.c_int64()
        status = self.library.calls.cudnnBackendGetAttribute(
            self.pointer, name, kind, ctypes.c_int64(room), ctypes.byref(count), ctypes.byref(array)
        )
        self.library.check(status, f"attribute {name}")
        return list(array)[: count.value]

    def fill(self, name: int, targets: Sequence[Descriptor]) -> int:
        """An attribute that is descriptors, into those that are given; how many there are."""
        array, count = (ctypes.c_void_p * len(targets))(*(target.pointer for target in targets)), ctypes.c_int64()
        status = self.library.calls.cudnnBackendGetAttribute(
            self.pointer, name, _DESCRIPTOR, ctypes.c_int64(len(targets)), ctypes.byref(count), ctypes.byref(array)
        )
        self.library.check(status, f"attribute {name}")
        for target in targets:
            target._kept.append(self)
        return min(count.value, len(targets))

    def finalize(self) -> Descriptor:
        """Make it usable."""
        self.library.check(self.library.calls.cudnnBackendFinalize(self.pointer), f"descriptor {self.kind}")
        return self


def _element(kind: int) -> Any:
    return {_INT64: ctypes.c_int64, _FLOAT: ctypes.c_float, _BOOLEAN: ctypes.c_bool}.get(kind, ctypes.c_int)


class Device(Descriptor):
    """The GPU that answers are for."""

    def __init__(self, library: Library, properties: dict[str, Any]) -> None:
        super().__init__(library, _DEVICEPROP)
        self.set(2702, _CHAR, json.dumps(properties).encode())
        self.finalize()
        self.number: int = properties["deviceVer"]


def workspace_bytes(library: Library, gpu: Device, question: dict[str, Any]) -> int | None:
    """Bytes of the first configuration that torch would run, None where cuDNN has none.

    Raises Refused where cuDNN cannot work here at all.
    """
    exact = question["dtype"] == "float32" and not question["tf32"]
    unwanted = {_DOWN_CONVERT_INPUTS, _TENSOR_CORE} if exact else {_DOWN_CONVERT_INPUTS}
    errata = {
        number
        for number, backward, since, on in _ERRATA
        if backward == question["transposed"] and library.version >= since and on in (None, gpu.number)
    }
    graph = _graph(library, question)
    for mode in (_INSTANT, _FALLBACK):
        for configuration in _configurations(library, graph, gpu, mode):
            engine, notes = _engine(library, configuration)
            if unwanted.isdisjoint(notes) and engine not in errata:
                with _next_if_refused():
                    plan = Descriptor(library, _PLAN)
                    plan.set(401, _DESCRIPTOR, configuration)
                    plan.set(407, _DESCRIPTOR, gpu)
                    found: int = plan.finalize().get(402, _INT64)[0]
                    return found
    return None


@contextlib.contextmanager
def _next_if_refused() -> Iterator[None]:
    try:
        yield
    except Refused as error:
        if error.broken:
            raise


def _graph(library: Library, question: dict[str, Any]) -> Descriptor:
    """One operation. A transposed convolution is backward data: its x is the output and its y the input."""
    transposed = question["transposed"]
    convolution = Descriptor(library, _CONVOLUTION)
    convolution.set(106, _INT64, len(question["stride"]))
    convolution.set(100, _DATA_TYPE, _DTYPES["float32"])  # the compute type of float16 and bfloat16 too
    convolution.set(101, _CONVOLUTION_MODE, 1)  # CUDNN_CROSS_CORRELATION
    convolution.set(105, _INT64, *question["padding"])
    convolution.set(104, _INT64, *question["padding"])
    convolution.set(102, _INT64, *question["dilation"])
    convolution.set(103, _INT64, *question["stride"])
    convolution.finalize()
    x, y = ("output", "input") if transposed else ("input", "output")
    operation = Descriptor(library, _BACKWARD_DATA if transposed else _FORWARD)
    first = 706 if transposed else 700  # alpha, beta, convolution, w, x, y follow each other
    operation.set(first, _FLOAT, 1.0)
    operation.set(first + 1, _FLOAT, 0.0)
    operation.set(first + 2, _DESCRIPTOR, convolution)
    for attribute, name, letter in ((first + 3, "weight", "w"), (first + 4, x, "x"), (first + 5, y, "y")):
        operation.set(attribute, _DESCRIPTOR, _tensor(library, question, question[name], letter))
    graph = Descriptor(library, _OPGRAPH)
    graph.set(801, _DESCRIPTOR, operation.finalize())
    return graph.finalize()


def _tensor(library: Library, question: dict[str, Any], shape: list[int], letter: str) -> Descriptor:
    tensor = Descriptor(library, _TENSOR)
    tensor.set(901, _DATA_TYPE, _DTYPES[question["dtype"]])
    tensor.set(902, _INT64, *shape)
    tensor.set(903, _INT64, *strides(shape, question["channels_last"]))
    tensor.set(906, _INT64, ord(letter))
    tensor.set(900, _INT64, _ALIGNMENT)
    tensor.set(907, _BOOLEAN, False)
    return tensor.finalize()


def strides(shape: Sequence[int], channels_last: bool) -> list[int]:
    """Strides of a dense NCHW tensor; an axis of length 1 has the product of those within (fixSizeOneDimStride)."""
    result, product = [0] * len(shape), 1
    for axis in (1, 3, 2, 0) if channels_last else (3, 2, 1, 0):
        result[axis] = product
        product *= shape[axis]
    return result


def _configurations(library: Library, graph: Descriptor, gpu: Descriptor, mode: int) -> list[Descriptor]:
    heuristics = Descriptor(library, _ENGINEHEUR)
    heuristics.set(201, _DESCRIPTOR, graph)
    heuristics.set(200, _HEUR_MODE, mode)
    heuristics.set(204, _DESCRIPTOR, gpu)
    found = [Descriptor(library, _ENGINECFG) for _ in range(_CONFIGURATIONS)]
    count = 0
    with _next_if_refused():
        count = heuristics.finalize().fill(202, found)
    return found[:count]


def _engine(library: Library, configuration: Descriptor) -> tuple[int, list[int]]:
    """The engine's number and its numerical notes."""
    engine = Descriptor(library, _ENGINE)
    configuration.fill(300, [engine])
    return engine.get(1301, _INT64)[0], engine.get(1303, _NUMERICAL_NOTE, 16)


def main(path: str, *first: str) -> int:
    """Answer until the questions end."""
    with _own_stdout() as out:
        try:
            for other in first:
                ctypes.CDLL(other, ctypes.RTLD_GLOBAL)
            library = Library(path)
            gpu = Device(library, json.loads(sys.stdin.readline()))
            _say(out, {"cudnn": library.version})
            for line in sys.stdin:
                _say(out, {"bytes": workspace_bytes(library, gpu, json.loads(line))})
        except (Refused, OSError, AttributeError) as error:
            _say(out, {"fault": str(error)})
            return 1
    return 0


@contextlib.contextmanager
def _own_stdout() -> Iterator[IO[str]]:
    """Where answers go: what the libraries themselves may print is not among them. A crash leaves no core file."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        yield out


def _say(out: IO[str], answer: dict[str, Any]) -> None:
    out.write(json.dumps(answer) + "\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
