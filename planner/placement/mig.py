"""MIG slices: the smallest profile of a card that holds a share."""

from __future__ import annotations

from planner.catalog.gpu_parts import MigCard, MigProfile, mig_cards
from planner.errors import UsageError
from planner.placement.placement import Card, ShareTooLarge
from planner.placement.tables import listed
from planner.text.units import format_size

__all__ = ["MigCard", "MigProfile", "mig_cards", "smallest_profile"]


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
