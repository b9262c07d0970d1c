"""The least memory in which a traced run completes, by the model of the allocator: played again and again, bisected.

A driver gives out whole pages, so the answer is a multiple of them, and less than their size too high at most. Where
a long clip repeats its last traced frame, its first frames are played, and what the rest adds to the peak of what is
allocated is added: `extend` knows that exactly.
"""

from __future__ import annotations

from planner.driving.least import GRANULE, least_of
from planner.simulator.events import Trace
from planner.simulator.extension import extend
from planner.simulator.running_out import running_out

FURTHER_FRAMES = 16
"""Played of those that repeat the last traced one: the memory bank is full by then, and each does what the one before
did."""


def least_bytes(
    trace: Trace, traced_frames: int, frames: int, peak_bytes: int, reserved_bytes: int, expandable: bool = False
) -> int:
    """The smallest multiple of GRANULE, without the CUDA context, in which the clip of `frames` completes.

    peak_bytes and reserved_bytes: what is allocated at the peak, and held in the end, where there is no limit.
    """
    shown = min(frames, traced_frames + FURTHER_FRAMES)
    beyond = 0
    enough, likely = reserved_bytes, peak_bytes
    if shown < frames:
        played = extend(trace, traced_frames, shown, expandable).player
        enough, likely = played.reserved_bytes, played.peaks.highest.allocated_bytes
        beyond = peak_bytes - likely

    def completes(memory_bytes: int) -> bool:
        return running_out(trace, traced_frames, shown, memory_bytes, expandable) is None

    least = least_of(completes, enough, likely, max(0, likely - GRANULE))
    return min(least + -(-beyond // GRANULE) * GRANULE, reserved_bytes)
