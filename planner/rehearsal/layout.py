"""The stage's file as sources/stage.h declares it; what one changes the other must.

`size` guards it: the libraries refuse a stage whose size is not what they were compiled with.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from planner.rehearsal.machine import ARCHITECTURES, MOST_GPUS, ImaginaryGpu

MAGIC = 0x53325047
MOST_PROCESSES = 4096
MOST_UNKNOWN = 256


class GpuRecord(ctypes.Structure):
    """struct gpu."""

    _fields_ = (
        ("name", ctypes.c_char * 96),
        ("uuid", ctypes.c_char * 48),
        ("major", ctypes.c_int32),
        ("minor", ctypes.c_int32),
        ("multiprocessors", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("blocks", ctypes.c_int32),
        ("clock_khz", ctypes.c_int32),
        ("memory_clock_khz", ctypes.c_int32),
        ("bus_bits", ctypes.c_int32),
        ("total", ctypes.c_uint64),
        ("context", ctypes.c_uint64),
        ("neighbour", ctypes.c_uint64),
        ("shared", ctypes.c_uint64),
        ("shared_optin", ctypes.c_uint64),
        ("l2", ctypes.c_uint64),
        ("highest", ctypes.c_uint64),
    )


class UsageRecord(ctypes.Structure):
    """struct usage."""

    _fields_ = (
        ("held", ctypes.c_uint64),
        ("peak", ctypes.c_uint64),
        ("context", ctypes.c_uint64),
        ("kernels", ctypes.c_uint64),
        ("requests", ctypes.c_uint64),
        ("refused", ctypes.c_uint64),
    )


class ProcessRecord(ctypes.Structure):
    """struct process."""

    _fields_ = (
        ("pid", ctypes.c_int32),
        ("ended", ctypes.c_int32),
        ("started", ctypes.c_uint64),
        ("context_peak", ctypes.c_uint64 * MOST_GPUS),
        ("usage", UsageRecord * MOST_GPUS),
    )


class StageRecord(ctypes.Structure):
    """struct stage."""

    _fields_ = (
        ("magic", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("gpus", ctypes.c_int32),
        ("processes", ctypes.c_int32),
        ("unknown", ctypes.c_int32),
        ("trace", ctypes.c_int32),
        ("event_lag", ctypes.c_int64),
        ("fail_request", ctypes.c_int64),
        ("zero_scalars", ctypes.c_int64),
        ("gpu", GpuRecord * MOST_GPUS),
        ("unknown_names", (ctypes.c_char * 64) * MOST_UNKNOWN),
        ("process", ProcessRecord * MOST_PROCESSES),
    )


def first_bytes(
    gpus: Sequence[ImaginaryGpu], *, event_lag: int, zero_scalars: int, fail_request: int | None, trace: int
) -> bytes:
    """What stands in the file before the first process comes: all but the processes, which are zeros."""
    record = StageRecord(
        magic=MAGIC,
        size=ctypes.sizeof(StageRecord),
        gpus=len(gpus),
        trace=trace,
        event_lag=event_lag,
        fail_request=fail_request or 0,
        zero_scalars=int(zero_scalars),
    )
    for place, gpu in enumerate(gpus):
        architecture = ARCHITECTURES[gpu.capability]
        record.gpu[place] = GpuRecord(
            name=gpu.name.encode("ascii", "replace")[:95],
            uuid=gpu.uuid.encode("ascii"),
            major=gpu.capability[0],
            minor=gpu.capability[1],
            multiprocessors=gpu.multiprocessors,
            threads=gpu.threads_per_multiprocessor,
            blocks=architecture.blocks,
            clock_khz=gpu.clock_khz,
            memory_clock_khz=gpu.memory_clock_khz,
            bus_bits=gpu.bus_bits,
            total=gpu.total_bytes,
            context=gpu.context_bytes,
            neighbour=gpu.neighbour_bytes,
            shared=architecture.shared_kib << 10,
            shared_optin=architecture.block_kib << 10,
            l2=gpu.l2_bytes,
        )
    return bytes(record)[: StageRecord.process.offset]
