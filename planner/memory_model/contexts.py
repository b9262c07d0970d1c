"""The CUDA context and the kernels in it: what a process takes on a GPU outside the caching allocator."""

from __future__ import annotations

from typing import NamedTuple

from planner.domain import Gpu

BY_GENERATION = {7: 400_000_000, 8: 400_000_000}
"""By the major number of the capability; as in profiles/workspaces.yaml, which a test holds it to."""
OTHER_GENERATION = 500_000_000
UNKNOWN_BYTES = 400_000_000
SPARE_BYTES = 137_000_000
"""How much more a context may be that was not measured here: the largest public figures are a little over 500 MiB."""


class Context(NamedTuple):
    """Bytes of a context, and the band that it lies in."""

    bytes: int
    low_bytes: int
    high_bytes: int
    provenance: str
    """One of planner.domain.PROVENANCES."""


def context_on(
    gpu: Gpu | str | None = None, capability: tuple[int, int] | None = None, budget_bytes: int | None = None
) -> Context:
    """The context on a GPU, or one of that name; of None on one of that capability, or that a budget may be of."""
    capability = capability or (gpu.capability if isinstance(gpu, Gpu) else None)
    size = UNKNOWN_BYTES if capability is None else BY_GENERATION.get(capability[0], OTHER_GENERATION)
    return Context(size, size, size + SPARE_BYTES, "assumed")
