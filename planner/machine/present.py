"""The GPU that is present, through NVML. No GPU and no driver is an answer, not an error.

Everything that is read is a parameter with the real thing as default: NVML's binding, the environment, the root of
the file system.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from planner.errors import UsageError
from planner.machine.allowance import read_limits
from planner.machine.nvml import read_gpu, slices
from planner.nouns.machine import Limits, PresentGpu
from planner.nouns.request import Gpu


def present_gpus() -> list[Gpu]:
    """The NVIDIA GPUs that CUDA would show this process, less what limits leave; empty without a GPU or a driver.

    A GPU whose memory cannot be read is left out. Raises UsageError for a limit that cannot be read.
    """
    return [gpu for gpu in map(as_gpu, inspect()) if gpu is not None]


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


def inspect(
    binding: Any = None, environment: Mapping[str, str] | None = None, root: Path = Path("/")
) -> list[PresentGpu]:
    """All that can be known of the GPUs and slices that CUDA would show this process, in its order.

    `binding` is pynvml, or what answers like it. Raises UsageError for a limit that cannot be read.
    """
    return look(binding, environment, root)[0]


def look(
    binding: Any = None, environment: Mapping[str, str] | None = None, root: Path = Path("/")
) -> tuple[list[PresentGpu], str | None]:
    """As inspect, with the reason where no GPU is seen."""
    limits = read_limits(os.environ if environment is None else environment, root)
    nvml: Any = import_module("pynvml") if binding is None else binding
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return [], f"NVML: {error}"
    try:
        found = _visible(nvml, limits, root)
    except nvml.NVMLError as error:
        return [], f"NVML: {error}"
    finally:
        nvml.nvmlShutdown()
    hidden = "CUDA_VISIBLE_DEVICES hides them" if limits.visible is not None else "the driver lists none"
    return found, None if found else hidden


def as_gpu(found: PresentGpu) -> Gpu | None:
    """What planning needs of it; None where name or memory is not known (a card that is lost, say)."""
    if found.name is None or found.total_bytes is None:
        return None
    return Gpu(
        name=found.name,
        total_bytes=found.total_bytes,
        free_bytes=found.free_bytes,
        capability=found.capability,
        uuid=found.uuid,
        index=found.index,
        driver=found.driver,
    )


def _visible(nvml: Any, limits: Limits, root: Path) -> list[PresentGpu]:
    """Cards, and slices in the place of cards that are cut into some, as CUDA_VISIBLE_DEVICES orders them."""
    handles: list[tuple[int, Any, Any]] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            card = nvml.nvmlDeviceGetHandleByIndex(index)
        except nvml.NVMLError:
            continue  # lost: its neighbours may do
        parts = slices(nvml, card)
        handles += [(index, part, card) for part in parts] or [(index, card, None)]
    if limits.visible is not None:
        handles = _chosen(nvml, handles, limits.visible)
    return [
        read_gpu(nvml, handle, index, place, limits, root, card) for place, (index, handle, card) in enumerate(handles)
    ]


def _chosen(nvml: Any, handles: list[tuple[int, Any, Any]], visible: tuple[str, ...]) -> list[tuple[int, Any, Any]]:
    """Entry by entry; CUDA shows nothing beyond the first that is not there."""
    chosen = []
    for entry in visible:
        match = next((handle for handle in handles if _names(nvml, entry, handle)), None)
        if match is None:
            break
        chosen.append(match)
    return chosen


def _names(nvml: Any, entry: str, handle: tuple[int, Any, Any]) -> bool:
    """Whether an entry means it: an index, a UUID, or the beginning of one."""
    index, device, _ = handle
    if entry.isdecimal():
        return int(entry) == index
    try:
        uuid = nvml.nvmlDeviceGetUUID(device)
    except nvml.NVMLError:
        return False
    return bool((uuid.decode() if isinstance(uuid, bytes) else uuid).startswith(entry))
