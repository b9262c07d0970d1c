"""Every candidate class against a budget: which member each would run as, and what is preferred to what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from planner.catalog import Catalog
from planner.nouns.request import Request
from planner.planning.candidates import SURE, CandidateClass, Member
from planner.planning.ranking import Key, Ranker, ranker


@dataclass(frozen=True)
class Weighed:
    """Candidate classes and what a budget makes of them. Mappings are by the id of a class."""

    classes: Sequence[CandidateClass]
    usable_bytes: int
    rank: Ranker
    within: Mapping[int, Member]
    """For each class that fits, the member that would be planned."""
    keys: Mapping[int, Key]
    """For each class that fits, its place in the order of preference."""
    ideal: Mapping[int, Key]
    """For every class, its place if it surely fitted."""

    @cached_property
    def fitting(self) -> list[CandidateClass]:
        """What fits, the most preferred first."""
        found = [candidate for candidate in self.classes if id(candidate) in self.within]
        return sorted(found, key=lambda candidate: self.keys[id(candidate)])

    @property
    def best(self) -> CandidateClass | None:
        """What is chosen; None where nothing fits."""
        return next(iter(self.fitting), None)

    def certainty(self, member: Member) -> int:
        """How surely it fits, as of Member.certainty."""
        return member.certainty(self.usable_bytes)

    @cached_property
    def turned_down(self) -> list[CandidateClass]:
        """What would be preferred to the choice and does not fit, in order.

        Where nothing fits that is all, the nearest miss first.
        """
        best = self.best
        if best is None:
            order = self.ideal
            return sorted(self.classes, key=lambda c: (c.need_bytes is None, c.need_bytes or 0, order[id(c)]))
        bar = self.ideal[id(best)]
        above = [c for c in self.classes if self.ideal[id(c)] < bar and id(c) not in self.within]
        return sorted(above, key=lambda candidate: self.ideal[id(candidate)])


def weigh(
    classes: Sequence[CandidateClass], request: Request, usable_bytes: int, catalog: Catalog, strict: bool = False
) -> Weighed:
    """What so many bytes make of the candidate classes of a request."""
    runnable = [candidate for candidate in classes if not candidate.unsupported]
    rank = ranker(request.prefer, request.workload, catalog, runnable, strict)
    within = {
        id(candidate): member for candidate in runnable if (member := candidate.best_within(usable_bytes)) is not None
    }
    keys = {
        id(candidate): rank(candidate, member, member.certainty(usable_bytes))
        for candidate in runnable
        if (member := within.get(id(candidate))) is not None
    }
    # What does not fit is ranked as what it would rather run as.
    ideal = {id(c): rank(c, within.get(id(c), c.members[0]), SURE) for c in classes}
    return Weighed(classes, usable_bytes, rank, within, keys, ideal)
