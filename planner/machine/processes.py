"""What NVIDIA's driver says of a GPU and its processes, through NVML; null where it says nothing."""

from __future__ import annotations

import contextlib
import os
from typing import Any


class Driver:
    """Answers for one GPU. Without a GPU, a driver or its binding every answer is None."""

    def __init__(self, uuid: str | None) -> None:
        self._nvml: Any = None
        self._handle: Any = None
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid) if uuid else pynvml.nvmlDeviceGetHandleByIndex(0)
        except Exception:
            self._handle = None

    def process_bytes(self) -> int | None:
        """Bytes of this process; where the driver numbers it otherwise, of the only one that is listed."""
        own = self._own()
        return None if own is None else dict(self._processes() or ()).get(own)

    def listed_bytes(self) -> int | None:
        """Bytes of this process under its own number: on a shared GPU the only one listed may be a neighbour."""
        return dict(self._processes() or ()).get(os.getpid())

    def alone(self) -> bool | None:
        """Whether no other process has memory on the GPU."""
        processes = self._processes()
        # A list without this process, which is certainly there, is a container's view and says nothing.
        return None if not processes else self._own() is not None and len(processes) == 1

    def _own(self) -> int | None:
        """This process as the driver numbers it: in a container of its own numbers, the only one that is listed."""
        listed = [pid for pid, _ in self._processes() or ()]
        return os.getpid() if os.getpid() in listed else listed[0] if len(listed) == 1 else None

    def version(self) -> str | None:
        """Version of the driver."""
        try:
            found = self._nvml.nvmlSystemGetDriverVersion()
        except Exception:
            return None
        return found.decode() if isinstance(found, bytes) else str(found)

    def _processes(self) -> list[tuple[int, int | None]] | None:
        try:
            found = list(self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle))
        except Exception:
            return None
        with contextlib.suppress(Exception):  # slices know no graphics
            found += self._nvml.nvmlDeviceGetGraphicsRunningProcesses(self._handle)
        return list({process.pid: process.usedGpuMemory for process in reversed(found)}.items())
