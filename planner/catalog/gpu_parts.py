"""Parts of cards by name: MIG slices, and the profiles of NVIDIA's virtual GPUs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from planner.catalog.gpu_cards import known_cards
from planner.catalog.gpu_names import GpuName, parse_name
from planner.errors import UsageError
from planner.nouns.request import Gpu
from planner.text.locations import profiles_folder
from planner.text.strict_yaml import Fields, read

ROUNDING_GIBIBYTES = 0.005
"""nvidia-smi prints two decimals: 11.69 stands for 11.6875. The least that prints so is taken."""
VGPU_KEPT = 128
"""One part in so many of a profile's frame buffer does not arrive in the guest: A10-24Q shows 24,512 of 24,576 MiB
(one in 384); twice to three times that is taken, since few listings were found."""
_VARIANTS_OF_BOARDS = "dxlmps"
"""What NVIDIA adds to a board's name for its larger memory or its form: V100DX, A100D, H100XM, H100L, RTX8000P."""


@dataclass(frozen=True, slots=True)
class MigProfile:
    """A kind of slice."""

    name: str
    """As NVIDIA writes it: 1g.10gb is one compute slice and some 10 GB."""
    usable_bytes: int
    """At least so many; less than the name says."""

    @property
    def slices(self) -> int:
        """How many slices of compute."""
        return int(self.name.partition("g")[0])

    @property
    def resource(self) -> str:
        """What NVIDIA's device plugin calls it under the mixed strategy."""
        return f"nvidia.com/mig-{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigCard:
    """A card that can be cut into slices."""

    names: tuple[str, ...]
    gigabytes: int
    complete: bool
    """False where the memory of larger profiles is not known."""
    profiles: tuple[MigProfile, ...]


@lru_cache(maxsize=2)
def mig_cards(path: Path | None = None) -> tuple[MigCard, ...]:
    """The cards whose profiles are known. Raises FileError if the file is broken."""
    path = path or profiles_folder() / "mig.yaml"
    fields = Fields(read(path), str(path), "the table of MIG profiles")
    if fields.integer("schema_version") != 1:
        raise fields.complaint("schema_version is not 1", "Take the file of this release.", "schema_version")
    cards = tuple(_mig_card(entry) for entry in fields.entries("cards"))
    fields.end()
    return cards


@lru_cache(maxsize=1)
def known_slices() -> tuple[Gpu, ...]:
    """Every MIG slice whose memory is known, named as a driver names it: "A100 40 GB MIG 1g.5gb"."""
    return tuple(
        Gpu(name=f"{card.names[0]} MIG {profile.name}", total_bytes=profile.usable_bytes, capability=_capability(card))
        for card in mig_cards()
        for profile in card.profiles
    )


def find_parts(name: str) -> list[Gpu]:
    """The slices or virtual GPUs that a name may mean, smallest first; none for a whole card's name.

    Raises UsageError for a virtual GPU of a type that runs no CUDA.
    """
    wanted = parse_name(name)
    if not wanted.part:
        return []
    if wanted.part.endswith("gb"):
        found = [gpu for gpu in known_slices() if parse_name(gpu.name).agrees(wanted)]
        return sorted(found, key=lambda gpu: (gpu.total_bytes, gpu.name))
    return _virtual(name, wanted)


def _virtual(name: str, wanted: GpuName) -> list[Gpu]:
    """The virtual GPU of that profile: its letter is the type, its number the frame buffer in GiB."""
    kind = wanted.part[-1]
    gibibytes = int(wanted.part[:-1].rpartition("-")[2])
    boards = _boards(wanted.base)
    if not boards or not gibibytes:
        return []
    if kind in "ab":
        raise UsageError(
            f"{name!r} is a virtual GPU of type {kind.upper()}, which is for desktops and runs no CUDA.",
            f"Plan for a type that computes: {name.rstrip()[:-1]}Q or {name.rstrip()[:-1]}C.",
        )
    room = gibibytes * 2**30
    limits = [max(board.total_bytes for board in boards)]
    slices = wanted.part[:-1].rpartition("-")[0]
    if slices:  # a virtual GPU on a MIG slice has no more than the slice
        alike = f"{slices}g.{gibibytes}gb"
        limits += [part.total_bytes for part in known_slices() if parse_name(part.name).part == alike]
    size = min(room - room // VGPU_KEPT, *limits)
    shown = name.strip()
    return [Gpu(name=shown, total_bytes=size, capability=boards[0].capability)]


def _boards(base: str) -> list[Gpu]:
    """The cards that a profile's first word means."""
    for stem in (base, base.rstrip(_VARIANTS_OF_BOARDS)):
        names = (stem, f"rtx{stem.removeprefix('rtx')}", f"{stem}mobile")
        if found := [card.gpu for card in known_cards() if _whole(parse_name(card.gpu.name), names)]:
            return found
    return []


def _whole(name: GpuName, bases: Iterable[str]) -> bool:
    return not name.part and name.base in bases


def _capability(card: MigCard) -> tuple[int, int] | None:
    wanted = parse_name(card.names[0])
    return next((one.gpu.capability for one in known_cards() if parse_name(one.gpu.name).agrees(wanted)), None)


def _mig_card(fields: Fields) -> MigCard:
    fields.text("source")
    card = MigCard(
        names=tuple(fields.texts("names")),
        gigabytes=fields.integer("gigabytes", 1, 10_000),
        complete=fields.boolean("complete"),
        profiles=tuple(_profile(entry) for entry in fields.entries("profiles")),
    )
    fields.end()
    return card


def _profile(fields: Fields) -> MigProfile:
    least = fields.number("gibibytes", 1, 10_000) - ROUNDING_GIBIBYTES
    profile = MigProfile(fields.text("name"), math.floor(least * 2**30))
    fields.end()
    return profile
