"""How far a run used the range of each pool of torch's allocator, where segments grow. Imports torch.

What is reserved is then that, in whole pages: 20 MiB of the large pool and 2 MiB of the small one. The extent is what
follows laws, as a law knows nothing of pages.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter

import torch

MOST_ENTRIES = 20_000_000
"""Of the allocator's own log; the longest run of the grid writes a tenth of it."""


def record() -> None:
    """Have the allocator write down from now on where each block begins: some microseconds a block."""
    torch.cuda.memory._record_memory_history(enabled="all", context=None, max_entries=MOST_ENTRIES)


def enter(phase: str | None) -> None:
    """What is allocated from now on belongs to this phase. A torch that keeps no such notes (before 2.10) has none."""
    if hasattr(torch._C, "_cuda_setMemoryMetadata"):
        torch._C._cuda_setMemoryMetadata(phase or "")


def extents(device: torch.device) -> tuple[int | None, dict[str, int]]:
    """Bytes of the small pool, and by phase of the large one, since `record`.

    None and nothing where a segment of fixed size was made, or nobody noted phases.
    """
    torch.cuda.synchronize(device)
    found = torch.cuda.memory._snapshot()
    segments = sorted((one["address"], one) for one in found["segments"] if one["device"] == device.index)
    log = [entry for entry in found["device_traces"][device.index] if entry["action"] == "alloc"]
    if not all(one["is_expandable"] for _, one in segments) or not all(entry.get("user_metadata") for entry in log):
        return None, {}
    starts, large = [start for start, _ in segments], [one["segment_type"] == "large" for _, one in segments]
    small = [0 for _ in segments]
    by_phase = [Counter[str]() for _ in segments]
    for entry in log:
        place = bisect_right(starts, entry["addr"]) - 1
        end, phase = entry["addr"] + entry["size"] - starts[place], entry["user_metadata"]
        if large[place]:
            by_phase[place][phase] = max(by_phase[place][phase], end)
        else:
            small[place] = max(small[place], end)
    return sum(small), dict(sum(by_phase, Counter[str]()))
