"""A GPU as cuDNN wants it described, without one: the JSON of a CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR.

Which fields there are, cuDNN's log says when one is missing (CUDNN_LOGLEVEL_DBG=1). Of all of them only `deviceVer`,
and on 7.5 the number of multiprocessors, change a workspace (each was changed alone, for 8 convolutions, 3 dtypes and
7 capabilities, with cuDNN 9.24); the others need only be plausible.
"""

from __future__ import annotations

from typing import Any

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_BY_CAPABILITY = {
    (7, 5): (64 * _KIB, 16, 1024, 4 * _MIB, 16 * _GIB),
    (8, 0): (163 * _KIB, 32, 2048, 40 * _MIB, 80 * _GIB),
    (8, 6): (99 * _KIB, 16, 1536, 6 * _MIB, 24 * _GIB),
    (8, 9): (99 * _KIB, 24, 1536, 72 * _MIB, 24 * _GIB),
    (9, 0): (227 * _KIB, 32, 2048, 50 * _MIB, 80 * _GIB),
    (10, 0): (227 * _KIB, 32, 2048, 126 * _MIB, 180 * _GIB),
    (12, 0): (99 * _KIB, 24, 1536, 96 * _MIB, 32 * _GIB),
}
"""Bytes of shared memory that a block may have, blocks and threads of a multiprocessor ("Technical Specifications per
Compute Capability" of the CUDA C++ Programming Guide), L2 cache and memory of the GPU most often met with it."""


def threads_of(capability: tuple[int, int]) -> int:
    """Threads that a multiprocessor holds."""
    return _BY_CAPABILITY[_known(capability)][2]


def _known(capability: tuple[int, int]) -> tuple[int, int]:
    return max((listed for listed in _BY_CAPABILITY if listed <= capability), default=min(_BY_CAPABILITY))


def device_json(capability: tuple[int, int], multiprocessors: int) -> dict[str, Any]:
    """A GPU of this compute capability; one that is not listed is like the nearest below it, but for its version."""
    known = _known(capability)
    shared_bytes, blocks, threads, l2_bytes, memory_bytes = _BY_CAPABILITY[known]
    major, minor = capability
    return {
        "deviceVer": 100 * major + 10 * minor,
        "deviceName": f"GPU of capability {major}.{minor}",
        "driverVer": 13000,
        "cudaDeviceId": 0,
        "pciDeviceId": 0,
        "isTccDriver": 0,
        "supportCoopLaunch": 1,
        "multiProcessorCount": multiprocessors,
        "warpSize": 32,
        "maxGridSize": [2147483647, 65535, 65535],
        "maxBlockSize": [1024, 1024, 64],
        "maxThreadsPerBlock": 1024,
        "maxThreadsPerSM": threads,
        "maxCtasPerSM": blocks,
        "regsPerBlock": 65536,
        "maxRegistersPerSM": 65536,
        "maxSharedMemoryPerBlock": 48 * _KIB,
        "maxSharedMemoryPerBlockOptin": shared_bytes,
        "reservedSharedMemoryPerBlock": 0 if known == (7, 5) else _KIB,
        "totalGlobalMem": memory_bytes,
        "l2CacheSize": l2_bytes,
        "smClockRateKHz": 1_700_000,
        "memClockRateKHz": 5_000_000,
    }
