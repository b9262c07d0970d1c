"""The order of preference: design.md's "best", and its two alternatives.

An estimate of accuracy never outranks a published figure: running a 1024 checkpoint at another resolution is
published nowhere, so a configuration leaves the native resolution only where nothing fits at it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from planner.catalog import Catalog
from planner.catalog.figures import worth
from planner.domain import VARIANTS, VERSIONS, Budget, Choice, Workload
from planner.memory_model import MemoryModel
from planner.planning.candidates import CandidateClass, Member

PRECISION_RANK = {
    precision: rank
    for rank, precision in enumerate(("autocast_bfloat16", "autocast_float16", "float32", "float16", "bfloat16"))
}
"""The official recipe first; low-precision weights last, float16 (which the published bytes were measured in,
and which every GPU runs) before bfloat16."""

_BY_QUALITY = ("published", "accuracy", "precision", "speed")
_BY_SPEED = ("speed", "precision", "accuracy")
_TIE = ("bytes", "order", "order", "order", "order")
"""What the places of a key stand for, in the words of answers.LOST_BY; a balanced key has one more in front."""

Key = tuple[float, ...]
Ranker = Callable[[CandidateClass, Member], Key]
"""Of a class and the member it would run as."""


def ranker(
    prefer: str, workload: Workload, catalog: Catalog, fitting: Sequence[tuple[CandidateClass, Member]]
) -> Ranker:
    """The sort key of a preference; smaller is better. `fitting` spans the front that "balanced" looks at."""
    if prefer == "speed":
        return lambda candidate, member: _by_speed(candidate, member, workload, catalog)
    if prefer == "balanced" and fitting:
        return _balanced(workload, catalog, fitting)
    return lambda candidate, member: _by_quality(candidate, member, workload, catalog)


def lost_by(prefer: str, winner: Key, loser: Key) -> str:
    """The first thing in which a key loses to a smaller one."""
    names: tuple[str, ...] = ("balance", *(_BY_SPEED if prefer == "speed" else _BY_QUALITY), *_TIE)
    places = zip(names[-len(winner) :], winner, loser, strict=True)
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


def _by_quality(candidate: CandidateClass, member: Member, workload: Workload, catalog: Catalog) -> Key:
    quality = catalog.quality(candidate.variant, candidate.version, candidate.resolution)
    return (
        quality.is_estimate,
        -quality.value,
        PRECISION_RANK[candidate.precision],
        -speed(candidate, member, workload, catalog),
        *_tie(candidate, member),
    )


def _by_speed(candidate: CandidateClass, member: Member, workload: Workload, catalog: Catalog) -> Key:
    quality = catalog.quality(candidate.variant, candidate.version, candidate.resolution)
    return (
        -speed(candidate, member, workload, catalog),
        PRECISION_RANK[candidate.precision],
        -quality.value,
        *_tie(candidate, member),
    )


def _balanced(workload: Workload, catalog: Catalog, fitting: Sequence[tuple[CandidateClass, Member]]) -> Ranker:
    """The knee: farthest above the line between the most accurate and the fastest that fit."""

    def point(candidate: CandidateClass, member: Member) -> tuple[float, float]:
        quality = catalog.quality(candidate.variant, candidate.version, candidate.resolution)
        return quality.value, math.log(speed(candidate, member, workload, catalog))

    points = [point(candidate, member) for candidate, member in fitting]
    best = max(points)
    fastest = max(points, key=lambda pair: (pair[1], pair[0]))
    spans = best[0] - fastest[0], fastest[1] - best[1]

    def key(candidate: CandidateClass, member: Member) -> Key:
        if min(spans) <= 0:  # one point is the best in both: nothing to balance
            return _by_quality(candidate, member, workload, catalog)
        quality, pace = point(candidate, member)
        height = (quality - fastest[0]) / spans[0] + (pace - best[1]) / spans[1]
        return (-round(height, 9), *_by_quality(candidate, member, workload, catalog))

    return key


def _tie(candidate: CandidateClass, member: Member) -> Key:
    """Fewer bytes, then the domain's own order, so that the outcome never hangs on how candidates were listed."""
    return (
        member.total_bytes,
        VARIANTS.index(candidate.variant),
        VERSIONS.index(candidate.version),
        *candidate.resolution,
    )
