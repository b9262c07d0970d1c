"""What else fits, as choices that differ: another way of running it, another variant, another resolution.

Of each variant and resolution only the precision and version that would be planned stands here, and of the choice's own
one precision that takes less. `--explain` lists them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import NamedTuple

from planner.nouns.request import Request
from planner.nouns.run import Workload
from planner.planning.candidates import CandidateClass, Member, larger_passes, same_choice
from planner.planning.passes import WaysOf, largest_pass
from planner.planning.weighing import Weighed


class Option(NamedTuple):
    """A class that fits and the way of running it."""

    candidate: CandidateClass
    member: Member


def alternatives(weighed: Weighed, request: Request, top: int, ways_of: WaysOf) -> list[Option]:
    """At most `top` choices beside the best, in order of preference; what differs most comes in first."""
    fitting = weighed.fitting
    if not fitting:
        return []
    best = fitting[0]
    others = [Option(one, weighed.within[id(one)]) for one in _distinct(fitting) if one is not best]
    same_size = [option for option in others if option.candidate.resolution == best.resolution]
    resized = [option for option in others if option.candidate.resolution != best.resolution]
    ways = [Option(best, member) for member in _other_ways(best, weighed, request.workload, ways_of)]
    ways = [*ways[:1], *_leaner(best, weighed), *ways[1:]]
    # Of each kind in turn, the likeliest kind first, so that a short list shows what there is to choose from.
    turns = chain.from_iterable(zip_longest(same_size[::2], ways[::2], ways[1::2], same_size[1::2], resized))
    chosen = [option for option in turns if option is not None][:top]
    usable = weighed.usable_bytes
    chosen = [
        option
        if option.candidate is best
        else Option(option.candidate, largest_pass(option.candidate, option.member, request, usable, ways_of))
        for option in chosen
    ]
    return sorted(chosen, key=lambda one: weighed.rank(one.candidate, one.member, weighed.certainty(one.member)))


def _distinct(fitting: list[CandidateClass]) -> Iterator[CandidateClass]:
    """The first of each variant and resolution."""
    seen = set()
    for candidate in fitting:
        key = candidate.variant, candidate.resolution
        if key not in seen:
            seen.add(key)
            yield candidate


def _leaner(best: CandidateClass, weighed: Weighed) -> Iterator[Option]:
    """The same in the precision that is preferred of those that take less: what is left where memory runs short."""
    less = [
        Option(one, weighed.within[id(one)])
        for one in weighed.fitting
        if same_choice(one, best) and weighed.within[id(one)].total_bytes < weighed.within[id(best)].total_bytes
    ]
    yield from less[:1]


def _other_ways(best: CandidateClass, weighed: Weighed, workload: Workload, ways_of: WaysOf) -> Iterator[Member]:
    """The memory bank on the other side, and where the choice's lies other passes, the surer first.

    Of one object, which take least, where the choice's are of more; else the largest that fit, if only tightly.
    """
    chosen = weighed.within[id(best)]
    several = workload.task == "video" and chosen.object_batch > 1
    one_by_one = [(1, chosen.offload_state)]
    passes = ways_of(best, one_by_one if several else larger_passes(workload, chosen.offload_state))
    other_side = [one for one in best.members if one.offload_state != chosen.offload_state]
    more_points = [one for one in best.members if one.object_batch > chosen.object_batch]
    for ways in (other_side, [*passes, *more_points]):
        fitting = [way for way in ways if way.fits(weighed.usable_bytes)]
        yield from sorted(fitting, key=weighed.certainty)[:1]
