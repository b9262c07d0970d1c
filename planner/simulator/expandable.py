"""Expandable segments: one growing range of addresses per pool, backed by pages as they are needed.

Follows find_expandable_block, map_block, try_allocate_expandable_block and unmap_block of
https://github.com/pytorch/pytorch/blob/001074d25084fdb87a799823e395a50f5ec044d3/c10/cuda/CUDACachingAllocator.cpp
for one stream.
"""

from __future__ import annotations

from collections.abc import Callable

from planner.simulator.driver import Driver
from planner.simulator.pool import ALLOCATED, FREE, PENDING, UNMAPPED, Block, Pool
from planner.simulator.rules import page_size

UNLIMITED_RANGE_BYTES = 1 << 40
"""Addresses reserved for one segment where no limit says how large the GPU is."""


class ExpandableSegments:
    """Makes room in one pool by mapping pages, and gives free pages back."""

    def __init__(self, pool: Pool, driver: Driver, next_order: Callable[[], int]) -> None:
        self._pool = pool
        self._driver = driver
        self._next_order = next_order
        self._page = page_size(pool.small)
        limit = driver.limit_bytes
        # The allocator reserves addresses for 1 1/8 of the GPU's memory (constructor of ExpandableSegment).
        wanted = UNLIMITED_RANGE_BYTES if limit is None else limit + limit // 8
        self._range_bytes = -(-wanted // self._page) * self._page

    def allocate(self, size: int) -> Block | None:
        """A free block of at least `size` bytes, off the list; None where the driver has no more pages."""
        candidate = self._find(size)
        if candidate is None:
            return None
        if candidate.state == UNMAPPED and not self._map(candidate, min(candidate.size, size)):
            return None
        while candidate.size < size:
            following = candidate.next
            assert following is not None
            assert following.state == UNMAPPED, "free blocks are followed by unmapped ones"
            if not self._map(following, min(size - candidate.size, following.size)):
                return None
            candidate = following
        self._pool.remove(candidate)
        return candidate

    def release(self, block: Block) -> None:
        """Unmap the whole pages inside a free block; a range with nothing mapped is given up."""
        begin = block.base - (block.base - block.address) // self._page * self._page
        end = block.base + (block.address + block.size - block.base) // self._page * self._page
        if begin >= end:
            return
        pool = self._pool
        pool.remove(block)
        if block.address + block.size > end:
            pool.add(block.cut(end - block.address))
        if begin > block.address:
            before = block
            block = before.cut(begin - before.address)
            pool.add(before)
        block.state = UNMAPPED
        pool.merge(block)
        self._driver.unmap(begin, end - begin)
        if not block.is_whole():
            pool.add(block)

    def _find(self, size: int) -> Block | None:
        """The lowest free or unmapped block with `size` bytes of free or unmapped addresses from there."""
        for _, unmapped in self._pool.unmapped:
            before = unmapped.previous
            candidate = before if before is not None and before.state == FREE else unmapped
            if _has_addresses(candidate, size):
                return candidate
        if size > self._range_bytes:
            return None  # torch would try for ever longer; no page could be mapped for it anyway
        base = self._driver.reserve_range(self._range_bytes)
        block = Block(base, self._range_bytes, base, self._pool, self._next_order())
        block.state = UNMAPPED
        self._pool.add(block)
        return block

    def _map(self, block: Block, size: int) -> bool:
        """Map the first pages of an unmapped block, `size` bytes at least, and merge it with free neighbours."""
        mapped = min(-(-size // self._page) * self._page, block.size)
        if not self._driver.map(block.address, mapped):
            return False
        pool = self._pool
        pool.remove(block)
        if mapped < block.size:
            pool.add(block.cut(mapped))
        block.state = FREE
        pool.merge(block)
        pool.add(block)
        return True


def _has_addresses(block: Block | None, size: int) -> bool:
    found = 0
    while block is not None and found < size and block.state not in (ALLOCATED, PENDING):
        found += block.size
        block = block.next
    return found >= size
