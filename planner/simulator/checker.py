"""An independent check of a caching allocator's state. Shares no code with the model; slow and obvious on purpose.

Reads a snapshot as plain data in the format of torch.cuda.memory_snapshot(), so a real GPU's can be checked as well
(at default settings). It knows what must be true of any such state, not how the allocator gets there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from planner.simulator.snapshot import BlockState, SegmentState

GRAIN = 512
"""Bytes: blocks begin and end on multiples of it."""
SEGMENT_GRAIN = 2 * 1024 * 1024
"""Bytes: segments, and the pages of expandable ones, are multiples of it."""
SMALL_REQUEST = 1024 * 1024
"""Bytes: what is larger, rounded to GRAIN, lives in the large pool."""
LARGEST_SLACK = 1024 * 1024
"""Bytes: the most a block of the large pool may exceed its rounded request; anything more is split off."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, first found first."""

    name: str
    """empty_segment, segment_size, segment_overlap, block_gap, block_overlap, segment_end, block_size, block_state,
    free_neighbours, request_too_large, slack, wrong_pool, allocated_sum, reserved_sum or requested_sum."""
    message: str
    address: int | None = None
    """Where, if at one place."""


def find_fault(
    segments: Sequence[SegmentState],
    *,
    allocated_bytes: int | None = None,
    reserved_bytes: int | None = None,
    requested_bytes: int | None = None,
) -> Fault | None:
    """The first fault of a state, or None. Counters that are given must agree with the blocks."""
    fault = _overlapping(segments)
    for segment in segments:
        fault = fault or _segment_fault(segment)
    return fault or _sum_fault(segments, allocated_bytes, reserved_bytes, requested_bytes)


def _overlapping(segments: Iterable[SegmentState]) -> Fault | None:
    """Segments stand apart: no address belongs to two."""
    ordered = sorted(segments, key=lambda segment: segment["address"])
    for first, second in pairwise(ordered):
        if first["address"] + first["total_size"] > second["address"]:
            return Fault("segment_overlap", "A segment begins inside another.", second["address"])
    return None


def _segment_fault(segment: SegmentState) -> Fault | None:
    """Blocks tile the segment, each is sound, and no two free ones touch."""
    blocks = segment["blocks"]
    if not blocks:
        return Fault("empty_segment", "A segment holds no block.", segment["address"])
    if segment["total_size"] <= 0 or segment["total_size"] % SEGMENT_GRAIN:
        return Fault(
            "segment_size", f"A segment of {segment['total_size']} B is no multiple of 2 MiB.", segment["address"]
        )
    expected = segment["address"]
    previous: BlockState | None = None
    for block in blocks:
        address = block["address"]
        if address > expected:
            return Fault("block_gap", f"{address - expected} B before a block belong to none.", address)
        if address < expected:
            return Fault("block_overlap", f"A block begins {expected - address} B inside the one before.", address)
        fault = _block_fault(block, segment)
        if fault:
            return fault
        if previous is not None and previous["state"] == block["state"] == "inactive":
            return Fault("free_neighbours", "Two free blocks touch and were not merged.", address)
        expected = address + block["size"]
        previous = block
    if expected != segment["address"] + segment["total_size"]:
        return Fault("segment_end", "The blocks end elsewhere than their segment.", expected)
    return None


def _block_fault(block: BlockState, segment: SegmentState) -> Fault | None:
    size, requested, address = block["size"], block["requested_size"], block["address"]
    if size <= 0 or size % GRAIN or address % GRAIN:
        return Fault("block_size", f"A block of {size} B is not on the grid of {GRAIN} B.", address)
    if block["state"] not in ("active_allocated", "active_pending_free", "inactive"):
        return Fault("block_state", f"A block is in the unknown state {block['state']!r}.", address)
    if block["state"] == "inactive":
        return None
    if requested > size:
        return Fault("request_too_large", f"A block of {size} B answers a request for {requested} B.", address)
    rounded = (requested + GRAIN - 1) // GRAIN * GRAIN
    small = segment["segment_type"] == "small"
    if small != (rounded <= SMALL_REQUEST):
        return Fault(
            "wrong_pool", f"A request for {requested} B stands in the {segment['segment_type']} pool.", address
        )
    allowed = 0 if small or segment["is_expandable"] else LARGEST_SLACK
    if size - rounded > allowed:
        return Fault("slack", f"A block of {size} B was not split for a request of {requested} B.", address)
    return None


def _sum_fault(
    segments: Iterable[SegmentState], allocated: int | None, reserved: int | None, requested: int | None
) -> Fault | None:
    """The counters say what the blocks add up to. A block that awaits its free is no longer allocated."""
    sums = {"allocated_sum": 0, "reserved_sum": 0, "requested_sum": 0}
    for segment in segments:
        sums["reserved_sum"] += segment["total_size"]
        for block in segment["blocks"]:
            if block["state"] == "active_allocated":
                sums["allocated_sum"] += block["size"]
            if block["state"] != "inactive":
                sums["requested_sum"] += block["requested_size"]
    counters = {"allocated_sum": allocated, "reserved_sum": reserved, "requested_sum": requested}
    for name, counter in counters.items():
        if counter is not None and counter != sums[name]:
            return Fault(name, f"The counter says {counter} B, the blocks add up to {sums[name]} B.")
    return None
