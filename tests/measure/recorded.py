# ruff: noqa: N802  (the names are NVML's)
"""A recorded NVML: a machine of tests/measure/machines/ that answers as nvidia-ml-py does."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from planner.machine.present import inspect
from planner.nouns.machine import PresentGpu

MACHINES = Path(__file__).parent / "machines"


class RecordedNvml:
    """The functions of pynvml that are asked for; a device's handle is its record."""

    class NVMLError(Exception):
        pass

    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record
        self.open = 0

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self._record["devices"])

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:
        return self._record["devices"][index]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: dict[str, Any]) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: dict[str, Any], number: int) -> dict[str, Any]:
        if number >= len(handle["slices"]):
            raise self.NVMLError("Not Found")
        return handle["slices"][number]

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def ask(handle: dict[str, Any] | None = None) -> Any:
            answer = (self._record["system"] if handle is None else handle)[name]
            if isinstance(answer, dict) and "error" in answer:
                raise self.NVMLError(answer["error"])
            if name == "nvmlDeviceGetMemoryInfo":
                return SimpleNamespace(**answer)
            if name.endswith("RunningProcesses"):
                return [SimpleNamespace(**process) for process in answer]
            return answer

        return ask


def record_of(machine: str) -> dict[str, Any]:
    return json.loads((MACHINES / f"{machine}.json").read_text(encoding="utf-8"))


def machine(name: str, root: Path, **environment: str) -> list[PresentGpu]:
    """The GPUs of a recorded machine; `environment` is laid over its own."""
    record = record_of(name)
    for path, text in record["files"].items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="ascii")
    nvml = RecordedNvml(record)
    found = inspect(nvml, {**record["environment"], **environment}, root)
    assert nvml.open == 0, "NVML is shut down again"
    return found
