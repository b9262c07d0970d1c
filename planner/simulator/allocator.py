"""A model of PyTorch's CUDA caching allocator: the same blocks, segments and counters for the same requests.

Follows DeviceCachingAllocator of https://github.com/pytorch/pytorch/blob/001074d25084fdb87a799823e395a50f5ec044d3/c10/cuda/CUDACachingAllocator.cpp
(rules.py says which other versions agree) for one device and one stream at default settings, with ordinary or with
expandable segments. It does not know streams, memory pools, CUDA graphs, or the settings max_split_size_mb,
roundup_power2_divisions and garbage_collection_threshold.

Speed: some 600,000 events (malloc or free) a second on one core (scripts/benchmark_allocator.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from planner.errors import PlannerError
from planner.simulator.driver import Driver, Placement, SegmentEvent
from planner.simulator.expandable import ExpandableSegments
from planner.simulator.pool import ALLOCATED, FREE, PENDING, UNMAPPED, Block, Pool
from planner.simulator.rules import SMALL_SIZE, round_size, segment_size, smallest_rest
from planner.simulator.snapshot import ACTIVE, INACTIVE, BlockState, SegmentState
from planner.simulator.snapshot import PENDING as PENDING_FREE
from planner.text.units import format_size

_STATE_NAMES = {FREE: INACTIVE, ALLOCATED: ACTIVE, PENDING: PENDING_FREE}


class Sample(NamedTuple):
    """The counters after an event; torch's names (torch.cuda.memory_stats)."""

    event: int
    """How many calls of malloc and free came before, this one included."""
    allocated_bytes: int
    reserved_bytes: int
    requested_bytes: int

    @property
    def fragmentation_bytes(self) -> int:
        """Reserved, yet in no allocated block."""
        return self.reserved_bytes - self.allocated_bytes

    @property
    def rounding_bytes(self) -> int:
        """Allocated, yet not asked for: rounding up, and blocks that were not split."""
        return self.allocated_bytes - self.requested_bytes


class SimulatedOutOfMemory(PlannerError):
    """A request that the limit does not allow, also after cached segments were released.

    Carries the figures at that moment, in bytes; the allocator stays usable.
    """

    code = "out_of_memory"

    def __init__(self, requested_bytes: int, segment_bytes: int, sample: Sample, limit_bytes: int) -> None:
        self.requested_bytes = requested_bytes
        self.segment_bytes = segment_bytes
        """What would have been asked of the driver."""
        self.allocated_bytes = sample.allocated_bytes
        self.reserved_bytes = sample.reserved_bytes
        self.limit_bytes = limit_bytes
        super().__init__(
            f"Out of memory in the simulation: {format_size(requested_bytes)} asked for, {format_size(limit_bytes)} "
            f"limit, {format_size(self.allocated_bytes)} allocated, {format_size(self.reserved_bytes)} reserved."
        )


