"""Replays a real run's event log through the model of the allocator and compares, byte for byte.

Compared: every call to the driver (order, size, what caused it), the address of every block within its segment, the
active bytes wherever the log holds a snapshot, and the peaks that torch counted. A log holds no running total of
allocated bytes, for it records what was requested and not the blocks; they agree because equal segments and equal
addresses leave no other blocks, and because torch's own peak does.

The model is told where the driver put each segment, since that decides ties between equal free blocks. A run of
segment_free (or segment_unmap) entries is replayed as empty_cache: torch releases cached segments there and when the
driver has nothing left, by the same code and in the same order. Blocks of several streams cannot be told apart in a
log; such a run shows as a divergence.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from planner.simulator.allocator import CachingAllocator, Sample
from planner.simulator.driver import SegmentEvent
from planner.simulator.history import (
    ALLOC,
    FREE_COMPLETED,
    FREE_REQUESTED,
    RELEASES,
    RESERVATIONS,
    SNAPSHOT,
    History,
    HistoryError,
    HistoryEvent,
)
from planner.simulator.rules import older_segment_first

INVENTED_ADDRESS = 1 << 60
"""Where the model puts segments that the log does not have; above any real address (57 bits at most)."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where log and model part."""

    index: int
    """Number of the entry in the log, from 0; the number of entries where it shows only at the end."""
    what: str
    """driver (a call missing, added or of another size), address, active_bytes, peak_allocated_bytes or
    peak_reserved_bytes."""
    expected: object
    """What the log says."""
    got: object
    """What the model did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult:
    """How model and log compare."""

    entries: int
    allocations: int
    driver_calls: int
    """In the log."""
    divergences: int
    """How many entries disagree; after the first one the rest may be its consequences."""
    first_divergence: Divergence | None
    peak_allocated_bytes: int
    """What the model has, as are the next three."""
    peak_reserved_bytes: int
    allocated_bytes: int
    """At the end."""
    reserved_bytes: int
    logged_peak_allocated_bytes: int | None
    logged_peak_reserved_bytes: int | None
    samples: tuple[Sample, ...]
    """The model's counters over time, if asked for."""

    @property
    def agrees(self) -> bool:
        """True where nothing diverges."""
        return self.first_divergence is None


def replay(history: History, sample_every: int = 0) -> ReplayResult:
    """Run a log through the model. Raises HistoryError for entries that no allocator could have written."""
    player = _Player(history, sample_every)
    for index, event in enumerate(history.events):
        player.play(index, event)
    return player.result()


def _older_segment_first(torch_version: str) -> bool:
    """By the version that the log names; as the newest known one does where it names none."""
    found = re.match(r"(\d+)\.(\d+)", torch_version)
    return found is None or older_segment_first((int(found[1]), int(found[2])))


