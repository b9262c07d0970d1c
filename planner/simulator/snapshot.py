"""The state of a caching allocator as plain data, in the format of torch.cuda.memory_snapshot().

Written by the model, read by the checker, and the same keys as torch's own, so that the checker reads a real GPU's
snapshot as well (https://docs.pytorch.org/docs/stable/torch_cuda_memory.html, "Snapshot API Reference").
"""

from __future__ import annotations

from typing import TypedDict

ACTIVE, PENDING, INACTIVE = "active_allocated", "active_pending_free", "inactive"


class BlockState(TypedDict):
    """A piece of a segment, in use or free."""

    address: int
    size: int
    """Bytes."""
    requested_size: int
    """Bytes asked for; torch leaves an old value in a free block."""
    state: str
    """ACTIVE; PENDING: freed, but another stream may still read it; INACTIVE: free."""


class SegmentState(TypedDict):
    """What one cudaMalloc gave, or one contiguous mapped range of an expandable segment."""

    address: int
    total_size: int
    """Bytes."""
    segment_type: str
    """"small" or "large": the pool."""
    is_expandable: bool
    blocks: list[BlockState]
    """In the order of their addresses."""
