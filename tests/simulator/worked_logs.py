"""Allocator logs worked out by hand, with what no log of a run has: a block that another stream still reads.

Every address, size and peak below was worked out from the rules of c10/cuda/CUDACachingAllocator.cpp, not by running
the model: the reasoning stands beside each entry. M is 1 MiB = 1,048,576 B.
"""

from __future__ import annotations

M = 1 << 20

S = 0x7F00_0000_0000  # the small segment
L = 0x7F00_0020_0000  # the 20 MiB segment
T = 0x7F00_0200_0000  # the segment made to measure
U = 0x7F00_0400_0000  # another one

ORDINARY = [
    ["segment_alloc", S, 2 * M],  # up to 1 MiB is small: a 2 MiB segment
    ["alloc", S, 1000],  # block of 1,024; the rest is split off. allocated 1,024
    ["alloc", S + 1024, 1],  # block of 512. allocated 1,536
    ["segment_alloc", L, 20 * M],  # 1 MiB + 1 B rounds to 1,049,088: large, below 10 MiB
    ["alloc", L, M + 1],  # rest 19,922,432 > 1 MiB is split off. allocated 1,050,624
    ["alloc", L + 1_049_088, 4 * M],  # fits the rest, leaves 15,728,128. allocated 5,244,928
    ["segment_alloc", T, 22 * M],  # 22,000,000 rounds to 22,000,128; to a multiple of 2 MiB: 23,068,672
    ["alloc", T, 22_000_000],  # rest 1,068,544 > 1 MiB is split off. allocated 27,245,056
    # Free: 1,068,544 at T, 15,728,128 at L. Best fit for 1,049,088 is the former; the rest of 19,456 is not more than
    # 1 MiB, so the block counts whole. allocated 28,313,600
    ["alloc", T + 22_000_128, M + 1],
    ["free_requested", L, M + 1],  # allocated 27,264,512
    ["free_completed", L, M + 1],  # free: 1,049,088 at L; its neighbour is in use
    ["alloc", L + 5_243_392, 2 * M],  # out of the 15,728,128, leaves 13,630,976. allocated 29,361,664
    ["free_requested", L + 1_049_088, 4 * M],  # allocated 25,167,360
    ["free_completed", L + 1_049_088, 4 * M],  # merges with the free block before it: 5,243,392 at L
    ["alloc", L, 5 * M],  # takes those; a rest of 512 is not split off. allocated 30,410,752
    ["free_requested", T, 22_000_000],  # another stream still reads it. allocated 8,410,624, active 30,410,752
    ["alloc", S + 1536, 1500],  # block of 1,536. allocated 8,412,160, active 30,412,288
    ["snapshot", 0, 30_412_288],
    ["free_completed", T, 22_000_000],
    ["free_requested", T + 22_000_128, M + 1],  # allocated 7,343,616
    ["free_completed", T + 22_000_128, M + 1],  # T is free as a whole
    ["segment_free", T, 22 * M],  # empty_cache: only T is not split
    # 10 MiB would be made to measure, but 13,630,976 are free: 3,145,216 are left. allocated 17,829,376
    ["alloc", L + 7_340_544, 10 * M],
    ["segment_alloc", U, 12 * M],  # 12 MiB fit nowhere
    ["alloc", U, 12 * M],  # allocated 30,412,288: the peak
]

E = 0x7F10_0000_0000  # the large pool's range
F = 0x7F20_0000_0000  # the small pool's range

EXPANDABLE = [
    ["segment_map", E, 20 * M],  # 11 MiB need one page of 20 MiB
    ["alloc", E, 11 * M],  # 9 MiB stay free. allocated 11,534,336
    # 12 MiB: the free 9 MiB grow by one page into the unmapped addresses after them
    ["segment_map", E + 20 * M, 20 * M],
    ["alloc", E + 11 * M, 12 * M],  # 17 MiB stay free after it. allocated 24,117,248: the peak
    ["free_requested", E, 11 * M],
    ["free_completed", E, 11 * M],  # allocated 12,582,912
    # 1,049,088: the free 11 MiB at E are the smaller block, and cannot grow. Whatever is 512 or more is split off.
    ["alloc", E, M + 1],  # allocated 13,632,000
    ["free_requested", E + 11 * M, 12 * M],
    ["free_completed", E + 11 * M, 12 * M],  # merges on both sides: free from E + 1,049,088 to E + 40 MiB
    ["segment_unmap", E + 20 * M, 20 * M],  # empty_cache: the one page that is wholly free
    ["segment_map", F, 2 * M],  # the small pool grows by pages of 2 MiB
    ["alloc", F, 100],  # allocated 1,049,600
    # 20 MiB: 19,922,432 are free before the unmapped addresses; one page more
    ["segment_map", E + 20 * M, 20 * M],  # reserved 42 MiB: the peak
    ["alloc", E + 1_049_088, 20 * M],  # allocated 22,021,120
    ["snapshot", 0, 22_021_120],
]

ORDINARY_LOG = {"events": ORDINARY, "peak_allocated_bytes": 30_412_288, "peak_reserved_bytes": 44 * M}
EXPANDABLE_LOG = {"events": EXPANDABLE, "peak_allocated_bytes": 24_117_248, "peak_reserved_bytes": 42 * M}