class _Player:
    """The state of a replay: the model, what the log announced, and who is where."""

    def __init__(self, history: History, sample_every: int) -> None:
        self._history = history
        self._model = CachingAllocator(
            expandable_segments=history.expandable_segments,
            placement=self._place,
            sample_every=sample_every,
            older_segment_first=_older_segment_first(history.torch),
        )
        self._addresses: dict[int, int] = {}
        """From the log's address of a live block to the model's."""
        self._announced: deque[HistoryEvent] = deque()
        """Calls to the driver that the log holds since the last allocation."""
        self._compared = 0
        """How many of the model's driver calls were compared."""
        self._releasing: deque[SegmentEvent] = deque()
        """What the model released in the current run of releases, still to be found in the log."""
        self._segments: dict[int, int] = {}
        """Bytes of the model's segments by address, as of its driver call number `_known`."""
        self._known = 0
        self._in_step = True
        self._next_invented = INVENTED_ADDRESS
        self._allocations = self._driver_calls = self._divergences = 0
        self._first: Divergence | None = None

    def play(self, index: int, event: HistoryEvent) -> None:
        """One entry of the log."""
        action = event.action
        if action in RELEASES:
            self._release(index, event)
            return
        if self._releasing:
            self._diverge(index, "driver", None, self._releasing[0])
            self._releasing.clear()
        if action == ALLOC:
            self._allocate(index, event)
        elif action in (FREE_REQUESTED, FREE_COMPLETED):
            self._free(index, event)
        elif action in RESERVATIONS:
            self._driver_calls += 1
            self._announced.append(event)
        elif action == SNAPSHOT and event.size_bytes != self._model.active_bytes:
            self._diverge(index, "active_bytes", event.size_bytes, self._model.active_bytes)

    def result(self) -> ReplayResult:
        """Compare what shows only at the end, and sum up."""
        history, model, end = self._history, self._model, len(self._history.events)
        for waiting in (*self._announced, *self._releasing):
            logged = isinstance(waiting, HistoryEvent)
            self._diverge(end, "driver", waiting if logged else None, None if logged else waiting)
        for what, expected, got in (
            ("peak_allocated_bytes", history.peak_allocated_bytes, model.peak_allocated_bytes),
            ("peak_reserved_bytes", history.peak_reserved_bytes, model.peak_reserved_bytes),
        ):
            if expected is not None and expected != got:
                self._diverge(end, what, expected, got)
        return ReplayResult(
            entries=end,
            allocations=self._allocations,
            driver_calls=self._driver_calls,
            divergences=self._divergences,
            first_divergence=self._first,
            peak_allocated_bytes=model.peak_allocated_bytes,
            peak_reserved_bytes=model.peak_reserved_bytes,
            allocated_bytes=model.allocated_bytes,
            reserved_bytes=model.reserved_bytes,
            logged_peak_allocated_bytes=history.peak_allocated_bytes,
            logged_peak_reserved_bytes=history.peak_reserved_bytes,
            samples=tuple(model.samples),
        )

    def _allocate(self, index: int, event: HistoryEvent) -> None:
        if event.address in self._addresses:
            raise self._impossible(index, event, "is allocated already")
        if not event.size_bytes:
            raise self._impossible(index, event, "is of 0 bytes, which take no block")
        self._allocations += 1
        address = self._model.malloc(event.size_bytes)
        self._addresses[event.address] = address
        events = self._model.segment_events
        while self._compared < len(events) or self._announced:
            got = events[self._compared] if self._compared < len(events) else None
            expected = self._announced.popleft() if self._announced else None
            self._compared += got is not None
            if got is None or expected is None or tuple(got) != tuple(expected):
                self._diverge(index, "driver", expected, got)
        if address != event.address:
            self._diverge(index, "address", event.address, address)

    def _free(self, index: int, event: HistoryEvent) -> None:
        address = self._addresses.get(event.address)
        if address is None:
            raise self._impossible(index, event, "was not allocated since the log began")
        try:
            if event.action == FREE_REQUESTED:
                self._model.request_free(address)
            else:
                self._model.complete_free(address)
                del self._addresses[event.address]
        except KeyError as error:
            late = event.action == FREE_REQUESTED
            why = "was freed already" if late else "was not asked to be freed"
            raise self._impossible(index, event, why) from error

    def _release(self, index: int, event: HistoryEvent) -> None:
        """An entry of a run of releases: the first one makes the model release, each is compared with one of its."""
        self._driver_calls += 1
        if not self._releasing:
            self._model.empty_cache()
            self._releasing.extend(self._model.segment_events[self._compared :])
            self._compared = len(self._model.segment_events)
        got = self._releasing.popleft() if self._releasing else None
        if got is None or tuple(got) != tuple(event):
            self._diverge(index, "driver", event, got)

    def _impossible(self, index: int, event: HistoryEvent, why: str) -> HistoryError:
        return HistoryError(
            f"{self._history.name}: entry {index} ({event.action}): the block at {event.address:#x} {why}.",
            "The log must begin with an empty cache and be complete.",
        )

    def _place(self, size_bytes: int) -> int:
        """Where the log says that the segment the model asks for is; an invented place where it says nothing."""
        compared = len(self._model.segment_events) - self._compared
        if self._in_step and compared < len(self._announced):
            announced = self._announced[compared]
            if self._history.expandable_segments or self._is_free(announced, size_bytes):
                return announced.address
        self._next_invented += size_bytes
        return self._next_invented - size_bytes

    def _is_free(self, announced: HistoryEvent, size_bytes: int) -> bool:
        """Whether a segment of that size can stand where the log says; a forged log could have two in one place."""
        for action, address, size in self._model.segment_events[self._known :]:
            if action in RELEASES:
                del self._segments[address]
            else:
                self._segments[address] = size
        self._known = len(self._model.segment_events)
        start, end = announced.address, announced.address + size_bytes
        apart = all(end <= address or address + size <= start for address, size in self._segments.items())
        return apart and announced.size_bytes == size_bytes

    def _diverge(self, index: int, what: str, expected: object, got: object) -> None:
        # Once the segments differ, the log's addresses may lie inside segments that the model has elsewhere.
        self._in_step = self._in_step and what != "driver"
        self._divergences += 1
        if self._first is None:
            self._first = Divergence(index, what, expected, got)
