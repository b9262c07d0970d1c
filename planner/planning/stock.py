"""What the stock predictor of the sam2 package would need for the same request, and where it runs out.

Stock is what the README shows: float32 weights under autocast, all frames on the GPU, a memory bank that
keeps everything. It runs out where the whole budget is used up, all cache given back; headroom is our own caution, not
its limit.
"""

from __future__ import annotations

from dataclasses import replace

from planner.catalog.capability import why_unsupported
from planner.catalog.figures import OFFICIAL_PRECISION as OFFICIAL_PRECISION
from planner.memory_model import MemoryModel
from planner.memory_model.arrays import frames as frame_bytes
from planner.memory_model.arrays import stock_state
from planner.memory_model.terms import Totals
from planner.nouns.plan import Stock
from planner.nouns.request import Budget, Request
from planner.nouns.run import NATIVE, Configuration, Workload
from planner.nouns.words import Precision
from planner.planning.choice_limits import largest_if_any
from planner.text.units import format_size

OLDER_PRECISION: Precision = "autocast_float16"
"""In its place on GPUs that have no bfloat16."""
STOCK_POINTS_PER_BATCH = 64
MOST_FRAMES = 10**12
"""More than any budget that is taken holds: a frame at the smallest resolution is 49,152 B."""


def stock(request: Request, budget: Budget, chosen: Configuration | None, model: MemoryModel) -> Stock:
    """The same request on the stock predictor, with the chosen variant and version."""
    workload = request.workload
    configuration = _configuration(request, chosen, budget.capability)
    height, width = configuration.resolution
    impossible = why_unsupported(configuration.precision, configuration.attention, budget.capability)
    if height != width:
        impossible = f"the stock predictor runs square resolutions only, not {height}x{width}"
    if impossible:
        return Stock(
            configuration=configuration, total_bytes=None, fits=False, first_frame_out_of_memory=None, reason=impossible
        )
    if workload.task == "video":
        found = _video(configuration, workload, budget, model)
    else:
        found = judged(configuration, model.totals(configuration, workload, budget.capability), budget)
        if not found.fits:
            found = replace(found, reason="it runs out of memory at its peak")
    return _on_host(found, workload, budget, model)


def judged(configuration: Configuration, totals: Totals, budget: Budget) -> Stock:
    """Whether it completes, and whether it has to give cache back for that."""
    fits, tight = totals.least <= budget.total_bytes, totals.least <= budget.total_bytes < totals.total
    return Stock(
        configuration=configuration,
        total_bytes=int(totals.total),
        least_bytes=int(totals.least),
        fits=bool(fits),
        tight=bool(tight),
        first_frame_out_of_memory=None,
        reason=f"only in {format_size(totals.least)}, giving cache back, which costs time" if tight else "",
    )


def _on_host(found: Stock, workload: Workload, budget: Budget, model: MemoryModel) -> Stock:
    """The same with what the host holds, which may be what does not fit."""
    if workload.frames is None:
        return _endless_on_host(found, workload, budget, model)
    held = model.host_bytes(found.configuration, workload)
    if found.fits and held is not None and budget.host_bytes is not None and held > budget.host_bytes:
        reason = f"the host would hold {format_size(held)}, more than its {format_size(budget.host_bytes)}"
        return replace(found, host_bytes=held, fits=False, tight=False, reason=reason)
    return replace(found, host_bytes=held)


def _endless_on_host(found: Stock, workload: Workload, budget: Budget, model: MemoryModel) -> Stock:
    """The clip that the host no longer holds, where that is shorter than the one that the GPU does not."""
    first, most = found.first_frame_out_of_memory, budget.host_bytes
    if first is None or most is None:
        return found

    def held(frames: int) -> bool:
        return (model.host_bytes(found.configuration, replace(workload, frames=frames)) or 0) <= most

    longest = largest_if_any(held, 1, first) or 0
    if longest + 1 >= first:
        return found
    reason = "the host does not hold it with a single frame"
    if longest:
        reason = f"it loads the whole clip on the host first: a clip of {longest + 1} frames no longer fits there"
    return replace(found, first_frame_out_of_memory=longest + 1, reason=reason)


def _configuration(request: Request, chosen: Configuration | None, capability: tuple[int, int] | None) -> Configuration:
    pins, workload = request.pins, request.workload
    able = why_unsupported(OFFICIAL_PRECISION, "auto", capability) is None
    square = chosen is not None and chosen.resolution[0] == chosen.resolution[1]
    resolution = pins.resolution or (chosen.resolution if chosen and square else NATIVE)
    return Configuration(
        variant=pins.variant or (chosen.variant if chosen else "tiny"),
        version=pins.version or (chosen.version if chosen else "2.1"),
        resolution=resolution,
        precision=pins.precision or (OFFICIAL_PRECISION if able else OLDER_PRECISION),
        attention=pins.attention or "auto",
        object_batch=stock_batch(workload),
        bounded_memory_bank=False,
    )


def stock_batch(workload: Workload) -> int:
    """Objects, or points, that the stock predictor takes in one pass."""
    return {"automask": STOCK_POINTS_PER_BATCH, "image": workload.objects}.get(workload.task, 1)


def _video(configuration: Configuration, workload: Workload, budget: Budget, model: MemoryModel) -> Stock:
    if workload.frames is None:
        first = _first_too_long(configuration, workload, budget, model)
        reason = (
            f"it loads the whole clip and keeps all state: a clip of {first} frames no longer fits"
            if first > 1
            else "it does not fit with a single frame"
        )
        return Stock(
            configuration=configuration, total_bytes=None, fits=False, first_frame_out_of_memory=first, reason=reason
        )
    found = judged(configuration, _totals(configuration, workload, workload.frames, budget, model), budget)
    if found.fits or found.least_bytes is None:
        return found
    first, reason = _where_it_stops(configuration, workload, workload.frames, found.least_bytes, budget, model)
    return replace(found, first_frame_out_of_memory=first, reason=reason)


def _where_it_stops(
    configuration: Configuration, workload: Workload, frames: int, least: int, budget: Budget, model: MemoryModel
) -> tuple[int, str]:
    """The frame (from 1) at work when memory runs out, in loading or in tracking."""
    pixels = configuration.resolution[0] * configuration.resolution[1]
    per_frame = int(frame_bytes(1, pixels))
    empty = model.estimate(configuration, replace(workload, frames=1), budget.capability)
    load = next(phase for phase in empty.phases if phase.name == "load").allocated_bytes
    loadable = (budget.total_bytes - load - empty.context_bytes) // per_frame
    if loadable < frames:
        return max(1, loadable + 1), "it runs out while it loads the clip"
    per_step = workload.objects * stock_state(pixels)
    too_much = least - budget.total_bytes
    return max(1, int(frames - too_much / per_step) + 1), "it runs out while it tracks, its state growing"


def _first_too_long(configuration: Configuration, workload: Workload, budget: Budget, model: MemoryModel) -> int:
    """The shortest clip that runs out, counted up to MOST_FRAMES."""

    def fits(frames: int) -> bool:
        return bool(_totals(configuration, workload, frames, budget, model).least <= budget.total_bytes)

    return (largest_if_any(fits, 1, MOST_FRAMES) or 0) + 1


def _totals(
    configuration: Configuration, workload: Workload, frames: int, budget: Budget, model: MemoryModel
) -> Totals:
    return model.totals(configuration, replace(workload, frames=frames), budget.capability)
