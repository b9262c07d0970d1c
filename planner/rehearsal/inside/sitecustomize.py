"""What a rehearsed Python process notes of itself: torch's own peaks, and where in the program the highest was.

Python imports a module of this name at its start; this folder stands first on PYTHONPATH of a rehearsed command. It
uses the standard library alone, changes nothing that the program computes, and hands over to the sitecustomize that
would have been found without it. What it notes is written when the process ends, as JSON, into the folder that
SAM2_PLAN_REHEARSAL_REPORTS names; a process that is killed leaves nothing, and the report of the rehearsal says so.
"""

from __future__ import annotations

import sys
from typing import Any

VARIABLE = "SAM2_PLAN_REHEARSAL_REPORTS"
MOST_ENTRIES = 1_000_000
"""Most entries that are kept of torch's history of allocations, some 300 bytes each."""
DEEPEST = 12
"""Calls that are named, innermost first, torch's own left out."""


def _hand_over() -> None:
    """Import the sitecustomize that this one stands before, if there is one."""
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here or not entry]
    mine = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        if mine is not None:
            sys.modules["sitecustomize"] = mine


class _WhenTorchComes:
    """A finder that lets the others find torch, and has `noted` run once it is imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The spec of torch, with more to do when it is loaded; nothing of others."""
        if name != "torch":
            return None
        import importlib.util

        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def executed(module: Any) -> None:
                execute(module)
                _watch(module)

            spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec


class _Noted:
    """What this process has to say."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.started = False
        self.peaks: dict[int, list[int]] = {}
        """By device, allocated and reserved, also of times before the program reset its counters."""
        self.ran_out: dict[str, Any] | None = None

    def start(self) -> None:
        """CUDA starts: from here on torch keeps its history, and tells of memory that ran out."""
        self.started = True
        memory = self.torch.cuda.memory
        memory._record_memory_history("all", context="alloc", stacks="python", max_entries=MOST_ENTRIES)
        self.torch._C._cuda_attach_out_of_memory_observer(self.out_of_memory)
        plain = memory.reset_peak_memory_stats

        def reset_peak_memory_stats(device: Any = None) -> Any:
            self.see_peaks()
            return plain(device)

        memory.reset_peak_memory_stats = self.torch.cuda.reset_peak_memory_stats = reset_peak_memory_stats

    def see_peaks(self) -> None:
        """Keep what the counters say now."""
        for device in range(self.torch.cuda.device_count()):
            stats = self.torch.cuda.memory_stats(device)
            now = stats.get("allocated_bytes.all.peak", 0), stats.get("reserved_bytes.all.peak", 0)
            self.peaks[device] = [max(pair) for pair in zip(now, self.peaks.get(device, (0, 0)), strict=True)]

    def out_of_memory(self, device: int, size_bytes: int, device_total: int, device_free: int) -> None:
        """The allocator of torch did not get what it asked for."""
        import traceback

        frames = [(one.filename, one.lineno or 0, one.name) for one in reversed(traceback.extract_stack()[:-1])]
        self.ran_out = {"device": device, "requested_bytes": size_bytes, "frames": _own_code(frames)}

    def write(self) -> None:
        """The process ends: put down what is known."""
        import json
        import os

        report: dict[str, Any] = {"pid": os.getpid(), "argv": sys.argv, "torch": self.torch.__version__, "devices": []}
        report["cuda"], report["ran_out"] = self.torch.version.cuda, self.ran_out
        if self.started:
            self.see_peaks()
            traces = _history(self.torch)
            for device, (allocated, reserved) in self.peaks.items():
                stats = self.torch.cuda.memory_stats(device)
                report["devices"].append(
                    {
                        "device": device,
                        "allocated_bytes": allocated,
                        "reserved_bytes": reserved,
                        "retries": stats.get("num_alloc_retries", 0),
                        "out_of_memory": stats.get("num_ooms", 0),
                        "peak": _peak_of(traces[device] if device < len(traces) else [], stats),
                    }
                )
        path = os.path.join(os.environ[VARIABLE], f"{os.getpid()}.json")
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump(report, file)
        os.replace(path + ".part", path)


def _history(torch: Any) -> list[list[dict[str, Any]]]:
    """What the allocator did, by device.

    For its places torch also looks into torch._inductor, which takes a second to import. A program that did not import
    it has compiled nothing, so that torch finds a module of that name with nothing in it.
    """
    import types

    missing = "torch._inductor" not in sys.modules
    if missing:
        torch._inductor = types.ModuleType("torch._inductor")
    try:
        traces: list[list[dict[str, Any]]] = torch.cuda.memory._snapshot()["device_traces"]
    finally:
        if missing:
            del torch._inductor
    return traces


def _peak_of(trace: list[dict[str, Any]], stats: dict[str, int]) -> dict[str, Any] | None:
    """Who asked for the block with which the most was allocated; None where the history no longer reaches back."""
    sign = {"alloc": 1, "free_requested": -1}
    changes = [sign.get(entry["action"], 0) * entry["size"] for entry in trace]
    # Backwards from what is in use now: the history may have lost its beginning.
    live = stats.get("requested_bytes.all.current", 0) - sum(changes)
    most, at = 0, None
    for number, change in enumerate(changes):
        live += change
        if live > most:
            most, at = live, number
    whole = len(trace) < MOST_ENTRIES or most >= stats.get("requested_bytes.all.peak", 0)
    if at is None or not whole:
        return None
    frames = [(one["filename"], one["line"], one["name"]) for one in trace[at].get("frames", ())]
    return {"requested_bytes": trace[at]["size"], "frames": _own_code(frames)}


def _own_code(frames: list[tuple[str, int, str]]) -> list[dict[str, Any]]:
    """(file, line, function), innermost first, without torch's and this file's."""
    import os

    inner = os.sep + "torch" + os.sep
    kept = [frame for frame in frames if inner not in frame[0] and frame[0] not in ("??", __file__)]
    return [{"file": file, "line": line, "function": name} for file, line, name in kept[:DEEPEST]]


def _watch(torch: Any) -> None:
    """It was imported: note what it does, if it is one for CUDA."""
    if not getattr(torch.version, "cuda", None):
        return
    import atexit

    noted = _Noted(torch)
    torch.cuda._lazy_call(noted.start)  # with CUDA, not before: a program that never starts it pays nothing
    atexit.register(noted.write)


def _begin() -> None:
    import os

    _hand_over()
    if os.environ.get(VARIABLE):
        sys.meta_path.insert(0, _WhenTorchComes())


_begin()
