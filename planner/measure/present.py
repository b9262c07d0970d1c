"""The GPU that is present, through NVML. No GPU and no driver is an answer, not an error."""

from __future__ import annotations

from planner.domain import Gpu
from planner.errors import UsageError


def present_gpus() -> list[Gpu]:
    """The NVIDIA GPUs of this machine in NVML's order; empty without a GPU or a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def find_present(device: str | None, gpus: list[Gpu]) -> Gpu:
    """The GPU with that index or UUID; of several without a choice, the one with the most free memory.

    Raises UsageError that says what to pass where there is none.
    """
    if not gpus:
        raise UsageError(
            "No GPU was found on this machine, and no budget was given.",
            'Pass --vram 8GB for a budget, or --gpu "RTX 3060" for a GPU by name.',
        )
    if device is None:
        return max(gpus, key=lambda gpu: (gpu.free_bytes or 0, -(gpu.index or 0)))
    for gpu in gpus:
        if device in (str(gpu.index), gpu.uuid):
            return gpu
    known = "; ".join(f"{gpu.index}: {gpu.name} ({gpu.uuid})" for gpu in gpus)
    raise UsageError(f"There is no GPU {device!r} here.", f"Present: {known}.")


def _gpu(pynvml: object, index: int) -> Gpu:
    from typing import Any, cast

    nvml = cast(Any, pynvml)
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    try:
        capability = tuple(nvml.nvmlDeviceGetCudaComputeCapability(handle))
    except nvml.NVMLError:
        capability = None
    return Gpu(
        name=_text(nvml.nvmlDeviceGetName(handle)),
        total_bytes=int(memory.total),
        free_bytes=int(memory.free),
        capability=capability,
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        index=index,
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
