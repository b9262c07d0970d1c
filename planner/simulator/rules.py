"""The caching allocator's constants and size rules, each linked to its source line. Pure; knows no state.

Read in c10/cuda/CUDACachingAllocator.cpp of pytorch/pytorch at commits eb42ad6eca0c and 001074d25084, in a later copy
that has AcceleratorAllocatorConfig::large_segment_size(), and in the headers of the wheels of torch 2.8.0 and 2.14.1:
the constants and rules below are the same in all of them. After 2.8 the constants moved to c10/core/AllocatorConfig.h
("header", here that of 2.14.1), and the 20 MiB of LARGE_BUFFER became a setting that defaults to 20 MiB.

Only default settings are modelled: no max_split_size, no power-of-2 rounding, no garbage-collection threshold, no
memory pools, no CUDA graphs.
"""

from __future__ import annotations

from planner.memory_model.arrays import SMALL_BLOCK
from planner.memory_model.laws import LARGE_PAGE, SMALL_PAGE

SOURCE = (
    "https://github.com/pytorch/pytorch/blob/001074d25084fdb87a799823e395a50f5ec044d3/c10/cuda/CUDACachingAllocator.cpp"
)
MIN_BLOCK_SIZE = 512
"""Bytes; every request is rounded up to a multiple. kMinBlockSize: SOURCE#L118, header line 19."""
SMALL_SIZE = SMALL_BLOCK
"""Bytes; the largest request of the small pool, rounded size. kSmallSize: SOURCE#L120, header line 21."""
SMALL_BUFFER = SMALL_PAGE
"""Bytes; a segment, or an expandable page, of the small pool. kSmallBuffer: SOURCE#L121, header line 17."""
LARGE_BUFFER = LARGE_PAGE
"""Bytes; a segment for requests under MIN_LARGE_ALLOC, or an expandable page, of the large pool. kLargeBuffer:
SOURCE#L48; in the header large_segment_size_, 20971520 by default."""
MIN_LARGE_ALLOC = 10 << 20
"""Bytes; from here a segment is made to measure. kMinLargeAlloc: SOURCE#L123, header line 23."""
ROUND_LARGE = 2 << 20
"""Bytes; made-to-measure segments are multiples. kRoundLarge: SOURCE#L125, header line 25."""


def round_size(size_bytes: int) -> int:
    """Bytes of the block for a request: the next multiple of 512, at least 512 (DeviceCachingAllocator::round_size)."""
    return max(MIN_BLOCK_SIZE, -(-size_bytes // MIN_BLOCK_SIZE) * MIN_BLOCK_SIZE)


def segment_size(size_bytes: int) -> int:
    """Bytes asked of cudaMalloc when no cached block holds a rounded size (get_allocation_size)."""
    if size_bytes <= SMALL_SIZE:
        return SMALL_BUFFER
    if size_bytes < MIN_LARGE_ALLOC:
        return LARGE_BUFFER
    return -(-size_bytes // ROUND_LARGE) * ROUND_LARGE


def smallest_rest(small: bool, expandable: bool) -> int:
    """Bytes: a block is split when at least this much would be left (DeviceCachingAllocator::should_split).

    The large pool of ordinary segments wants more than SMALL_SIZE left over; sizes are multiples of 512.
    """
    return MIN_BLOCK_SIZE if small or expandable else SMALL_SIZE + MIN_BLOCK_SIZE


def older_segment_first(torch_version: tuple[int, int]) -> bool:
    """Whether equal free blocks are taken by the age of their segments before their addresses.

    Block::registration_counter, given to a block with its segment and handed on when it is split:
    https://github.com/pytorch/pytorch/pull/183591 of May 2026. torch 2.14.1 does it (its own history, replayed); that
    2.13 is the first is inferred from the date. Shows only where segments were given back, or where the driver's
    addresses do not ascend.
    """
    return torch_version >= (2, 13)


def page_size(small: bool) -> int:
    """Bytes of one physical page of an expandable segment (find_expandable_block)."""
    return SMALL_BUFFER if small else LARGE_BUFFER
