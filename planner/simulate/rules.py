"""The caching allocator's constants and size rules, each linked to its source line. Pure; knows no state.

Read in c10/cuda/CUDACachingAllocator.cpp of pytorch/pytorch at commits eb42ad6eca0c (2024) and 001074d25084 (end of
2024, about torch 2.6), in a later copy that has AcceleratorAllocatorConfig::large_segment_size(), and in the headers of
the wheels of torch 2.8.0 and 2.14.1. The constants and rules below are the same in all of them. The constants moved to
c10/core/AllocatorConfig.h after 2.8, where the 20 MiB of LARGE_BUFFER became a setting that defaults to 20 MiB. Links
go to the release tag v2.6.0.

Only default settings are modelled: no max_split_size, no power-of-2 rounding, no garbage-collection threshold, no
memory pools, no CUDA graphs.
"""

from __future__ import annotations

MIN_BLOCK_SIZE = 512
"""Bytes; every request is rounded up to a multiple.
https://github.com/pytorch/pytorch/blob/v2.6.0/c10/cuda/CUDACachingAllocator.cpp (kMinBlockSize)"""
SMALL_SIZE = 1 << 20
"""Bytes; the largest request of the small pool, rounded size (kSmallSize, same file)."""
SMALL_BUFFER = 2 << 20
"""Bytes; a segment, or an expandable page, of the small pool (kSmallBuffer, same file)."""
LARGE_BUFFER = 20 << 20
"""Bytes; a segment for requests under MIN_LARGE_ALLOC, or an expandable page, of the large pool (kLargeBuffer, same
file; AcceleratorAllocatorConfig::large_segment_size() in newer torch)."""
MIN_LARGE_ALLOC = 10 << 20
"""Bytes; from here a segment is made to measure (kMinLargeAlloc, same file)."""
ROUND_LARGE = 2 << 20
"""Bytes; made-to-measure segments are multiples (kRoundLarge, same file)."""


def round_size(size_bytes: int) -> int:
    """Bytes of the block for a request: the next multiple of 512, at least 512 (DeviceCachingAllocator::round_size)."""
    return max(MIN_BLOCK_SIZE, -(-size_bytes // MIN_BLOCK_SIZE) * MIN_BLOCK_SIZE)


def is_small(size_bytes: int) -> bool:
    """Whether a rounded size belongs to the small pool (DeviceCachingAllocator::get_pool)."""
    return size_bytes <= SMALL_SIZE


def segment_size(size_bytes: int) -> int:
    """Bytes asked of cudaMalloc when no cached block holds a rounded size (get_allocation_size, same file)."""
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


def page_size(small: bool) -> int:
    """Bytes of one physical page of an expandable segment (find_expandable_block, same file)."""
    return SMALL_BUFFER if small else LARGE_BUFFER
