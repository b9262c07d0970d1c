"""Two streams: what the runtime copies back from the host beside its computation, and what that does to reserved bytes.

The caching allocator keeps the blocks of each stream apart, and gives back one that another stream has used once an
event on that stream has passed (record_stream). When that is depends on time, which a simulation does not know: between
at once, and when the masks of the frame have reached the host, which waits for the stream.
"""

from __future__ import annotations

from collections.abc import Callable

from planner.simulator.events import Trace
from planner.simulator.extension import Played


def reserved_bytes(trace: Trace, play: Callable[[Trace], Played]) -> tuple[int, int]:
    """Bytes held from the driver if events pass at once, and if they pass at the end of each section.

    For a trace in which some storages lie on the other stream; `play` plays a trace to the end of the clip.
    """
    ours = play(_part(trace, lambda index: index not in trace.elsewhere)).player.reserved_bytes
    beside = _part(trace, lambda index: index in trace.elsewhere)
    return tuple(ours + play(one).player.reserved_bytes for one in (beside, _late(beside)))  # type: ignore[return-value]


def _part(trace: Trace, wanted: Callable[[int], bool]) -> Trace:
    """The births and deaths of some storages, in the same sections."""
    part = Trace(allocations=trace.allocations)
    for name, start, stop in trace.sections():
        part.mark(name)
        part.events += [event for event in trace.events[start:stop] if wanted(abs(event) - 1)]
    return part


def _late(trace: Trace) -> Trace:
    """The same, with every death at the end of its section."""
    late = Trace(allocations=trace.allocations)
    for name, start, stop in trace.sections():
        late.mark(name)
        events = trace.events[start:stop]
        late.events += [event for event in events if event > 0] + [event for event in events if event < 0]
    return late
