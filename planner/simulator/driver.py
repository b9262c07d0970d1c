"""What the CUDA driver does for the caching allocator: gives and takes back segments and pages, and counts them.

Addresses are invented, ascending and never used twice, unless the caller supplies them: cudaMalloc's are not
predictable, and they matter only where two free blocks of one size lie in different segments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

SEGMENT_ALLOC, SEGMENT_FREE = "segment_alloc", "segment_free"
SEGMENT_MAP, SEGMENT_UNMAP = "segment_map", "segment_unmap"
FIRST_ADDRESS = 1 << 40
"""Where invented addresses begin; any multiple of ALIGNMENT would do."""
ALIGNMENT = 2 << 20
"""Bytes: the granularity of GPU pages (note "Expandable Segments" in c10/cuda/CUDACachingAllocator.cpp)."""

Placement = Callable[[int], int]
"""Given the bytes of a new segment (or reserved range), the address where it begins."""


class SegmentEvent(NamedTuple):
    """A call to the driver, named as in torch's own history."""

    action: str
    """SEGMENT_ALLOC, SEGMENT_FREE, SEGMENT_MAP or SEGMENT_UNMAP."""
    address: int
    size_bytes: int


class Driver:
    """Gives out memory up to a limit and keeps the account of it."""

    def __init__(self, limit_bytes: int | None, placement: Placement | None) -> None:
        self.limit_bytes = limit_bytes
        self.reserved_bytes = 0
        self.peak_reserved_bytes = 0
        self.events: list[SegmentEvent] = []
        self._place = placement or self._ascending
        self._next_address = FIRST_ADDRESS

    def allocate(self, size_bytes: int) -> int | None:
        """The address of a new segment; None where there is no room (cudaMalloc)."""
        if not self._has_room(size_bytes):
            return None
        address = self._place(size_bytes)
        self._count(SEGMENT_ALLOC, address, size_bytes, size_bytes)
        return address

    def release(self, address: int, size_bytes: int) -> None:
        """Take a segment back (cudaFree)."""
        self._count(SEGMENT_FREE, address, size_bytes, -size_bytes)

    def reserve_range(self, size_bytes: int) -> int:
        """The address of a range without memory behind it (cuMemAddressReserve); costs nothing."""
        return self._place(size_bytes)

    def map(self, address: int, size_bytes: int) -> bool:
        """Put memory behind addresses; False, and nothing mapped, where there is no room (cuMemCreate, cuMemMap)."""
        if not self._has_room(size_bytes):
            return False
        self._count(SEGMENT_MAP, address, size_bytes, size_bytes)
        return True

    def unmap(self, address: int, size_bytes: int) -> None:
        """Take the memory behind addresses back (cuMemUnmap, cuMemRelease)."""
        self._count(SEGMENT_UNMAP, address, size_bytes, -size_bytes)

    def _has_room(self, size_bytes: int) -> bool:
        return self.limit_bytes is None or self.reserved_bytes + size_bytes <= self.limit_bytes

    def _count(self, action: str, address: int, size_bytes: int, change_bytes: int) -> None:
        self.events.append(SegmentEvent(action, address, size_bytes))
        self.reserved_bytes += change_bytes
        self.peak_reserved_bytes = max(self.peak_reserved_bytes, self.reserved_bytes)

    def _ascending(self, size_bytes: int) -> int:
        address = self._next_address
        self._next_address += -(-size_bytes // ALIGNMENT) * ALIGNMENT
        return address
