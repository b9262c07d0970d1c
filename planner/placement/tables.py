"""Which of the listed cards a GPU is: tables name a card by its name and its nominal gigabytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from planner.catalog.gpus import parse_name
from planner.placement.placement import Card


class Listed(Protocol):
    """An entry of a table."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the card is called, as people write it."""

    @property
    def gigabytes(self) -> int:
        """Its nominal memory."""


Entry = TypeVar("Entry", bound=Listed)


def listed(card: Card, table: Sequence[Entry]) -> Entry | None:
    """The entry of that card; None where the table has none.

    Cards of one name differ in memory: the name says it ("A100-SXM4-80GB"), or the bytes do, which lie between the
    nominal gigabytes as powers of 10 and of 2.
    """
    if card.name is None:
        return None
    wanted = parse_name(card.name.partition(" MIG ")[0])  # a slice is called after its card
    found = [entry for entry in table if wanted.base in {parse_name(name).base for name in entry.names}]
    if wanted.gigabytes:
        return next((entry for entry in found if str(entry.gigabytes) == wanted.gigabytes), None)
    if len(found) == 1:
        return found[0]
    within = (entry for entry in found if entry.gigabytes * 10**9 <= card.total_bytes <= entry.gigabytes * 2**30)
    return next(within, None)
