"""Segments that grow, for what torch's caching allocator takes of the driver.

A segment of fixed size is cut into blocks once and stays as large as it is: what no later request fits into is lost to
the run. Of our runs in rehearsals a tenth to a third was. Segments that grow leave a few percent.
"""

from __future__ import annotations

import ctypes
import os
import platform

import torch

from planner.nouns.machine import ALLOCATOR_VARIABLES, allocator_settings, maps_memory
from planner.runtime.cuda import out_of_memory

SETTING = "expandable_segments"
"""As torch names it; off by default (CUDA semantics, "Optimizing memory usage with PYTORCH_ALLOC_CONF")."""
VIRTUAL_MEMORY = 102
"""CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED (cuda.h): virtual GPUs may lack it."""


def use_growing_segments(device: torch.device) -> bool:
    """Have the allocator of this process grow its segments from now on, and say whether it does.

    What was allocated before stays as it is. A user who has settled it in the environment is obeyed, and where the
    driver cannot map memory, or torch has another allocator, all stays as torch has it by default.
    """
    text = _settings()
    settled = allocator_settings(text).get(SETTING)
    if settled is not None:
        return settled == "True"
    if torch.cuda.get_allocator_backend() != "native" or not _maps_memory(device):
        return False
    _set(text, "True")
    try:
        torch.empty(1, device=device)  # a driver may promise what it does not keep
    except RuntimeError as error:
        if out_of_memory(error) is None:
            _set(text, "False")
            return False
    return True


def _settings() -> str:
    """What is set, as torch writes it; older releases do not say, so what they were started with."""
    current = getattr(torch._C, "_accelerator_getAllocatorSettings", None)
    if current is not None:
        return str(current())
    return next((os.environ[name] for name in ALLOCATOR_VARIABLES if os.environ.get(name)), "")


def _set(text: str, grow: str) -> None:
    text = ",".join(part for part in (text, f"{SETTING}:{grow}") if part)  # what is not said again is forgotten
    newer = getattr(torch._C, "_accelerator_setAllocatorSettings", None)  # torch 2.10; the other one warns since
    if newer is not None:
        newer(text)
    else:
        torch.cuda.memory._set_allocator_settings(text)


def _maps_memory(device: torch.device) -> bool:
    """Whether the driver says that it maps memory into addresses which were reserved for it."""
    if torch.version.cuda is None or not maps_memory(f"{platform.system()} {platform.release()}"):
        return False
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        found, handle = ctypes.c_int(0), ctypes.c_int(0)
        failed = driver.cuDeviceGet(ctypes.byref(handle), ctypes.c_int(device.index or 0))
        failed = failed or driver.cuDeviceGetAttribute(ctypes.byref(found), ctypes.c_int(VIRTUAL_MEMORY), handle)
    except (OSError, AttributeError):
        return False
    return not failed and found.value == 1
