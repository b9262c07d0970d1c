"""How many objects of a video go through one pass, once it is decided what runs.

A frame of ten objects in one pass asks for a quarter to a third of the kernels of ten passes (docs/running.md), and a
GPU waits for its host with SAM 2; a pass of several takes more memory. So memory that is surely left is spent on it,
and nothing else: whether something fits is settled by passes of one object, which take least (tests/test_order.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from planner.memory_model import MemoryModel
from planner.nouns.request import Budget, Request
from planner.planning.candidates import SURE, CandidateClass, Member, larger_passes, members, within_host
from planner.planning.weighing import Weighed

Ways = Sequence[tuple[int, bool]]
WaysOf = Callable[[CandidateClass, Ways], list[Member]]
"""Members of a class for (objects per pass, memory bank on the host)."""


def ways_within(request: Request, budget: Budget, model: MemoryModel) -> WaysOf:
    """The members of a class for some ways of running it, of those that the host holds."""

    def ways_of(one: CandidateClass, ways: Ways) -> list[Member]:
        asked = one.variant, one.resolution, one.precision, one.attention, request.workload, model, budget
        most = budget.host_bytes
        return list(within_host(members(*asked, ways, host=most is not None), most))

    return ways_of


def largest_pass(
    candidate: CandidateClass, member: Member, request: Request, usable_bytes: int, ways_of: WaysOf
) -> Member:
    """The member with the most objects in a pass that surely fits; as it is where none does, or only tightly itself."""
    if request.workload.task != "video" or member.certainty(usable_bytes) != SURE:
        return member
    for way in larger_passes(request.workload, member.offload_state):
        found = [one for one in ways_of(candidate, [way]) if one.certainty(usable_bytes) == SURE]
        if found:
            return found[0]
    return member


def with_largest_pass(weighed: Weighed, request: Request, budget: Budget, model: MemoryModel) -> Weighed:
    """The same, its best in the largest passes that surely fit."""
    best, ways_of = weighed.best, ways_within(request, budget, model)
    if best is None:
        return weighed
    member = largest_pass(best, weighed.within[id(best)], request, weighed.usable_bytes, ways_of)
    return replace(weighed, within={**weighed.within, id(best): member})
