"""The nouns of a trace: what was allocated, in which order it was born and died, and where.

Pure Python: knows neither torch nor the allocator. A trace holds *requested* sizes; rounding, blocks
and segments are the allocator's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from planner.nouns.run import ComponentName, PhaseName


@dataclass(slots=True)
class Allocation:
    """One storage on the GPU: what asked for it, and what it turned out to be.

    Mutable in one way only: `component` is settled once the run shows who keeps the storage.
    """

    size_bytes: int
    """Requested, before the allocator rounds."""
    operation: str
    """The aten operation that made it, such as "aten.mm"; a kernel's own buffer names the kernel."""
    module: str
    """Qualified name of the innermost sam2 module that was running; empty outside of any."""
    phase: PhaseName
    component: ComponentName


@dataclass(slots=True)
class Trace:
    """Births and deaths of storages in the order in which the run caused them.

    `events` holds +(index + 1) for the birth and -(index + 1) for the death of `allocations[index]`.
    `marks` are (name, position in events) pairs: where a section of the run begins, in order.
    """

    allocations: list[Allocation] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    marks: list[tuple[str, int]] = field(default_factory=list)
    elsewhere: set[int] = field(default_factory=set)
    """Indices of allocations that are made on a stream of their own (streams.py)."""
    whole_clip: bool = False
    """Whether the clip is already held as long as it is wanted, though only its first frames were tracked."""

    def born(self, allocation: Allocation) -> int:
        """Record a birth; the index of the allocation."""
        self.allocations.append(allocation)
        self.events.append(len(self.allocations))
        return len(self.allocations) - 1

    def died(self, index: int) -> None:
        """Record the death of `allocations[index]`."""
        self.events.append(-(index + 1))

    def mark(self, name: str) -> None:
        """A new section begins here."""
        self.marks.append((name, len(self.events)))

    def sections(self) -> Iterator[tuple[str, int, int]]:
        """(name, start, stop) of every section; `events[start:stop]` are its events."""
        stops = [position for _, position in self.marks[1:]] + [len(self.events)]
        for (name, start), stop in zip(self.marks, stops, strict=True):
            yield name, start, stop

    def curve_bytes(self) -> list[int]:
        """Live requested bytes after each event."""
        live, curve = 0, []
        for event in self.events:
            live += self.allocations[event - 1].size_bytes if event > 0 else -self.allocations[-event - 1].size_bytes
            curve.append(live)
        return curve

    def live_at(self, position: int) -> set[int]:
        """Indices of the allocations alive after `events[position]`."""
        live: set[int] = set()
        for event in self.events[: position + 1]:
            live.add(event - 1) if event > 0 else live.discard(-event - 1)
        return live
