"""Which runs to look at before a plan is exact: the choice, and what would be preferred to it and may fit.

Pure: what looks, a rehearsal or a simulation, is handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from planner.memory_model import MemoryModel
from planner.memory_model.exact import Key, Known, key_of
from planner.nouns.estimate import Asked
from planner.nouns.request import Budget, Request
from planner.nouns.run import Configuration
from planner.planning.candidates import SURE, CandidateClass, Member, candidate_classes, larger_passes
from planner.planning.passes import ways_within, with_largest_pass
from planner.planning.ranking import Key as Rank
from planner.planning.weighing import Weighed, weigh

MOST_RUNS = 8
"""Most runs for one plan. A rehearsal takes about 8 seconds, so that a plan takes about a minute at most."""


class Answers(Protocol):
    """What knows, or finds out, the bytes of a run."""

    def recall(self, configuration: Configuration) -> Known | None:
        """What was found before; None where nothing was."""

    def run(self, configuration: Configuration, number: int, most: int) -> Known | None:
        """Find it out, as run `number` of at most so many; None where it cannot be found out."""


class Settled(NamedTuple):
    """What was asked about, and what came of it."""

    model: MemoryModel
    """That knows the answers."""
    asked: Asked


def settle(
    request: Request, budget: Budget, model: MemoryModel, answers: Answers, strict: bool, most: int = MOST_RUNS
) -> Settled:
    """The model with the bytes of every run that decides the plan, found one after another in order of preference.

    Ends when the choice is one that was looked at, and so is all that would be preferred to it and may fit; or after
    `most` runs, the last of which is then the choice's own. What has no answer is left to the laws.
    """
    known: dict[Key, Known] = {}
    asked: set[Key] = set()
    runs = remembered = 0
    capability = budget.capability

    def key(candidate: CandidateClass, member: Member) -> Key:
        return key_of("own", candidate.configuration(member), request.workload, capability)

    def is_asked(candidate: CandidateClass, member: Member) -> bool:
        return key(candidate, member) in asked

    while True:
        now = model.knowing(known)
        classes = candidate_classes(request, budget, now)
        weighed = weigh(classes, request, budget.usable_bytes, model.catalog, strict)
        questions = open_questions(weighed, is_asked) or unasked_pass(weighed, request, budget, now, is_asked)
        if not questions:
            break
        candidate, member = questions[0]
        found = answers.recall(candidate.configuration(member))
        if found is None and runs >= most:
            break
        best = weighed.best
        if found is None and runs + 1 == most and best is not None and not is_asked(best, weighed.within[id(best)]):
            candidate = best
            member = with_largest_pass(weighed, request, budget, now).within[id(best)]
            found = answers.recall(candidate.configuration(member))
        remembered += found is not None
        if found is None:
            runs += 1
            distinct = {key(*question) for question in questions}
            found = answers.run(candidate.configuration(member), runs, min(most, runs - 1 + len(distinct)))
        asked.add(key(candidate, member))
        if found is not None:
            known[key(candidate, member)] = found
    left = len({key(*question) for question in questions})
    return Settled(now, Asked(runs=runs, remembered=remembered, left=left))


def unasked_pass(
    weighed: Weighed,
    request: Request,
    budget: Budget,
    model: MemoryModel,
    asked: Callable[[CandidateClass, Member], bool],
) -> list[tuple[CandidateClass, Member]]:
    """The largest passes in which the best may surely fit, and that were not asked about; none before it was itself."""
    best = weighed.best
    if best is None or request.workload.task != "video" or not asked(best, weighed.within[id(best)]):
        return []
    ways_of = ways_within(request, budget, model)
    for member in ways_of(best, larger_passes(request.workload, weighed.within[id(best)].offload_state)):
        if not asked(best, member):
            if may_fit(member, weighed.usable_bytes):
                return [(best, member)]
        elif weighed.certainty(member) == SURE:  # smaller ones are less preferred
            break
    return []


def open_questions(
    weighed: Weighed, asked: Callable[[CandidateClass, Member], bool]
) -> list[tuple[CandidateClass, Member]]:
    """What was not asked about, may fit, and would then be preferred to the best that was asked about and fits.

    Of each class the first way of running it that is open; the most preferred first.
    """
    settled = [one for one in weighed.fitting if asked(one, weighed.within[id(one)])]
    bar = weighed.keys[id(settled[0])] if settled else None
    found: list[tuple[Rank, CandidateClass, Member]] = []
    for candidate in weighed.classes:
        if candidate.unsupported:
            continue
        for member in candidate.members:
            if asked(candidate, member):
                if weighed.certainty(member) == SURE:  # what follows is less preferred
                    break
            elif may_fit(member, weighed.usable_bytes):
                rank = weighed.rank(candidate, member, SURE)
                if bar is None or rank < bar:
                    found.append((rank, candidate, member))
                break
    found.sort(key=lambda one: one[0])
    return [(candidate, member) for _, candidate, member in found]


def may_fit(member: Member, usable_bytes: int) -> bool:
    """Whether it completes where the prediction is as far above the truth as its bound is above the prediction."""
    return member.least_bytes - (member.upper_bytes - member.total_bytes) <= usable_bytes
