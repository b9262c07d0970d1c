"""The least memory in which a run completes, by bisection."""

from __future__ import annotations

from collections.abc import Callable

GRANULE = 2 << 20
"""Bytes: the granularity in which a driver gives out memory (cuMemGetAllocationGranularity), so finer means nothing."""


def least_of(completes: Callable[[int], bool], enough_bytes: int, likely_bytes: int, floor_bytes: int) -> int:
    """The smallest multiple of GRANULE, above `floor_bytes`, in which `completes` holds; `enough_bytes` if none less.

    `completes(memory_bytes)` runs it once; `enough_bytes` is known to be enough, and `likely_bytes` is tried first:
    what was allocated, beside the context. It is taken that what completes in less memory completes in more.
    """
    fails, works = floor_bytes // GRANULE, -(-enough_bytes // GRANULE)
    tried = -(-likely_bytes // GRANULE)
    while works - fails > 1:
        if not fails < tried < works:
            tried = (fails + works) // 2
        if completes(tried * GRANULE):
            works = tried
            # Near the likely figure first: most runs need what they allocate, and hardly less.
            tried = works - max(1, (works - fails) // 16)
        else:
            fails = tried
            tried = 0
    return min(works * GRANULE, enough_bytes)
