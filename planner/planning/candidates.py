"""Every configuration that a request leaves open, and its bytes.

Candidates come in classes: one variant, version, resolution and precision, whose members differ in what
costs no accuracy (objects per pass, where the memory bank lies).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import NamedTuple

from planner.catalog.capability import why_unsupported
from planner.memory_model import MemoryModel
from planner.memory_model.terms import WIDTH_OF
from planner.nouns.request import Budget, Pins, Request
from planner.nouns.run import Configuration, Workload
from planner.nouns.words import PRECISIONS, VARIANTS, VERSIONS, WIDTHS, Attention, Precision, Variant, Version, Width
from planner.text.units import RESOLUTION_STEP, format_size

SQUARE_SIDES = (512, 640, 768, 896, 1024, 1280, 1536, 2048)
"""512 to 1024 is what the paper's ablation covers; more is weighed so that it can be explained."""
NON_SQUARE_LONG_SIDES = (640, 768, 896, 1024)
SMALLEST_PIXELS = 512 * 512
"""Fewer pixels have no published accuracy to go by: they are planned only when pinned."""
OBJECTS_OF_A_PASS = (16, 8, 4, 2)
"""About how many objects a pass may take, the most first: sixteen is what the published gain is of (SAM 3.1)."""
POINT_BATCHES = (64, 32, 16, 8, 4, 2, 1)
"""64 is the stock default: points_per_batch of SAM2AutomaticMaskGenerator."""
FLOOR_STEPS = 1.1
"""Relative: what tensors alone take falls by less than this with a larger resolution. Windows are padded, so that those
of 512x512 take 3.6 MB more than those of 416x640 (rehearsed: tiny, video, float16); where a resolution that was run
lies beside one that was not, by 7 % at most in 150 random sweeps over resolutions."""

SURE, SPARE, TIGHT, NOT_AT_ALL = range(4)
"""How surely a member fits, the best first: with its upper bound; by its prediction, with room to spare; only because
the allocator gives its cache back, which takes time; not at all."""


class Member(NamedTuple):
    """One configuration of a class and its bytes."""

    object_batch: int
    offload_state: bool
    least_bytes: int
    """What it completes in: its total where others share the GPU."""
    total_bytes: int
    upper_bytes: int
    floor_bytes: int
    """Tensors and context, below which nothing runs. Unlike the others these fall with pixels, objects, the variant or
    wider weights by less than FLOOR_STEPS: reserved bytes step (tests/test_order.py)."""
    host_bytes: int = 0
    """What the host holds; 0 where nobody asks."""

    def fits(self, usable_bytes: int) -> bool:
        """Whether it completes in so much."""
        return self.least_bytes <= usable_bytes

    def certainty(self, usable_bytes: int) -> int:
        """SURE, SPARE or TIGHT of what fits; NOT_AT_ALL of what does not."""
        if self.upper_bytes <= usable_bytes:
            return SURE
        if self.total_bytes <= usable_bytes:
            return SPARE
        return TIGHT if self.least_bytes <= usable_bytes else NOT_AT_ALL


class CandidateClass(NamedTuple):
    """Configurations of the same accuracy."""

    variant: Variant
    version: Version
    resolution: tuple[int, int]
    precision: Precision
    attention: Attention
    members: tuple[Member, ...]
    """The most preferred first."""
    unsupported: str | None
    """Why the GPU cannot run it, or the host cannot hold it, if so."""
    over_host_bytes: int | None = None
    """What the host would hold of the member that needs least of it, where that is too much."""

    def configuration(self, member: Member) -> Configuration:
        """The member as a Configuration."""
        return Configuration(
            variant=self.variant,
            version=self.version,
            resolution=self.resolution,
            precision=self.precision,
            attention=self.attention,
            object_batch=member.object_batch,
            offload_state=member.offload_state,
        )

    def smallest(self) -> Member:
        """The member that needs least; of equals the one that takes less with room to spare, then the preferred."""
        return min(self.members, key=lambda member: (member.least_bytes, member.total_bytes))

    @property
    def need_bytes(self) -> int | None:
        """The least that it needs, of the GPU or, where that is what lacks, of the host; None: it cannot be run."""
        if self.over_host_bytes is not None:
            return self.over_host_bytes
        return None if self.unsupported else self.smallest().least_bytes

    def best_within(self, usable_bytes: int) -> Member | None:
        """The member that is planned: the most certain, of equals the most preferred; None where none fits."""
        best = min(self.members, key=lambda member: member.certainty(usable_bytes))
        return best if best.fits(usable_bytes) else None

    def surest(self) -> Member:
        """The member whose upper bound is the lowest; of equals the most preferred."""
        return min(self.members, key=lambda member: member.upper_bytes)


