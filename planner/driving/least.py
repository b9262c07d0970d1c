"""The least memory in which a run completes: by doubling steps from a likely figure, then by bisection."""

from __future__ import annotations

from collections.abc import Callable

GRANULE = 2 << 20
"""Bytes: the granularity in which a driver gives out memory (cuMemGetAllocationGranularity), so finer means nothing."""
FIRST_STEP = 4
"""Granules, from the likely figure: what a run needs lies close to what it allocates, mostly."""


def least_of(completes: Callable[[int], bool], enough_bytes: int, likely_bytes: int, floor_bytes: int) -> int:
    """The smallest multiple of GRANULE above `floor_bytes` in which `completes` holds; at most `enough_bytes`.

    `completes(memory_bytes)` runs it once; `enough_bytes` is known to be enough, and `likely_bytes` is tried first:
    what was allocated, beside the context. It is taken that what completes in less memory completes in more.
    """
    fails, works = floor_bytes // GRANULE, -(-enough_bytes // GRANULE)

    def tried(granules: int) -> bool:
        nonlocal fails, works
        well = completes(granules * GRANULE)
        if well:
            works = granules
        else:
            fails = granules
        return well

    at, step = -(-likely_bytes // GRANULE), FIRST_STEP
    if fails < at < works:
        sign = -1 if tried(at) else 1
        while fails < at + sign * step < works and tried(at + sign * step) == (sign < 0):
            at, step = at + sign * step, 2 * step
    while works - fails > 1:
        tried((fails + works) // 2)
    return min(works * GRANULE, enough_bytes)
