"""MIG slices: what each profile of a card holds, and the smallest that holds a share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from planner.documents import Fields, read
from planner.errors import UsageError
from planner.locations import profiles_folder
from planner.placement.nouns import Card, ShareTooLarge
from planner.placement.tables import listed
from planner.units import format_size

ROUNDING_GIBIBYTES = 0.005
"""nvidia-smi prints two decimals: 11.69 stands for 11.6875. The least that prints so is taken."""


@dataclass(frozen=True, slots=True)
class MigProfile:
    """A kind of slice."""

    name: str
    """As NVIDIA writes it: 1g.10gb is one compute slice and some 10 GB."""
    usable_bytes: int
    """At least so many; less than the name says."""

    @property
    def slices(self) -> int:
        """Of compute."""
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
    cards = tuple(_card(entry) for entry in fields.entries("cards"))
    fields.end()
    return cards


def smallest_profile(card: Card, share_bytes: int) -> MigProfile:
    """The profile with the fewest bytes, then compute slices, that holds the share.

    Raises UsageError for a card whose profiles are not known, ShareTooLarge where none of those known is large enough.
    """
    found = listed(card, mig_cards())
    if found is None:
        known = ", ".join(one.names[0] for one in mig_cards())
        name = card.name or "a GPU without a name"
        raise UsageError(f"The MIG profiles of {name} are not known.", f"Name one of: {known}; or share it otherwise.")
    profiles = sorted(found.profiles, key=lambda profile: (profile.usable_bytes, profile.slices))
    profile = next((profile for profile in profiles if profile.usable_bytes >= share_bytes), None)
    if profile is not None:
        return profile
    largest = f"{profiles[-1].name} of {card.name} with {format_size(profiles[-1].usable_bytes)}"
    more = "" if found.complete else "; the memory of its larger profiles is not known"
    raise ShareTooLarge(
        f"No known MIG profile holds {format_size(share_bytes)}: the largest is {largest}{more}.",
        "Take a whole GPU, or plan for the slice (--vram).",
    )


def _card(fields: Fields) -> MigCard:
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
