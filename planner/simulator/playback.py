"""Play a trace through the model of the caching allocator: in the run's order, section by section.

The small and the large pool share nothing but their sum, so each is played on an allocator of its own: a long clip
can then be shortened for each by its own rhythm (extension.py). Without a limit nothing is ever given back to the
driver, so reserved bytes only grow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from planner.simulator.allocator import CachingAllocator
from planner.simulator.events import Trace
from planner.simulator.rules import SMALL_SIZE, round_size

Token = tuple[int, int, int]
"""A birth (size_bytes, 0, 0), or a death (0, age, number): of the birth `number` of the section `age` sections ago."""


@dataclass(slots=True)
class Section:
    """One section of a trace in a form that does not depend on which section it is.

    Two frames whose tokens are equal do the same to the allocator.
    """

    name: str
    tokens: list[Token]
    start: int
    """Position of its first event in the trace."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of the played run: after which event of which section, and how much was allocated then."""

    allocated_bytes: int
    section: int
    offset: int


@dataclass(slots=True)
class Peaks:
    """The highest moments, in all and by the phase of the allocation that reached them."""

    highest: Moment = Moment(0, 0, 0)
    by_phase: dict[str, Moment] = field(default_factory=dict)

    def see(self, phase: str, allocated_bytes: int, section: int, offset: int) -> None:
        """Keep the moment if it is the highest of its phase."""
        if allocated_bytes > self.highest.allocated_bytes:
            self.highest = Moment(allocated_bytes, section, offset)
        best = self.by_phase.get(phase)
        if best is None or allocated_bytes > best.allocated_bytes:
            self.by_phase[phase] = Moment(allocated_bytes, section, offset)


def sections_of(trace: Trace, sizes: dict[int, int] | None = None) -> list[Section]:
    """The trace's sections as tokens. `sizes` replaces the sizes of some allocations, by index."""
    sizes = sizes or {}
    home: dict[int, tuple[int, int]] = {}
    result = []
    for number, (name, start, stop) in enumerate(trace.sections()):
        tokens: list[Token] = []
        births = 0
        for event in trace.events[start:stop]:
            if event > 0:
                home[event - 1] = (number, births)
                births += 1
                tokens.append((sizes.get(event - 1, trace.allocations[event - 1].size_bytes), 0, 0))
            else:
                section, birth = home[-event - 1]
                tokens.append((0, number - section, birth))
        result.append(Section(name, tokens, start))
    return result


class PoolPlayer:
    """One pool of the allocator, fed with its share of the tokens."""

    def __init__(self, small: bool, expandable_segments: bool) -> None:
        self.small = small
        self.allocator = CachingAllocator(expandable_segments=expandable_segments)
        self.addresses: dict[int, dict[int, int]] = {}
        """Addresses of what lives, by section and birth number."""

    def takes(self, size_bytes: int) -> bool:
        """Whether a request of this size is served by this pool."""
        return (round_size(size_bytes) <= SMALL_SIZE) == self.small

    def birth(self, section: int, number: int, size_bytes: int) -> None:
        """A request."""
        self.addresses.setdefault(section, {})[number] = self.allocator.malloc(size_bytes)

    def death(self, section: int, number: int) -> None:
        """The storage with this birth goes."""
        self.allocator.free(self.addresses[section].pop(number))

    def holds(self, section: int, number: int) -> bool:
        """Whether the storage with this birth lives here."""
        return number in self.addresses.get(section, ())


class Player:
    """Both pools together."""

    def __init__(self, expandable_segments: bool = False) -> None:
        self.small = PoolPlayer(True, expandable_segments)
        self.large = PoolPlayer(False, expandable_segments)
        self.offset_bytes = 0
        """Allocated in stretches that were shortened away."""
        self.reserved_offset_bytes = 0
        self.peaks = Peaks()

    @property
    def allocated_bytes(self) -> int:
        """In blocks now."""
        return self.small.allocator.allocated_bytes + self.large.allocator.allocated_bytes + self.offset_bytes

    @property
    def reserved_bytes(self) -> int:
        """Held from the driver now; as nothing is given back, also the peak."""
        return self.small.allocator.reserved_bytes + self.large.allocator.reserved_bytes + self.reserved_offset_bytes

    def play(self, number: int, tokens: Iterable[Token], phases: list[str], start: int = 0, births: int = 0) -> int:
        """One section, or the rest of it from offset `start` and after `births` births; how many births there were.

        `phases` names the phase of each birth, by birth number.
        """
        small, large, peaks = self.small, self.large, self.peaks
        for offset, (size_bytes, age, birth) in enumerate(tokens, start):
            if size_bytes:
                pool = small if small.takes(size_bytes) else large
                pool.birth(number, births, size_bytes)
                peaks.see(phases[births], self.allocated_bytes, number, offset)
                births += 1
            else:
                home = number - age
                pool = small if small.holds(home, birth) else large
                pool.death(home, birth)
        return births


def phases_of(trace: Trace, section: Section) -> list[str]:
    """The phase of every birth of a section, by birth number."""
    stop = section.start + len(section.tokens)
    return [trace.allocations[event - 1].phase for event in trace.events[section.start : stop] if event > 0]
