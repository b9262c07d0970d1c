"""What else fits, as choices that differ: another way of running it, another variant, another resolution.

Precisions and versions of one choice are not among them: of each variant and resolution only the one that would be
planned stands here. `--explain` lists them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import NamedTuple

from planner.planning.candidates import CandidateClass, Member
from planner.planning.weighing import Weighed


class Option(NamedTuple):
    """A class that fits and the way of running it."""

    candidate: CandidateClass
    member: Member


def alternatives(weighed: Weighed, top: int) -> list[Option]:
    """At most `top` choices beside the best, in order of preference; what differs most comes in first."""
    fitting = weighed.fitting
    if not fitting:
        return []
    best = fitting[0]
    others = [Option(one, weighed.within[id(one)]) for one in _distinct(fitting) if one is not best]
    same_size = [option for option in others if option.candidate.resolution == best.resolution]
    resized = [option for option in others if option.candidate.resolution != best.resolution]
    ways = [Option(best, member) for member in _other_ways(best, weighed)]
    # One of each kind in turn, the likeliest kind first, so that a short list shows what there is to choose from.
    turns = chain.from_iterable(zip_longest(same_size, ways, resized))
    chosen = [option for option in turns if option is not None][:top]
    return sorted(chosen, key=lambda one: weighed.rank(one.candidate, one.member, weighed.surely(one.member)))


def _distinct(fitting: list[CandidateClass]) -> Iterator[CandidateClass]:
    """The first of each variant and resolution."""
    seen = set()
    for candidate in fitting:
        key = candidate.variant, candidate.resolution
        if key not in seen:
            seen.add(key)
            yield candidate


def _other_ways(best: CandidateClass, weighed: Weighed) -> Iterator[Member]:
    """The memory bank on the other side, and the largest pass that fits there where the choice lies."""
    chosen = weighed.within[id(best)]
    fitting = [one for one in best.members if one.total_bytes <= weighed.usable_bytes and one != chosen]
    sure = sorted(fitting, key=lambda member: not weighed.surely(member))
    yield from [one for one in sure if one.offload_state != chosen.offload_state][:1]
    larger = [one for one in sure if one.offload_state == chosen.offload_state]
    larger = [one for one in larger if one.object_batch > chosen.object_batch]
    if larger:
        yield max(larger, key=lambda member: (weighed.surely(member), member.object_batch))
