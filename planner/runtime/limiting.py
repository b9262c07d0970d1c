"""Holding torch's caching allocator to a cap: for a worker that shares a GPU, and for a trial that is measured."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping

import torch

from planner.machine.cap import CapWarning, allocator_bytes, cap_from, context_beside
from planner.machine.processes import Driver
from planner.nouns.machine import CAP_VARIABLE
from planner.nouns.plan import Plan
from planner.text.units import format_size

UNSETTLED = 16
"""Calls after which the cap is set anew each time: kernels are loaded when they are first run, and the context grows
with them; with a full memory bank, after 16 frames, a frame runs nothing new."""
SELDOM = 64
"""Later it is set anew every so many calls, for what a correction or another object may still load."""


def hold(device: torch.device, cap_bytes: int, process_bytes: int | None, otherwise_bytes: int) -> None:
    """Limit the allocator on `device` to what the cap leaves beside the context.

    `process_bytes`: what the driver counts for this process; where it is None, `otherwise_bytes` is the context.
    Raises OutOfMemory where nothing is left.
    """
    context = context_beside(process_bytes, torch.cuda.memory_reserved(device), otherwise_bytes)
    _, total = torch.cuda.mem_get_info(device)
    torch.cuda.set_per_process_memory_fraction(min(1.0, allocator_bytes(cap_bytes, context) / total), device)


def in_use_beside(device: torch.device) -> int:
    """Bytes in use on the GPU beside this process's allocator: the context, and whatever others hold."""
    free, total = torch.cuda.mem_get_info(device)
    return int(total - free - torch.cuda.memory_reserved(device))


def uuid_of(device: torch.device) -> str | None:
    """As NVML writes it; None where this torch does not say."""
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return f"GPU-{uuid}" if uuid else None


class MemoryCap:
    """The cap of this process on one GPU."""

    def __init__(self, cap_bytes: int, device: torch.device, predicted_context_bytes: int | None) -> None:
        self.cap_bytes = cap_bytes
        """What the process may take, context included."""
        self._device = device
        self._predicted = predicted_context_bytes
        self._driver = Driver(uuid_of(device))
        self._calls = 0

    def hold(self) -> None:
        """Limit the allocator. Raises OutOfMemory where the context alone fills the cap.

        Where the driver does not know this process, as in a container, the plan's prediction is its context: all that
        is in use would count the neighbours too. Without a plan it does: not knowing is no reason to take more.
        """
        # First, for it makes the context: the driver does not list this process before.
        in_use = in_use_beside(self._device)
        otherwise = in_use if self._predicted is None else self._predicted
        hold(self._device, self.cap_bytes, self._driver.listed_bytes(), otherwise)

    def renew(self) -> None:
        """Something was computed: limit the allocator anew, if the context may have grown."""
        self._calls += 1
        if self._calls <= UNSETTLED or self._calls % SELDOM == 0:
            self.hold()

    def __str__(self) -> str:
        return f"{CAP_VARIABLE} holds this process to {format_size(self.cap_bytes)}"


def cap_on(device: torch.device, plan: Plan | None, environment: Mapping[str, str] = os.environ) -> MemoryCap | None:
    """The cap that the environment sets, in force on `device`; None where it sets none.

    Warns where the device's allocator cannot be limited. Raises UsageError for a cap that cannot be read, OutOfMemory
    for one that the context alone fills.
    """
    cap_bytes = cap_from(environment)
    if cap_bytes is None:
        return None
    if device.type != "cuda":
        said = f"{CAP_VARIABLE}={environment[CAP_VARIABLE]}"
        warnings.warn(f"{said} is not enforced: on {device} nothing can be limited", CapWarning, stacklevel=2)
        return None
    estimate = plan.estimate if plan else None
    cap = MemoryCap(cap_bytes, device, estimate.context_bytes if estimate else None)
    cap.hold()
    return cap
