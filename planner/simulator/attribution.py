"""Who holds the bytes: by component, phase, module and operation, at the peak and over time.

Sizes are requested bytes; what the allocator's rounding adds is shown as a part of its own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from planner.nouns.run import COMPONENTS
from planner.simulator.events import Trace
from planner.simulator.extension import Played
from planner.simulator.playback import Moment

ROUNDING = "allocator rounding"
_MODULE_DEPTH = 2
"""Activations are told apart by this much of a module's name: "image_encoder.trunk"."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What is allocated at one moment of the run."""

    allocated_bytes: int
    operation: str
    """That reached the moment, such as "gelu"."""
    module: str
    phase: str
    bytes_by_component: dict[str, int]
    """By component, activations also by module ("activations: image_encoder.trunk"); adds up to allocated_bytes."""


def holding_at(trace: Trace, played: Played, moment: Moment, frames: int, traced_frames: int) -> Holding:
    """Resolve a moment of the played run, also in a frame that was never traced."""
    section = min(moment.section, played.last_traced)
    beyond = moment.section - section
    start = played.sections[section].start
    position = start + min(moment.offset, len(played.sections[section].tokens) - 1)
    held: Counter[str] = Counter()
    for index in trace.live_at(position):
        allocation = trace.allocations[index]
        size_bytes = allocation.size_bytes
        if allocation.component == "frames" and not trace.whole_clip:
            size_bytes = size_bytes // traced_frames * frames if _shared(trace) else size_bytes
        held[_name(allocation.component, allocation.module)] += size_bytes
    one_by_one = not _shared(trace) and not trace.whole_clip and "frames" not in played.grown_bytes
    if one_by_one and frames > traced_frames and held.get("frames"):
        held["frames"] = held["frames"] // traced_frames * frames
    for component, grown_bytes in played.grown_bytes.items():
        held[component] += grown_bytes * beyond
    last = trace.allocations[_birth_at(trace, position)]
    result = {name: size_bytes for name, size_bytes in held.most_common() if size_bytes}
    result[ROUNDING] = moment.allocated_bytes - sum(result.values())
    return Holding(moment.allocated_bytes, last.operation, last.module, last.phase, result)


def _birth_at(trace: Trace, position: int) -> int:
    while trace.events[position] < 0:
        position -= 1
    return trace.events[position] - 1


def _shared(trace: Trace) -> bool:
    """Whether all frames share one storage."""
    return sum(allocation.component == "frames" for allocation in trace.allocations) == 1


def _name(component: str, module: str) -> str:
    if component != "activations" or not module:
        return component
    return f"{component}: {'.'.join(module.split('.')[:_MODULE_DEPTH])}"


@dataclass(frozen=True, slots=True)
class Timeline:
    """Bytes by component over the traced part of the run, thinned to the highest moment of each stretch."""

    components: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    """For each point, requested bytes of each component."""
    marks: tuple[tuple[str, int], ...]
    """(section, point at which it begins)."""


def timeline_of(trace: Trace, points: int = 600) -> Timeline:
    """At most `points` moments of the trace."""
    if not trace.events:
        return Timeline(COMPONENTS, (), ())
    place = {component: number for number, component in enumerate(COMPONENTS)}
    width = max(1, -(-len(trace.events) // points))
    live = [0] * len(COMPONENTS)
    rows: list[tuple[int, ...]] = []
    best: tuple[int, tuple[int, ...]] = (-1, ())
    total = 0
    for position, event in enumerate(trace.events):
        allocation = trace.allocations[abs(event) - 1]
        change = allocation.size_bytes if event > 0 else -allocation.size_bytes
        live[place[allocation.component]] += change
        total += change
        if total > best[0]:
            best = (total, tuple(live))
        if (position + 1) % width == 0 or position + 1 == len(trace.events):
            rows.append(best[1])
            best = (-1, ())
    marks = tuple((name, min(position // width, len(rows) - 1)) for name, position in trace.marks)
    return Timeline(COMPONENTS, tuple(rows), marks)
