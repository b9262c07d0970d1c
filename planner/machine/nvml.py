"""Asking NVML: an answer or the reason why there is none, and what one GPU or slice answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from planner.machine.allowance import host_memory
from planner.nouns.machine import GpuProcess, Limits, PresentGpu
from planner.nouns.words import PROCESS_KINDS


class Asking:
    """Questions to the driver; each that is not answered leaves its reason."""

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self.reasons: dict[str, str] = {}

    def __call__(self, what: str, function: str, *arguments: Any) -> Any:
        """What nvml's function answers; None, and the reason under `what`, where it does not."""
        try:
            answer = getattr(self.nvml, function)(*arguments)
        except self.nvml.NVMLError as error:
            self.reasons[what] = f"NVML: {error}"
            return None
        except AttributeError:
            self.reasons[what] = f"this nvidia-ml-py has no {function}"
            return None
        return answer.decode() if isinstance(answer, bytes) else answer


def read_gpu(
    nvml: Any, handle: Any, index: int, place: int, limits: Limits, root: Path, card: Any = None
) -> PresentGpu:
    """What the driver says of a GPU, or of a slice, whose card's handle is `card`."""
    ask = Asking(nvml)
    whole = handle if card is None else card
    memory = ask("card_bytes", "nvmlDeviceGetMemoryInfo", handle)
    unified = memory is None and ask.reasons.get("card_bytes", "").endswith("Not Supported")
    card_bytes, free_bytes = (None, None) if memory is None else (int(memory.total), int(memory.free))
    if unified and (host := host_memory(root)) is not None:
        card_bytes, free_bytes = host
        # A control group holds what the GPU takes too: it is the host's memory.
        if limits.host_bytes is not None:
            card_bytes, free_bytes = min(card_bytes, limits.host_bytes), min(free_bytes, limits.host_bytes)
        del ask.reasons["card_bytes"]
    elif memory is None:
        ask.reasons["card_free_bytes"] = ask.reasons["card_bytes"]
    attached = ask("display_attached", "nvmlDeviceGetDisplayMode", whole)
    active = ask("display_active", "nvmlDeviceGetDisplayActive", whole)
    capability = ask("capability", "nvmlDeviceGetCudaComputeCapability", whole)
    name = ask("name", "nvmlDeviceGetName", handle)
    mode = ask("mig_mode", "nvmlDeviceGetMigMode", whole)
    limit_bytes = limits.of_gpu(place)
    gpu = PresentGpu(
        index=index,
        place=place,
        name=name,
        uuid=ask("uuid", "nvmlDeviceGetUUID", handle),
        capability=None if capability is None else (int(capability[0]), int(capability[1])),
        card_bytes=card_bytes,
        card_free_bytes=free_bytes,
        limit_bytes=limit_bytes,
        driver=ask("driver", "nvmlSystemGetDriverVersion"),
        cuda=_cuda(ask("cuda", "nvmlSystemGetCudaDriverVersion")),
        processes=_processes(ask, handle),
        display_attached=None if attached is None else bool(attached),
        display_active=None if active is None else bool(active),
        mig_mode=None if mode is None else bool(mode[0]),
        slice=None if card is None or name is None else name.rpartition("MIG ")[2],
        unified=None if memory is None and not unified else unified,
        reasons=ask.reasons,
    )
    if limit_bytes is None:
        ask.reasons["limit_bytes"] = "neither a container nor MPS sets one"
    if gpu.unified is None:
        ask.reasons["unified"] = ask.reasons["card_bytes"]
    return gpu


def slices(nvml: Any, card: Any) -> list[Any]:
    """Handles of the MIG slices of a card; none where it is not in MIG mode."""
    found = []
    try:
        if not nvml.nvmlDeviceGetMigMode(card)[0]:
            return []
        for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(card)):
            try:
                found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, number))
            except nvml.NVMLError:
                continue  # a place without a slice
    except (nvml.NVMLError, AttributeError):
        pass  # a card or driver that knows no MIG
    return found


def _processes(ask: Asking, handle: Any) -> tuple[GpuProcess, ...] | None:
    found: dict[int, GpuProcess] = {}
    for kind in PROCESS_KINDS:
        listed = ask("processes", f"nvmlDeviceGet{kind.capitalize()}RunningProcesses", handle)
        if listed is None:
            if kind == "compute":
                return None
            # Slices know no graphics, and computing is what was asked for.
            del ask.reasons["processes"]
            continue
        for process in listed:
            used = process.usedGpuMemory
            known = isinstance(used, int) and 0 <= used < 2**63
            found.setdefault(process.pid, GpuProcess(process.pid, kind, used if known else None))
    return tuple(found.values())


def _cuda(number: int | None) -> str | None:
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"
