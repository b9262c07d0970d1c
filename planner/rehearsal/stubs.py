"""What stands in for functions that nobody wrote: C text, a macro a function (sources/stubs.h).

Never silent where it could change bytes: what may take memory or states a size answers an error, and names itself.
"""

from __future__ import annotations

import re
from functools import lru_cache

from planner.rehearsal.symbols import asked_of_others
from planner.rehearsal.wheels import Wheels

NOT_SUPPORTED = {"cudart": 801, "cublas": 15, "cublasLt": 15, "cudnn": 3000}
"""cudaErrorNotSupported, CUBLAS_STATUS_NOT_SUPPORTED, CUDNN_STATUS_NOT_SUPPORTED, from the public headers."""
LOOKED_UP = (
    "cuCtxGetLimit",
    "cuCtxPopCurrent",
    "cuCtxPushCurrent",
    "cuDeviceGetCount",
    "cuDriverGetVersion",
    "cuGetErrorName",
    "cuKernelGetAttribute",
    "cuKernelGetFunction",
    "cuKernelSetAttribute",
    "cuLaunchKernelEx",
    "cuLibraryGetKernel",
    "cuLibraryLoadData",
    "cuLibraryLoadFromFile",
    "cuLibraryUnload",
    "cuLinkAddData",
    "cuLinkCreate",
    "cuLinkDestroy",
    "cuOccupancyMaxPotentialClusterSize",
    "cuStreamGetCtx",
)
"""Functions of libcuda that cuDNN's engines that compile at run time ask dlsym for."""
_ASKS = re.compile(r"Get|Query|Size|Check|Find")
"""In the name of a function that answers something: it must not answer what was in memory."""
_NOTES = re.compile(r"Set|Create|Destroy|Init")
"""In the name of a function that keeps or forgets something, and launches nothing."""
_NO_HANDLE = re.compile(
    r"cudnnBackend|cudnnGetVersion|cudnnGetCudartVersion|cudnnGetProperty|cudnnGetErrorString"
    r"|cudnnGetLastErrorString|cudnnCreate\w+Descriptor|cudnnDestroy\w+Descriptor"
    r"|cudnnSet(?!Dropout)\w*Descriptor|cudnnGet\w+NdDescriptor|cudnnSetConvolution"
)
"""cuDNN functions that take no handle: the real ones can be called."""
_PUBLIC = re.compile(r"CUDARTAPI\s+(cuda\w+)\s*\(")


def generated(wheels: Wheels, soname: str) -> str:
    """The C file of all that may be asked of a library; what is written by hand stands before it."""
    kind = soname.split(".")[0].removeprefix("lib")
    lines = ['#include "stubs.h"', *(_stub(kind, name) for name in sorted(_asked(wheels, soname)))]
    return "\n".join(lines) + "\n"


def _asked(wheels: Wheels, soname: str) -> set[str]:
    if soname.startswith("libcuda."):  # its symbols have no version node; of torch's libraries this one links to it
        nvrtc = [path for path in wheels.scanned if path.name == "libcaffe2_nvrtc.so"]
        found = [asked for path in nvrtc for asked in asked_of_others(path)]
        return {name for name, node in found if re.match(r"cu[A-Z]", name) and not node} | set(LOOKED_UP)
    names = set(_by_node(wheels).get(soname, ()))
    if soname.startswith("libcudart."):  # and what other programs may ask
        names |= set(_PUBLIC.findall(wheels.header("cuda_runtime_api.h")))
    return names


@lru_cache(maxsize=4)
def _by_node(wheels: Wheels) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for path in wheels.scanned:
        if not re.match(r"lib(cudart|cublas|cublasLt|cudnn\w*)\.so", path.name):
            for name, node in asked_of_others(path):
                found.setdefault(node, set()).add(name)
    return {node: frozenset(names) for node, names in found.items()}


def _stub(kind: str, name: str) -> str:
    if kind == "cuda":
        return f'DRIVER({name}, "{re.sub(r"_v[0-9]+$", "", name)}")'
    if kind == "cudnn" and _NO_HANDLE.match(name):
        return f"REAL({name})"
    if kind == "cudart" or _ASKS.search(name):
        return f"REFUSED({name}, {NOT_SUPPORTED[kind]})"
    if _NOTES.search(name):
        return f"QUIET({name})"
    return f"{'NAMED' if kind == 'cudnn' else 'PRODUCT'}({name})"
