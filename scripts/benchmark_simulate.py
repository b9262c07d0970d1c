#!/usr/bin/env python3
"""How long a simulation takes, and how much memory the tracing process.

Prints the first configuration of a process (cold, imports included), further ones, a long clip, and the largest
image. Limits in docs: 10 s cold and 2 s further for tiny, 1024, one object, 240 frames; 2 GiB for large at 2048.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

RUNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("cold: tiny, 1024, 240 frames", dict(variant="tiny", frames=240)),
    ("further: float32", dict(variant="tiny", frames=240, precision="float32")),
    ("further: state on the host", dict(variant="tiny", frames=240, offload_state=True)),
    ("10,000 frames", dict(variant="tiny", frames=10_000)),
    ("image, large, 2048", dict(task="image", variant="large", resolution=2048)),
)


def main() -> int:
    """Run and print."""
    for name, options in RUNS:
        began = time.perf_counter()
        from planner.simulator import simulate

        simulation = simulate(**options, runtime="stock")
        seconds = time.perf_counter() - began
        memory_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(
            f"{name:32} {seconds:6.2f} s   process {memory_bytes / 2**20:6.0f} MiB   "
            f"allocated {simulation.allocated_bytes / 1e6:9.1f} MB"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
