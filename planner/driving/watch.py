"""What is told of a run beside what the runtime tells of itself. A watcher counts, traces or times what it is told."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from planner.nouns.run import ComponentName, PhaseName
from planner.runtime import watch as runtime


class Watch(runtime.Watch):
    """Told of a run as it goes on. Each method does nothing; whoever wants to know overrides what it needs."""

    def detail(self, name: PhaseName, component: ComponentName | None = None) -> AbstractContextManager[None]:
        """As `phase`, for those who cut finer than profiles do: rows that were measured know nothing of it."""
        return nullcontext()

    def section(self, name: str) -> None:
        """A section begins: "load", "init", "prompt 0", "frame 1", "round 0", "batch 0", ..."""

    def model(self, model: Any) -> None:
        """The model is there, a torch.nn.Module."""

    def holds(self, component: ComponentName, held: Any) -> None:
        """Every tensor in `held` (nested dicts and sequences) belongs to `component`."""

    def tick(self) -> None:
        """A frame, or a picture, is done."""

    def progress(self, done: int, total: int) -> None:
        """So many of the frames, rounds or passes of points are done."""