class CachingAllocator:
    """Hands out addresses and keeps the account that torch.cuda.memory_stats would show.

    `limit_bytes` is what the driver can give in all; None is without end. With ordinary segments it acts like
    torch.cuda.set_per_process_memory_fraction; with expandable ones it counts the pages that are mapped.
    `placement` supplies segment addresses (driver.py); `sample_every` keeps the counters of every so many events.
    `older_segment_first`: how ties between free blocks of one size are broken (rules.py); else by the address alone.
    """

    def __init__(
        self,
        expandable_segments: bool = False,
        limit_bytes: int | None = None,
        placement: Placement | None = None,
        sample_every: int = 0,
        older_segment_first: bool = True,
    ) -> None:
        self.expandable_segments = expandable_segments
        self.allocated_bytes = 0
        self.active_bytes = 0
        """Allocated, or freed but still in use by another stream."""
        self.requested_bytes = 0
        self.peak_allocated_bytes = 0
        self.peak_requested_bytes = 0
        self.retries = 0
        """How often cached segments were released because the driver had nothing left (num_alloc_retries)."""
        self.samples: list[Sample] = []
        self.events = 0
        """Calls of malloc that took a block, and of free."""
        self._sample_every = sample_every
        self._driver = Driver(limit_bytes, placement)
        self._older_first = older_segment_first
        self._segments = 0
        self._large, self._small = Pool(small=False), Pool(small=True)
        self._growing = {
            pool: ExpandableSegments(pool, self._driver, self._next_order) for pool in (self._large, self._small)
        }
        self._rest = {pool: smallest_rest(pool.small, expandable_segments) for pool in (self._large, self._small)}
        self._in_use: dict[int, Block] = {}

    @property
    def limit_bytes(self) -> int | None:
        """What the driver can give in all; None is without end."""
        return self._driver.limit_bytes

    @property
    def reserved_bytes(self) -> int:
        """Bytes held from the driver."""
        return self._driver.reserved_bytes

    @property
    def peak_reserved_bytes(self) -> int:
        """The most bytes held from the driver since the start or the last reset_peaks."""
        return self._driver.peak_reserved_bytes

    @property
    def segment_events(self) -> list[SegmentEvent]:
        """Every call to the driver so far, in order."""
        return self._driver.events

    def malloc(self, size_bytes: int) -> int:
        """The address of a block of at least `size_bytes`; 0 bytes take no block and give address 0.

        Raises SimulatedOutOfMemory when the limit does not allow it (DeviceCachingAllocator::malloc).
        """
        if size_bytes <= 0:
            if size_bytes < 0:
                raise ValueError(f"{size_bytes} bytes cannot be allocated")
            return 0
        size = round_size(size_bytes)
        pool = self._small if size <= SMALL_SIZE else self._large
        block = pool.take(size, self.expandable_segments)
        if block is None:
            block = self._reserve(pool, size, size_bytes)
        if block.size - size >= self._rest[pool]:
            pool.add(block.cut(size))
        block.state = ALLOCATED
        block.requested = size_bytes
        self._in_use[block.address] = block
        self.active_bytes += block.size
        self.requested_bytes += size_bytes
        self.allocated_bytes += block.size
        if self.allocated_bytes > self.peak_allocated_bytes:
            self.peak_allocated_bytes = self.allocated_bytes
        if self.requested_bytes > self.peak_requested_bytes:
            self.peak_requested_bytes = self.requested_bytes
        self._count_event()
        return block.address

    def free(self, address: int) -> None:
        """Give a block back to its pool; address 0 is ignored. KeyError for an address that is not allocated."""
        if address:
            self.request_free(address)
            self.complete_free(address)

    def request_free(self, address: int) -> None:
        """The program's half of a free: the block no longer counts as allocated, but cannot be used again yet."""
        block = self._in_use[address]
        if block.state != ALLOCATED:
            raise KeyError(address)
        block.state = PENDING
        self.allocated_bytes -= block.size
        self._count_event()

    def complete_free(self, address: int) -> None:
        """The GPU's half of a free: the block joins its free neighbours (free_block)."""
        block = self._in_use[address]
        if block.state != PENDING:
            raise KeyError(address)
        del self._in_use[address]
        self.active_bytes -= block.size
        self.requested_bytes -= block.requested
        block.requested = 0
        block.state = FREE
        block.pool.merge(block)
        block.pool.add(block)

    def empty_cache(self) -> None:
        """Release every wholly free segment, or page, to the driver (release_cached_blocks: large pool first)."""
        for pool in (self._large, self._small):
            for *_, block in list(pool.free):
                if self.expandable_segments:
                    self._growing[pool].release(block)
                elif block.is_whole():
                    pool.remove(block)
                    self._driver.release(block.address, block.size)

    def reset_peaks(self) -> None:
        """Peaks start again from the current figures (torch.cuda.reset_peak_memory_stats)."""
        self.peak_allocated_bytes = self.allocated_bytes
        self.peak_requested_bytes = self.requested_bytes
        self._driver.peak_reserved_bytes = self._driver.reserved_bytes

    def pool(self, small: bool) -> Pool:
        """The free blocks of the small or the large pool."""
        return self._small if small else self._large

    def block_at(self, address: int) -> Block:
        """The block in use at this address."""
        return self._in_use[address]

    def largest_free_bytes(self, small: bool) -> int:
        """Size of the largest free block of a pool, 0 where there is none."""
        free = (self._small if small else self._large).free
        return free[-1][0] if free else 0

    def sample(self) -> Sample:
        """The counters now; costs next to nothing."""
        return Sample(self.events, self.allocated_bytes, self._driver.reserved_bytes, self.requested_bytes)

    def snapshot(self) -> list[SegmentState]:
        """Every segment and block, by address, as torch.cuda.memory_snapshot() gives them."""
        blocks = list(self._in_use.values())
        for pool in (self._large, self._small):
            blocks.extend(block for *_, block in pool.free)
        # A contiguous mapped range of an expandable segment counts as one segment, as it does in torch.
        heads = [block for block in blocks if block.previous is None or block.previous.state == UNMAPPED]
        return [self._segment_state(head) for head in sorted(heads, key=lambda block: block.address)]

    def _segment_state(self, head: Block) -> SegmentState:
        blocks = [
            BlockState(
                address=block.address,
                size=block.size,
                requested_size=block.requested,
                state=_STATE_NAMES[block.state],
            )
            for block in _mapped_from(head)
        ]
        return SegmentState(
            address=head.address,
            total_size=sum(block["size"] for block in blocks),
            segment_type="small" if head.pool.small else "large",
            is_expandable=self.expandable_segments,
            blocks=blocks,
        )

    def _reserve(self, pool: Pool, size: int, requested_bytes: int) -> Block:
        """A block from the driver, after releasing what is cached if need be."""
        block = self._ask_driver(pool, size)
        if block is None:
            self.empty_cache()
            self.retries += 1
            block = self._ask_driver(pool, size)
        if block is None:
            assert self._driver.limit_bytes is not None, "a driver without a limit never refuses"
            raise SimulatedOutOfMemory(requested_bytes, segment_size(size), self.sample(), self._driver.limit_bytes)
        return block

    def _ask_driver(self, pool: Pool, size: int) -> Block | None:
        if self.expandable_segments:
            return self._growing[pool].allocate(size)
        segment_bytes = segment_size(size)
        address = self._driver.allocate(segment_bytes)
        return None if address is None else Block(address, segment_bytes, address, pool, self._next_order())

    def _next_order(self) -> int:
        """The place of a new segment among all that were made; always 0 where it does not count."""
        self._segments += self._older_first
        return self._segments

    def _count_event(self) -> None:
        self.events += 1
        if self._sample_every and self.events % self._sample_every == 0:
            self.samples.append(self.sample())


def _mapped_from(head: Block) -> Iterator[Block]:
    block: Block | None = head
    while block is not None and block.state != UNMAPPED:
        yield block
        block = block.next
