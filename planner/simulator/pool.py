"""Blocks, and the free blocks of one pool in the order in which the caching allocator searches them.

Knows neither the driver nor what a request is rounded to.
"""

from __future__ import annotations

from bisect import bisect_left, insort

FREE, ALLOCATED, PENDING, UNMAPPED = range(4)
"""States of a block. PENDING: freed by the program, not yet by the GPU. UNMAPPED: addresses without memory behind."""


class Block:
    """A stretch of addresses within a segment; its neighbours there are `previous` and `next`.

    The model's struct Block (c10/cuda/CUDACachingAllocator.cpp). Sizes in bytes.
    """

    __slots__ = ("address", "base", "next", "order", "pool", "previous", "requested", "size", "state")

    def __init__(self, address: int, size: int, base: int, pool: Pool, order: int) -> None:
        self.address = address
        self.size = size
        self.base = base
        """Where the segment, or the range reserved for an expandable one, begins."""
        self.pool = pool
        self.order = order
        """The number of its segment, for ties (Block::registration_counter); rules.py, older_segment_first."""
        self.state = FREE
        self.requested = 0
        self.previous: Block | None = None
        self.next: Block | None = None

    def is_whole(self) -> bool:
        """Whether the block is its whole segment."""
        return self.previous is None and self.next is None

    def cut(self, size: int) -> Block:
        """Shorten to `size` bytes; the rest becomes a block of its own, in no list yet."""
        rest = Block(self.address + size, self.size - size, self.base, self.pool, self.order)
        rest.state = self.state
        rest.previous, rest.next = self, self.next
        if self.next is not None:
            self.next.previous = rest
        self.next = rest
        self.size = size
        return rest

    def room(self) -> int:
        """Bytes this block can grow to: with the unmapped addresses right after it."""
        following = self.next
        return self.size + following.size if following is not None and following.state == UNMAPPED else self.size


class Pool:
    """The free blocks of the small or the large pool.

    Ordered by size, then the age of their segments, then address (BlockComparatorSizeCounterAddress); unmapped ones
    by address (BlockComparatorAddress). A run has few free blocks at a time, some hundreds, so a sorted list with
    bisection beats a tree.
    """

    def __init__(self, small: bool) -> None:
        self.small = small
        self.free: list[tuple[int, int, int, Block]] = []
        self.unmapped: list[tuple[int, Block]] = []

    def add(self, block: Block) -> None:
        """List a block that is FREE or UNMAPPED."""
        if block.state == UNMAPPED:
            insort(self.unmapped, (block.address, block))
        else:
            insort(self.free, (block.size, block.order, block.address, block))

    def remove(self, block: Block) -> None:
        """Take a listed block off its list."""
        if block.state == UNMAPPED:
            del self.unmapped[bisect_left(self.unmapped, (block.address,))]
        else:
            del self.free[bisect_left(self.free, (block.size, block.order, block.address))]

    def take(self, size: int, expandable: bool) -> Block | None:
        """Take off the list the smallest free block of at least `size` bytes, of the oldest segment on ties.

        With expandable segments the size that counts is what a block can grow to (get_free_block): a block at the
        growing end loses to a larger one that cannot grow.
        """
        free = self.free
        index = bisect_left(free, (size,))
        if index == len(free):
            return None
        if expandable:
            while index + 1 < len(free) and free[index + 1][3].room() < free[index][3].room():
                index += 1
        return free.pop(index)[3]

    def merge(self, block: Block) -> None:
        """Swallow the neighbours of an unlisted block that are in the same state (try_merge_blocks)."""
        before = block.previous
        if before is not None and before.state == block.state:
            self.remove(before)
            block.address = before.address
            block.size += before.size
            block.previous = before.previous
            if before.previous is not None:
                before.previous.next = block
        after = block.next
        if after is not None and after.state == block.state:
            self.remove(after)
            block.size += after.size
            block.next = after.next
            if after.next is not None:
                after.next.previous = block
