"""What the Ray tests run in Ray's workers. Imports little: each worker of a GPU task is a process of its own."""

from __future__ import annotations

import os
import time
from typing import Any

MIB = 2**20


class Gate:
    """Counts who is inside, and how many there were at most."""

    def __init__(self) -> None:
        self.inside: set[int] = set()
        self.most = 0
        self.order: list[int] = []

    def enter(self, name: int) -> None:
        self.inside.add(name)
        self.order.append(name)
        self.most = max(self.most, len(self.inside))

    def leave(self, name: int) -> None:
        self.inside.discard(name)

    def seen(self) -> int:
        return self.most

    def entered(self) -> list[int]:
        return self.order


def stay(gate: Any, name: int, together: int) -> dict[str, Any]:
    """Go in, stay until so many were inside at once, and a little longer for one too many to come."""
    import ray

    from planner.machine.cap import cap_from

    ray.get(gate.enter.remote(name))
    until = time.monotonic() + 60
    while ray.get(gate.seen.remote()) < together and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    ray.get(gate.leave.remote(name))
    return {"name": name, "cap": cap_from(os.environ), "gpus": ray.get_gpu_ids(), "pid": os.getpid()}


def fill(gate: Any, name: int, together: int, need_bytes: int, context_bytes: int) -> dict[str, Any]:
    """Allocate `need_bytes` piece by piece under the worker's own cap, beside others that do the same.

    There is no GPU: the allocator is the simulator's model of torch's, limited by the arithmetic of the real one.
    """
    import ray

    from planner.machine.cap import allocator_bytes, cap_from
    from planner.simulator.allocator import CachingAllocator

    cap = cap_from(os.environ)
    assert cap is not None, "the cap comes with the environment"
    allocator = CachingAllocator(limit_bytes=allocator_bytes(cap, context_bytes))
    ray.get(gate.enter.remote(name))
    until = time.monotonic() + 60
    while ray.get(gate.seen.remote()) < together and time.monotonic() < until:
        time.sleep(0.02)
    while allocator.allocated_bytes < need_bytes:
        allocator.malloc(64 * MIB)
    ray.get(gate.leave.remote(name))
    return {"name": name, "cap": cap, "reserved_bytes": allocator.reserved_bytes}
