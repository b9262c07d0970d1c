"""How far a budget carries: the most objects and the largest resolutions of each variant, and the stock predictor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from planner.memory_model import MemoryModel
from planner.memory_model.terms import WIDTH_OF
from planner.nouns.answers import Carried, Reach
from planner.nouns.request import Budget, Request
from planner.nouns.run import NATIVE, Configuration, Workload
from planner.nouns.words import VARIANTS, VERSIONS, WIDTHS, Runtime
from planner.planning.candidates import CandidateClass, candidate_classes
from planner.planning.choice_limits import SMALLEST_STEPS, Span, how_short, objects_of, scaled
from planner.planning.others import others
from planner.planning.ranking import PRECISION_RANK
from planner.planning.stock import stock
from planner.text.units import format_resolution

SQUARE = (1, 1)

Reasons = dict[str, str]


def carried(
    request: Request,
    budget: Budget,
    model: MemoryModel,
    warnings: Sequence[str] = (),
    runtimes: Sequence[Runtime] = (),
) -> Carried:
    """What the budget carries of the request, for each variant that its pins leave open; runtimes: beside ours."""
    variants = (request.pins.variant,) if request.pins.variant else VARIANTS
    requests = [replace(request, pins=replace(request.pins, variant=variant)) for variant in variants]
    endless = replace(request.workload, frames=None if request.workload.task == "video" else 1)
    return Carried(
        request=request,
        budget=budget,
        reach=tuple(
            _reach(candidate, request.workload, budget, model)
            for one in requests
            for candidate in _shown_classes(one, budget, model)
        ),
        stock=tuple(stock(replace(one, workload=endless), budget, None, model) for one in requests),
        others=tuple(
            other for one in requests for other in others(runtimes, replace(one, workload=endless), budget, None, model)
        ),
        warnings=tuple(warnings),
    )


def _shown_classes(request: Request, budget: Budget, model: MemoryModel) -> list[CandidateClass]:
    """Of a variant the first precision in order of preference that the GPU runs, and that of the narrowest weights."""
    pins = request.pins
    pins = replace(pins, version=pins.version or VERSIONS[0], resolution=pins.resolution or NATIVE)
    classes = candidate_classes(replace(request, pins=pins), budget, model)
    classes.sort(key=lambda candidate: PRECISION_RANK[candidate.precision])
    runnable = [candidate for candidate in classes if not candidate.unsupported]
    if not runnable:
        return classes[:1]
    # Not the one that takes least at this resolution, which may be another at the next.
    narrowest = min(runnable, key=lambda candidate: WIDTHS.index(WIDTH_OF[candidate.precision]))
    return [runnable[0]] if narrowest is runnable[0] else [runnable[0], narrowest]


def _reach(candidate: CandidateClass, workload: Workload, budget: Budget, model: MemoryModel) -> Reach:
    configuration = candidate.configuration(candidate.members[0])
    if candidate.unsupported:
        return _unsupported(configuration, budget, candidate.unsupported)
    span = Span(candidate.variant, (candidate.precision,), candidate.attention, workload, budget, model)
    reasons: Reasons = {}
    most, sure, on_gpu = objects_of(span, configuration.resolution, reasons)
    square, sure_square = _resolution(span, SQUARE, "square", reasons)
    shaped, sure_shaped = _resolution(span, workload.frame_size, "shaped", reasons)
    without_end = span._replace(workload=replace(workload, frames=None))
    endless = workload.task == "video" and without_end.fits(configuration.resolution)
    if workload.task != "video":
        reasons["max_frames"] = f"the task {workload.task} has no frames"
    elif square is None:
        reasons["max_frames"] = reasons["max_square"]
    elif not endless:
        reasons["max_frames"] = f"only short clips fit at {format_resolution(configuration.resolution)}"
    reached = {"max_objects": (configuration.resolution, most) if most else None}
    reached["max_square"] = (square, workload.objects) if square else None
    reached["max_shaped"] = (shaped, workload.objects) if shaped else None
    return Reach(
        configuration=configuration,
        need_bytes=candidate.smallest().least_bytes,
        total_bytes=candidate.smallest().total_bytes,
        upper_bytes=candidate.surest().upper_bytes,
        limit_bytes=budget.usable_bytes,
        max_objects=most,
        sure_objects=sure,
        gpu_objects=on_gpu,
        host_bytes=model.host_bytes(configuration, workload),
        unlimited_frames=endless,
        max_square=square,
        sure_square=sure_square,
        max_shaped=shaped,
        sure_shaped=sure_shaped,
        extrapolated=tuple(name for name, at in reached.items() if at and _extrapolated(span, *at)),
        reasons=reasons,
    )


def _extrapolated(span: Span, resolution: tuple[int, int], objects: int) -> bool:
    """Whether the estimate goes beyond what was measured or simulated."""
    configuration = Configuration(
        variant=span.variant,
        version=VERSIONS[0],
        resolution=resolution,
        precision=span.precisions[0],
        attention=span.attention,
    )
    workload = replace(span.workload, objects=objects)
    return span.model.estimate(configuration, workload, span.budget.capability).extrapolated


def _unsupported(configuration: Configuration, budget: Budget, reason: str) -> Reach:
    """All figures of a class that the GPU cannot run."""
    names = ("need_bytes", "total_bytes", "host_bytes", "max_objects", "sure_objects", "gpu_objects", "max_frames")
    sizes = ("max_square", "sure_square", "max_shaped", "sure_shaped")
    return Reach(
        configuration=configuration,
        need_bytes=None,
        total_bytes=None,
        upper_bytes=None,
        limit_bytes=budget.usable_bytes,
        max_objects=None,
        sure_objects=None,
        gpu_objects=None,
        host_bytes=None,
        unlimited_frames=False,
        max_square=None,
        sure_square=None,
        max_shaped=None,
        sure_shaped=None,
        extrapolated=(),
        reasons=dict.fromkeys((*names, *sizes), reason),
    )


def _resolution(
    span: Span, shape: tuple[int, int], name: str, reasons: Reasons
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """The largest resolution of a shape, and the largest that surely fits."""
    most, sure = span.largest_resolution(shape)
    usable, ways = span.budget.usable_bytes, list(chain.from_iterable(span.ways(scaled(shape, SMALLEST_STEPS))))
    if most is None:
        short = how_short((way.least_bytes for way in ways), usable)
        reasons[f"max_{name}"] = f"at the smallest resolution it {short}"
    if sure is None:
        short = how_short((way.upper_bytes for way in ways), usable)
        reasons[f"sure_{name}"] = f"the bound at the smallest resolution {short}"
    return most, sure
