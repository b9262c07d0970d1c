"""The order of preference: design.md's "best", and its two alternatives.

Every order is lexicographic, and none of its places gets worse with more memory while those before it stay the same:
the more accurate choice may fit only tightly where a less accurate one surely did, and never the other way round.

An estimate of accuracy never outranks a published figure: running a 1024 checkpoint at another resolution is
published nowhere, so a configuration leaves the native resolution only where nothing fits at it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from planner.catalog import Catalog
from planner.catalog.figures import worth
from planner.memory_model import MemoryModel
from planner.nouns.plan import Choice
from planner.nouns.request import Budget
from planner.nouns.run import Workload
from planner.nouns.words import VARIANTS, VERSIONS, LostBy, Precision, Preference
from planner.planning.candidates import SURE, CandidateClass, Member

PRECISION_RANK: dict[Precision, int] = {
    "autocast_bfloat16": 0, "autocast_float16": 1, "float16": 2, "bfloat16": 3, "float32": 4,
}  # fmt: skip
"""The official recipe first; then low-precision weights, float16 (which the published bytes were measured in, and
which every GPU runs) before bfloat16; float32, which takes most and is slowest, last."""

_BY_QUALITY: tuple[LostBy, ...] = ("published", "accuracy", "certainty", "precision", "speed")
_BY_SPEED: tuple[LostBy, ...] = ("speed", "certainty", "precision", "accuracy", "speed")
_TIE: tuple[LostBy, ...] = ("bytes", "order", "order", "order", "order")
"""What the places of a key stand for, in the words of words.LOST_BY; a balanced or a strict key has one more in
front."""

Key = tuple[float, ...]
Ranker = Callable[[CandidateClass, Member, int], Key]
"""Called with a class, the member it would run as, and how surely that fits (Member.certainty)."""


def ranker(
    prefer: Preference, workload: Workload, catalog: Catalog, runnable: Sequence[CandidateClass], strict: bool = False
) -> Ranker:
    """The sort key of a preference; smaller is better.

    runnable: all that the GPU runs, fitting or not; "balanced" looks at their front. strict: a plan that fits tightly
    is a failure, so what surely fits comes before everything.
    """
    if prefer == "speed":
        order = _by_speed(workload, catalog)
    elif prefer == "balanced" and runnable:
        order = _balanced(workload, catalog, runnable)
    else:
        order = _by_quality(workload, catalog)
    if not strict:
        return order
    return lambda candidate, member, certainty: (certainty > SURE, *order(candidate, member, certainty))


def lost_by(prefer: Preference, strict: bool, winner: Key, loser: Key) -> LostBy:
    """The first thing in which a key loses to a smaller one."""
    names: tuple[LostBy, ...] = ("balance", *(_BY_SPEED if prefer == "speed" else _BY_QUALITY), *_TIE)
    names = names[-(len(winner) - strict) :]
    if strict:
        names = ("certainty", *names)
    places = zip(names, winner, loser, strict=True)
    return next(name for name, better, worse in places if better != worse)


def speed(candidate: CandidateClass, member: Member, workload: Workload, catalog: Catalog) -> float:
    """Frames per second for ordering. Both versions run the same code, so one stands for both."""
    return catalog.frames_per_second(
        candidate.variant, VERSIONS[0], candidate.resolution, workload.objects, member.offload_state
    )


def choice(
    candidate: CandidateClass,
    member: Member,
    workload: Workload,
    model: MemoryModel,
    budget: Budget,
) -> Choice:
    """A member with its worth and its full estimate."""
    configuration = candidate.configuration(member)
    return Choice(
        configuration=configuration,
        estimate=model.estimate(configuration, workload, budget.capability),
        **worth(configuration, workload, model.catalog, budget.gpu.name if budget.gpu else None),
    )


def _by_quality(workload: Workload, catalog: Catalog) -> Ranker:
    def key(candidate: CandidateClass, member: Member, certainty: int) -> Key:
        quality = catalog.quality(candidate.variant, candidate.version, candidate.resolution)
        return (
            quality.is_estimate,
            -quality.value,
            certainty,
            PRECISION_RANK[candidate.precision],
            -speed(candidate, member, workload, catalog),
            *_tie(candidate, member),
        )

    return key


def _by_speed(workload: Workload, catalog: Catalog) -> Ranker:
    def key(candidate: CandidateClass, member: Member, certainty: int) -> Key:
        quality = catalog.quality(candidate.variant, candidate.version, candidate.resolution)
        return (
            # Of the class, so that a memory bank on the host, which is a little slower, does for one that surely fits.
            -speed(candidate, candidate.members[0], workload, catalog),
            certainty,
            PRECISION_RANK[candidate.precision],
            -quality.value,
            -speed(candidate, member, workload, catalog),
            *_tie(candidate, member),
        )

    return key


def _balanced(workload: Workload, catalog: Catalog, runnable: Sequence[CandidateClass]) -> Ranker:
    """The knee: farthest above the line between the most accurate and the fastest that the GPU runs.

    The line is drawn through what may not fit as well, so that more memory moves the choice along one scale: the
    nearest to the knee that fits.
    """

    def point(candidate: CandidateClass) -> tuple[float, float]:
        quality = catalog.quality(candidate.variant, candidate.version, candidate.resolution)
        return quality.value, math.log(speed(candidate, candidate.members[0], workload, catalog))

    points = {point(candidate) for candidate in runnable}
    best = max(points)
    fastest = max(points, key=lambda pair: (pair[1], pair[0]))
    spans = best[0] - fastest[0], fastest[1] - best[1]
    by_quality = _by_quality(workload, catalog)

    def key(candidate: CandidateClass, member: Member, certainty: int) -> Key:
        if min(spans) <= 0:  # one point is the best in both: nothing to balance
            return by_quality(candidate, member, certainty)
        quality, pace = point(candidate)
        height = (quality - fastest[0]) / spans[0] + (pace - best[1]) / spans[1]
        return (-round(height, 9), *by_quality(candidate, member, certainty))

    return key


def _tie(candidate: CandidateClass, member: Member) -> Key:
    """Fewer bytes, then the domain's own order, so that the outcome never hangs on how candidates were listed."""
    return (
        member.total_bytes,
        VARIANTS.index(candidate.variant),
        VERSIONS.index(candidate.version),
        *candidate.resolution,
    )