def same_choice(one: CandidateClass, other: CandidateClass) -> bool:
    """Whether they differ in nothing but precision and the way of running."""
    return (one.variant, one.version, one.resolution) == (other.variant, other.version, other.resolution)


def resolutions(request: Request) -> list[tuple[int, int]]:
    """The pinned resolution, or squares and those of the picture's own shape."""
    if request.pins.resolution is not None:
        return [request.pins.resolution]
    found = [(side, side) for side in SQUARE_SIDES]
    height, width = request.workload.frame_size
    for long_side in NON_SQUARE_LONG_SIDES:
        shorter = min(height, width) * long_side / max(height, width)
        short_side = max(RESOLUTION_STEP, round(shorter / RESOLUTION_STEP) * RESOLUTION_STEP)
        if short_side != long_side and short_side * long_side >= SMALLEST_PIXELS:
            found.append((short_side, long_side) if height < width else (long_side, short_side))
    return found


def candidate_classes(request: Request, budget: Budget, model: MemoryModel) -> list[CandidateClass]:
    """All classes that the pins leave open, each with its members' bytes."""
    pins = request.pins
    attention = pins.attention or "auto"
    hosted = budget.host_bytes is not None
    known: dict[tuple[Variant, tuple[int, int], Width], tuple[tuple[Member, ...], int | None]] = {}
    classes = []
    for variant, resolution, precision in _open(pins, request):
        # Versions share a shape, and so do the two half precisions: their bytes are worked out once.
        key = (variant, resolution, WIDTH_OF[precision])
        if key not in known:
            asked = (variant, resolution, precision, attention, request.workload, model, budget)
            known[key] = held_by_host(tuple(members(*asked, host=hosted)), budget.host_bytes)
        ways, over = known[key]
        unsupported = why_unsupported(precision, attention, budget.capability) or too_much_for_host(over, budget)
        for version in (pins.version,) if pins.version else VERSIONS:
            classes.append(CandidateClass(variant, version, resolution, precision, attention, ways, unsupported, over))
    return classes


def smallest_need(request: Request, budget: Budget, model: MemoryModel) -> int | None:
    """The least in which anything completes that the pins leave open; None where GPU or host carry nothing of it.

    Needs step with the resolution, so a larger picture may need a little less: what is larger is left out only where
    its tensors alone take more than what was found (Member.floor_bytes).
    """
    least = None
    sizes = sorted(resolutions(request), key=lambda pair: pair[0] * pair[1])
    for variant in (request.pins.variant,) if request.pins.variant else VARIANTS:
        for resolution in sizes:
            ways = _ways_at(variant, resolution, request, budget, model)
            held = [way.least_bytes for way in within_host(ways, budget.host_bytes)]
            least = min(held if least is None else (*held, least), default=None)
            # The host's memory, too, never falls with pixels or the variant.
            if least is None or min(way.floor_bytes for way in ways) >= least * FLOOR_STEPS:
                break
        else:
            continue
        if resolution == sizes[0]:
            break
    return least


def smallest_host_need(request: Request, budget: Budget, model: MemoryModel) -> int | None:
    """The least that the host would hold of what fits the budget of the GPU; None where nothing does."""
    found: list[int] = []
    for variant in (request.pins.variant,) if request.pins.variant else VARIANTS:
        for resolution in sorted(resolutions(request), key=lambda pair: pair[0] * pair[1]):
            ways = _ways_at(variant, resolution, request, budget, model, host=True)
            found += [way.host_bytes for way in ways if way.fits(budget.usable_bytes)]
    return min(found, default=None)


def _ways_at(
    variant: Variant,
    resolution: tuple[int, int],
    request: Request,
    budget: Budget,
    model: MemoryModel,
    host: bool = False,
) -> list[Member]:
    """Every way of running a variant at a resolution in each precision that is open and the GPU runs."""
    attention, hosted = request.pins.attention or "auto", host or budget.host_bytes is not None
    able = [p for p in open_precisions(request.pins) if why_unsupported(p, attention, budget.capability) is None]
    return [
        way
        for precision in one_of_each_width(able)
        for way in members(variant, resolution, precision, attention, request.workload, model, budget, host=hosted)
    ]


