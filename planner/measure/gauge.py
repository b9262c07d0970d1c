"""What a process takes on its device, by phase. Imports torch; only the child process does."""

from __future__ import annotations

import contextlib
import ctypes
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from planner.driving.watch import Watch
from planner.measure.extents import enter, record
from planner.nouns.run import ComponentName, PhaseName
from planner.runtime.cuda import started
from planner.runtime.limiting import in_use_beside


class Gauge(Watch):
    """Peaks by phase, from the counters of torch's caching allocator; on a CPU there is nothing to read.

    Phases nest: an inner one's bytes count for it, and what was before and after for the outer one.
    """

    def __init__(self, device: str) -> None:
        self.device = started(torch.device(device))
        self.on_gpu = self.device.type == "cuda"
        self.phases: dict[str, dict[str, int]] = {}
        self.seconds: list[float] = []
        self.hold: Callable[[], None] | None = None
        """Called after each frame: the context grows while kernels are loaded, so a cap is to be set anew."""
        self.kernels: list[int] = []
        """Launched for each frame; empty where nobody counts them."""
        self.steps: list[str] = []
        """What fallback stepped down to."""
        self._stack: list[PhaseName] = []
        self.notes_extents = False
        self._began = time.perf_counter()
        # An imaginary GPU counts them (rehearsal/sources); a real one does not.
        self._launched: Callable[[], int] | None = getattr(ctypes.CDLL(None), "imaginary_kernels", None)
        self._launched_before = self._launched() if self._launched else 0

    @property
    def under_way(self) -> PhaseName | None:
        """The innermost phase; where an error came, the one in which it did."""
        return self._stack[-1] if self._stack else None

    @contextlib.contextmanager
    def phase(self, name: PhaseName, component: ComponentName | None = None) -> Iterator[None]:
        """Count for this phase within the block. Counters do not tell components apart."""
        self._take()
        self._stack.append(name)
        self._note_phase()
        self.phases.setdefault(name, {"allocated_bytes": 0, "reserved_bytes": 0})
        try:
            yield
        except BaseException:
            # What was reached before memory ran out was measured too.
            self._take()
            raise
        self._take()
        self._stack.pop()
        self._note_phase()

    def note_extents(self) -> None:
        """Have the allocator note from now on where blocks lie, and of which phase they are; see measure.extents."""
        self.notes_extents = True
        record()

    def _note_phase(self) -> None:
        if self.notes_extents:
            enter(self.under_way)

    def tick(self) -> None:
        """A frame is done."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
        if self.hold:
            self.hold()
        now = time.perf_counter()
        self.seconds.append(now - self._began)
        self._began = now
        if self._launched:
            launched = self._launched()
            self.kernels.append(launched - self._launched_before)
            self._launched_before = launched

    def seconds_per_frame(self) -> float | None:
        """Median of the frames after the first two, which warm up."""
        return round(statistics.median(self.seconds[2:]), 6) if len(self.seconds) > 2 else None

    @property
    def imaginary(self) -> bool:
        """Whether the GPU is an imaginary one."""
        return self._launched is not None

    def kernels_per_frame(self) -> float | None:
        """Median of the frames after the first two."""
        return statistics.median(self.kernels[2:]) if len(self.kernels) > 2 else None

    def retries(self) -> int | None:
        """How often the allocator gave its cache back first."""
        return int(torch.cuda.memory_stats(self.device)["num_alloc_retries"]) if self.on_gpu else None

    def peak(self, what: str) -> int | None:
        """The highest of all phases; None before the first."""
        return max((phase[what] for phase in self.phases.values()), default=None) if self.on_gpu else None

    def context_bytes(self) -> int | None:
        """Device memory in use beyond the allocator's: the context and its kernels, if nobody else is there."""
        if not self.on_gpu:
            return None
        return in_use_beside(self.device)

    def _take(self) -> None:
        """Add the peak since the last time to the phase under way, and begin anew."""
        if not self.on_gpu:
            return
        if self._stack:
            known = self.phases[self._stack[-1]]
            known["allocated_bytes"] = max(known["allocated_bytes"], torch.cuda.max_memory_allocated(self.device))
            known["reserved_bytes"] = max(known["reserved_bytes"], torch.cuda.max_memory_reserved(self.device))
        torch.cuda.reset_peak_memory_stats(self.device)
