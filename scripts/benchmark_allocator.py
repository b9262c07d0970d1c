"""Events a second through the model of the caching allocator: random sizes, some 300 live blocks.

Run: python scripts/benchmark_allocator.py [EVENTS]
"""

from __future__ import annotations

import random
import sys
import time

from planner.simulator.allocator import CachingAllocator

LIVE_BLOCKS = 300


def events_per_second(events: int, expandable_segments: bool) -> float:
    """Half of the events allocate 10 B to 30 MB, half free a random block."""
    source = random.Random(0)
    sizes = [int(10 ** source.uniform(1, 7.5)) for _ in range(events // 2)]
    picks = [source.random() for _ in sizes]
    allocator = CachingAllocator(expandable_segments=expandable_segments)
    live: list[int] = []
    start = time.perf_counter()
    for size, pick in zip(sizes, picks, strict=True):
        live.append(allocator.malloc(size))
        if len(live) > LIVE_BLOCKS:
            index = int(pick * len(live))
            live[index], live[-1] = live[-1], live[index]
            allocator.free(live.pop())
    return allocator.events / (time.perf_counter() - start)


def main() -> None:
    """Print one line per kind of segment."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 400_000
    for expandable_segments in (False, True):
        kind = "expandable" if expandable_segments else "ordinary"
        print(f"{kind}: {events_per_second(events, expandable_segments):,.0f} events/s")


if __name__ == "__main__":
    main()