def one_of_each_width(precisions: Iterable[Precision]) -> list[Precision]:
    """The first of those that take the same bytes, the widths that take least first."""
    found: dict[Width, Precision] = {}
    for precision in precisions:
        found.setdefault(WIDTH_OF[precision], precision)
    return [found[width] for width in WIDTHS if width in found]


def within_host(ways: Iterable[Member], host_bytes: int | None) -> Iterator[Member]:
    """Those that a host of so many bytes holds; of a host that is not known, all."""
    return (way for way in ways if host_bytes is None or way.host_bytes <= host_bytes)


def held_by_host(ways: tuple[Member, ...], host_bytes: int | None) -> tuple[tuple[Member, ...], int | None]:
    """The members that a host of so many bytes holds, and None; where it holds none, all of them and the least need."""
    if host_bytes is None:
        return ways, None
    held = tuple(within_host(ways, host_bytes))
    return (held, None) if held else (ways, min(way.host_bytes for way in ways))


def too_much_for_host(need_bytes: int | None, budget: Budget) -> str | None:
    """The sentence for what the host cannot hold; None of None."""
    if need_bytes is None or budget.host_bytes is None:
        return None
    short = format_size(need_bytes - budget.host_bytes)
    return f"the host would hold {format_size(need_bytes)}, {short} more than its {format_size(budget.host_bytes)}"


def _open(pins: Pins, request: Request) -> Iterator[tuple[Variant, tuple[int, int], Precision]]:
    for variant in (pins.variant,) if pins.variant else VARIANTS:
        for resolution in resolutions(request):
            for precision in open_precisions(pins):
                yield variant, resolution, precision


def open_precisions(pins: Pins) -> tuple[Precision, ...]:
    """Those open; flash and cuDNN attention run in half precision only."""
    if pins.precision:
        return (pins.precision,)
    return tuple(p for p in PRECISIONS if p != "float32" or pins.attention not in ("flash", "cudnn"))


def members(
    variant: Variant,
    resolution: tuple[int, int],
    precision: Precision,
    attention: Attention,
    workload: Workload,
    model: MemoryModel,
    budget: Budget,
    ways: Sequence[tuple[int, bool]] | None = None,
    host: bool = False,
) -> Iterator[Member]:
    """Each way of running a class, or each of `ways`, with its bytes, the most preferred first.

    host: with those of the host too.
    """
    for batch, offload in member_choices(workload) if ways is None else ways:
        configuration = Configuration(
            variant=variant,
            version=VERSIONS[0],
            resolution=resolution,
            precision=precision,
            attention=attention,
            object_batch=batch,
            offload_state=offload,
        )
        totals = model.totals(configuration, workload, budget.capability)
        held = (model.host_bytes(configuration, workload) or 0) if host else 0
        least = totals.total if budget.shared else totals.least
        floor = totals.allocated + totals.context
        yield Member(batch, offload, least, totals.total, totals.upper, floor, held)


def member_choices(workload: Workload) -> list[tuple[int, bool]]:
    """(object batch, memory bank on the host) of the members, the most preferred first.

    Video: no figure is published for what passes of several objects gain, so one by one, as the stock predictor
    does it, comes first, and is all there is to weigh: a larger pass is never fewer bytes (tests/test_order.py).
    Automatic masks: the stock batch first, then smaller ones.
    """
    if workload.task == "automask":
        return [(batch, False) for batch in POINT_BATCHES]
    return leanest_ways(workload)


def larger_passes(workload: Workload, offload: bool) -> list[tuple[int, bool]]:
    """Ways that take several objects in one pass, the largest first."""
    return [(batch, offload) for batch in batches_of(workload.objects)] if workload.task == "video" else []


def batches_of(objects: int) -> list[int]:
    """Objects of a pass that are offered for so many, the most first: passes are even, and none is of one object.

    Ten objects go in one pass, or in passes of five, four or two: two of five take less memory than one of eight.
    """
    passes = {ceil(objects / most) for most in OBJECTS_OF_A_PASS}
    return sorted({ceil(objects / count) for count in passes} - {1}, reverse=True)


def leanest_ways(workload: Workload) -> list[tuple[int, bool]]:
    """The ways that take least on the GPU, with the memory bank there and on the host.

    A larger pass, or the memory bank on the GPU, is never fewer bytes (tests/test_order.py), so that what none of
    these carries no way carries.
    """
    return [(1, False), (1, True)] if workload.task == "video" else [(1, False)]
