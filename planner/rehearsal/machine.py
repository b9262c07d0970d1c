"""Imaginary GPUs: what a catalogue's card, or a capability, is to the CUDA runtime."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import lru_cache

from planner.catalog.gpu_cards import database
from planner.catalog.gpus import card_of, find_gpu
from planner.errors import UsageError
from planner.memory_model.contexts import context_on

MOST_GPUS = 8
"""Most GPUs of one stage; sources/stage.h, STAGE_GPUS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What all GPUs of one compute capability have in common.

    From the CUDA C++ programming guide, "Technical Specifications per Compute Capability".
    """

    card: str
    """The card of the catalogue that stands for the capability where none is named."""
    threads: int
    """Resident threads of a multiprocessor at most."""
    blocks: int
    """Resident blocks of a multiprocessor at most."""
    shared_kib: int
    """Shared memory of a multiprocessor."""
    block_kib: int
    """Shared memory of a block at most, where the program asks for more than 48 KiB."""


ARCHITECTURES: dict[tuple[int, int], Architecture] = {
    (7, 5): Architecture(card="Tesla T4", threads=1024, blocks=16, shared_kib=64, block_kib=64),
    (8, 0): Architecture(card="A100 PCIe 40 GB", threads=2048, blocks=32, shared_kib=164, block_kib=163),
    (8, 6): Architecture(card="GeForce RTX 3090", threads=1536, blocks=16, shared_kib=100, block_kib=99),
    (8, 9): Architecture(card="GeForce RTX 4090", threads=1536, blocks=24, shared_kib=100, block_kib=99),
    (9, 0): Architecture(card="H100 SXM5 80 GB", threads=2048, blocks=32, shared_kib=228, block_kib=227),
    (10, 0): Architecture(card="B200", threads=2048, blocks=32, shared_kib=228, block_kib=227),
    (12, 0): Architecture(card="GeForce RTX 5090", threads=1536, blocks=24, shared_kib=100, block_kib=99),
}
DEFAULT_CAPABILITY = (8, 6)
STANDS_FOR = {(8, 7): (8, 6), (10, 3): (10, 0), (12, 1): (12, 0)}
"""Capabilities for which torch's wheels hold no code of their own: they run that of the nearest older one of the same
major number (the programming guide's "Binary Compatibility"), and so does the rehearsal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaginaryGpu:
    """A GPU that is not there."""

    name: str
    capability: tuple[int, int]
    """Compute capability, (major, minor)."""
    multiprocessors: int
    threads_per_multiprocessor: int
    total_bytes: int
    context_bytes: int
    """What each process takes beside what it asks for, from its first call that needs a context."""
    uuid: str
    neighbour_bytes: int = 0
    """Memory held by another, imaginary process, which NVML lists."""
    clock_khz: int = 1_500_000
    """Boost clock of the multiprocessors. Nothing is timed by it, but CUDA numbers the fastest GPU first."""
    memory_clock_khz: int = 7_000_000
    bus_bits: int = 256
    l2_bytes: int = 4 << 20


def imaginary_gpu(
    name: str | None = None,
    *,
    capability: tuple[int, int] | None = None,
    total_bytes: int | None = None,
    context_bytes: int | None = None,
    neighbour_bytes: int = 0,
    index: int = 0,
) -> ImaginaryGpu:
    """A card of the catalogue, or the one that stands for a capability (8.6 where neither is said).

    `total_bytes` and `context_bytes` are the catalogue's and the memory model's unless given; `index` tells GPUs of one
    stage apart (their UUIDs). Raises UsageError for a name, or a capability, that cannot be rehearsed, and for a GPU
    that its context does not fit into.
    """
    given = name
    if name is None:
        wanted = _rehearsed(capability or DEFAULT_CAPABILITY, "")
        name = ARCHITECTURES[wanted].card
    found = find_gpu(name).gpu
    if capability is None:
        if found.capability is None:
            raise UsageError(f"The capability of {found.name} is not known.", f"Say which: {_known()}.")
        wanted = _rehearsed(found.capability, f"{found.name} has ")
    else:
        wanted = _rehearsed(capability, "")
    listed = card_of(found)
    card, architecture = _card(listed.database if listed else found.name), ARCHITECTURES[wanted]
    total = found.total_bytes if total_bytes is None else total_bytes
    context = context_bytes
    if context is None:
        # The card that stands for a capability is not the one that so many bytes are of.
        of_budget = name is not given and total_bytes is not None
        context = (context_on(None, wanted, total_bytes) if of_budget else context_on(found)).bytes
    if context < 0 or neighbour_bytes < 0 or context + neighbour_bytes > total:
        raise UsageError(
            f"A GPU of {total:,} bytes has no room for a CUDA context of {context:,} bytes"
            + (f" beside a neighbour's {neighbour_bytes:,}." if neighbour_bytes else "."),
            "Give it more memory.",
        )
    return ImaginaryGpu(
        name=found.name,
        capability=wanted,
        multiprocessors=(listed.multiprocessors if listed else None) or 1,
        threads_per_multiprocessor=architecture.threads,
        total_bytes=total,
        context_bytes=context,
        uuid=f"GPU-{uuid.uuid5(uuid.NAMESPACE_OID, f'sam2-plan imaginary GPU {index}')}",
        neighbour_bytes=neighbour_bytes,
        clock_khz=card.clock_khz,
        memory_clock_khz=card.memory_clock_khz,
        bus_bits=card.bus_bits,
        l2_bytes=card.l2_bytes,
    )


def _rehearsed(capability: tuple[int, int], whose: str) -> tuple[int, int]:
    known = STANDS_FOR.get(capability, capability)
    if known in ARCHITECTURES:
        return known
    said = f"{capability[0]}.{capability[1]}"
    old = ": torch's current CUDA builds run on 7.5 and later" if capability < min(ARCHITECTURES) else ""
    message = f"{whose}capability {said}, which" if whose else f"Capability {said}"
    raise UsageError(f"{message} cannot be rehearsed{old}.", f"Known: {_known()}.")


def _known() -> str:
    return ", ".join(f"{major}.{minor}" for major, minor in ARCHITECTURES)


@dataclass(frozen=True, slots=True)
class _Card:
    """What only the database says of a card."""

    clock_khz: int
    memory_clock_khz: int
    bus_bits: int
    l2_bytes: int


@lru_cache(maxsize=64)
def _card(name: str) -> _Card:
    # What the runtime calls the memory's clock is half of what a pin carries: bandwidth / width of the bus / 2.
    spec = next(spec for spec in database() if spec.name == name and spec.manufacturer == "NVIDIA")
    bus_bits = int(spec.memory_bus_bits or 256)
    return _Card(
        clock_khz=int((spec.boost_clock_mhz or spec.base_clock_mhz or 1500) * 1000),
        memory_clock_khz=round((spec.memory_bandwidth_gb_s or 448.0) * 8 / bus_bits / 2 * 10**6),
        bus_bits=bus_bits,
        l2_bytes=int((spec.l2_cache_mb or 4) * 2**20),
    )
