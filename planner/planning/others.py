"""What transformers or Ultralytics would need for the same request, for those who asked, and where they run out.

Each as its guides have it: transformers with bfloat16 weights, given the whole clip and prepared on the GPU, and beside
that streaming; Ultralytics with float32 weights and its memory pruned. Like stock they run out where the whole budget
is used up, all cache given back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace

from planner.catalog.capability import why_unsupported
from planner.catalog.runtimes import check_run
from planner.errors import UsageError
from planner.memory_model import MemoryModel
from planner.memory_model.terms import Totals, quantities
from planner.nouns.elsewhere import Elsewhere
from planner.nouns.plan import Stock
from planner.nouns.request import Budget, Request
from planner.nouns.run import NATIVE, Configuration, Run, Transformers, Workload, bounds_memory
from planner.nouns.words import OTHER_RUNTIMES, Precision, Runtime
from planner.planning.choice_limits import largest_if_any
from planner.planning.stock import MOST_FRAMES, judged, stock_batch
from planner.text.spelling import check_word
from planner.text.units import format_size

AS_GUIDES_HAVE_IT: dict[Runtime, tuple[Precision, ...]] = {
    "transformers": ("bfloat16", "float16"),
    "ultralytics": ("float32",),
}
"""The precision of each, and what stands in for it where the GPU has none."""
WHOLE, STREAMING = Transformers(), Transformers(streaming=True)


def others(
    runtimes: Sequence[Runtime], request: Request, budget: Budget, chosen: Configuration | None, model: MemoryModel
) -> tuple[Elsewhere, ...]:
    """One for each way in which each of the runtimes is called. Raises UsageError for a runtime that is none of them.

    chosen: what the plan has chosen, whose variant, version and resolution they take where they can.
    """
    for runtime in runtimes:
        check_word(runtime, "runtime to compare with", OTHER_RUNTIMES)
    found = (_ways(runtime, request, budget, chosen, model) for runtime in dict.fromkeys(runtimes))
    return tuple(one for several in found for one in several)


def _ways(
    runtime: Runtime, request: Request, budget: Budget, chosen: Configuration | None, model: MemoryModel
) -> Iterator[Elsewhere]:
    configuration = configuration_on(runtime, request, chosen, budget.capability)
    several = runtime == "transformers" and request.workload.task == "video"
    for ways in (WHOLE, STREAMING) if several else (WHOLE,):
        run = Run(runtime=runtime, configuration=configuration, workload=request.workload, transformers=ways)
        found = _found(run, budget, model)
        values = {field.name: getattr(found, field.name) for field in fields(Stock)}
        yield Elsewhere(**values, runtime=runtime, streaming=ways.streaming)


def configuration_on(
    runtime: Runtime, request: Request, chosen: Configuration | None, capability: tuple[int, int] | None
) -> Configuration:
    """What a runtime is asked to run: what is pinned or chosen, and for the rest what its guides have."""
    pins, workload = request.pins, request.workload
    able = [one for one in AS_GUIDES_HAVE_IT[runtime] if why_unsupported(one, "auto", capability) is None]
    square = chosen is not None and chosen.resolution[0] == chosen.resolution[1]
    usual = chosen.resolution if chosen and square and runtime == "ultralytics" else NATIVE
    return Configuration(
        variant=pins.variant or (chosen.variant if chosen else "tiny"),
        version=pins.version or (chosen.version if chosen else "2.1"),
        resolution=pins.resolution or usual,
        precision=pins.precision or (able or AS_GUIDES_HAVE_IT[runtime])[0],
        attention=pins.attention or "auto",
        object_batch=batch_on(runtime, workload),
        bounded_memory_bank=bounds_memory(runtime),
    )


def batch_on(runtime: Runtime, workload: Workload) -> int:
    """Objects, or points, that a runtime other than ours takes in one pass."""
    if runtime == "stock" or workload.task == "automask":
        return stock_batch(workload)
    return workload.objects if runtime == "ultralytics" else 1


def _found(run: Run, budget: Budget, model: MemoryModel) -> Stock:
    endless = run.workload.task == "video" and run.workload.frames is None and run.runtime == "transformers"
    shortest = _of_length(run, 1) if endless else run
    try:
        check_run(shortest)
        model.totals_of(shortest, budget.capability)
    except UsageError as error:
        return _impossible(run.configuration, str(error))
    if reason := why_unsupported(run.configuration.precision, "auto", budget.capability):
        return _impossible(run.configuration, reason)
    totals = _totals_of(run, budget, model)
    if endless:
        return _endless(run, budget, totals)
    found = judged(run.configuration, totals(run.workload.frames), budget)
    if not found.fits:
        first, reason = _where_it_stops(run, budget, totals)
        found = replace(found, first_frame_out_of_memory=first, reason=reason)
    return _on_host(found, run, budget, model)


def _impossible(configuration: Configuration, reason: str) -> Stock:
    return Stock(
        configuration=configuration, total_bytes=None, fits=False, first_frame_out_of_memory=None, reason=reason
    )


def _of_length(run: Run, frames: int | None) -> Run:
    return replace(run, workload=replace(run.workload, frames=frames))


def _totals_of(run: Run, budget: Budget, model: MemoryModel) -> Callable[[int | None], Totals]:
    return lambda frames: model.totals_of(_of_length(run, frames), budget.capability)


def _endless(run: Run, budget: Budget, totals: Callable[[int | None], Totals]) -> Stock:
    """The shortest clip that no longer fits."""
    longest = _longest(budget, totals, MOST_FRAMES)
    kept = "it keeps all frames and state" if run.transformers.streaming else "it prepares the whole clip at once"
    reason = f"{kept}: a clip of {longest + 1} frames no longer fits" if longest else "it does not fit with one frame"
    return replace(_impossible(run.configuration, reason), first_frame_out_of_memory=longest + 1)


def _longest(budget: Budget, totals: Callable[[int | None], Totals], most: int) -> int:
    return largest_if_any(lambda frames: bool(totals(frames).least <= budget.total_bytes), 1, most) or 0


def _where_it_stops(run: Run, budget: Budget, totals: Callable[[int | None], Totals]) -> tuple[int | None, str]:
    """The frame (from 1) at work when memory runs out, if any, and why."""
    frames = run.workload.frames
    if run.workload.task != "video" or run.runtime == "ultralytics" or frames is None:
        return None, "it runs out of memory at its peak"
    longest = _longest(budget, totals, frames)
    if run.transformers.streaming:
        return longest + 1, "it runs out while it tracks, frames and state growing"
    q = quantities(run.configuration, run.workload, run.runtime, run.transformers)
    per_step = run.workload.objects * q.kept_bytes
    needed = totals(frames)
    # A clip whose first frame alone is too much with all its frames there fails before any is tracked.
    stops = frames - (needed.least - budget.total_bytes) / per_step
    if stops < 1:
        most = f"at most {longest} frames can be" if longest else "not even one frame can be"
        return None, f"it runs out while it prepares the clip, all of it at once; {most}"
    return int(stops) + 1, "it runs out while it tracks, its state growing"


def _on_host(found: Stock, run: Run, budget: Budget, model: MemoryModel) -> Stock:
    from planner.memory_model.host import host_components

    parts = host_components(run.configuration, run.workload, run.runtime, model.catalog, transformers=run.transformers)
    held = None if parts is None else sum(part.bytes for part in parts)
    if found.fits and held is not None and budget.host_bytes is not None and held > budget.host_bytes:
        reason = f"the host would hold {format_size(held)}, more than its {format_size(budget.host_bytes)}"
        return replace(found, host_bytes=held, fits=False, tight=False, reason=reason)
    return replace(found, host_bytes=held)
