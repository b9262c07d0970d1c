"""Where a run ends on a GPU that is too small: every request played against a limit, cache given back first.

Both pools share the limit, and segments go back to the driver where it is reached, so nothing is shortened here: a long
clip costs what its events cost (some 600,000 a second).
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.simulator.allocator import CachingAllocator, SimulatedOutOfMemory
from planner.simulator.events import Trace
from planner.simulator.extension import frame_sizes, loaded_one_by_one
from planner.simulator.playback import Token, phases_of, sections_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningOut:
    """The request that a limit did not allow."""

    phase: str
    """A planner.nouns.run.PhaseName."""
    frame: int | None
    """Counted from 0; None where no frame of a video had been begun."""
    requested_bytes: int
    allocated_bytes: int
    """Just before."""
    retries: int
    """How often cache was given back until then, this time included."""


def running_out(
    trace: Trace, traced_frames: int, frames: int, limit_bytes: int, expandable_segments: bool = False
) -> RunningOut | None:
    """Where the trace, continued to `frames` as `extend` does, asks for more than there is; None: nowhere.

    `limit_bytes`: of the GPU, without the CUDA context.
    """
    sections = sections_of(trace, frame_sizes(trace, traced_frames, frames))
    names = {section.name: number for number, section in enumerate(sections)}
    last = names.get(f"frame {traced_frames - 1}", len(sections) - 2)
    allocator = CachingAllocator(expandable_segments=expandable_segments, limit_bytes=limit_bytes)
    addresses: dict[int, dict[int, int]] = {}
    final = last + max(0, frames - traced_frames)
    for number in range(final + 1):
        section = sections[min(number, last)]
        tokens = section.tokens
        if section.name == "init" and (loaded := loaded_one_by_one(trace, section, traced_frames)):
            # The frames beyond the traced ones; nothing of "init" ends that began before its last frame.
            tokens = tokens[:loaded] + [tokens[loaded - 1]] * (frames - traced_frames) + tokens[loaded:]
        found = _played(allocator, addresses, number, tokens)
        if found is not None:
            position, error = found
            return RunningOut(
                phase=phases_of(trace, section)[position],
                frame=_frame(number, names),
                requested_bytes=error.requested_bytes,
                allocated_bytes=error.allocated_bytes,
                retries=allocator.retries,
            )
    return None


def _played(
    allocator: CachingAllocator, addresses: dict[int, dict[int, int]], number: int, tokens: list[Token]
) -> tuple[int, SimulatedOutOfMemory] | None:
    """Play one section; the birth that failed, and how, if one did."""
    held = addresses.setdefault(number, {})
    births = 0
    for size_bytes, age, birth in tokens:
        if not size_bytes:
            allocator.free(addresses[number - age].pop(birth))
            continue
        try:
            held[births] = allocator.malloc(size_bytes)
        except SimulatedOutOfMemory as error:
            return births, error
        births += 1
    return None


def _frame(number: int, names: dict[str, int]) -> int | None:
    """The frame that a section is of: "propagate" is 0, "frame t" is t, and what follows counts on."""
    first = names.get("propagate")
    return None if first is None or number < first else number - first
