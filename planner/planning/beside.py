"""One configuration on every runtime: ours, stock's, and what was published of it, for whoever knows one of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from planner.memory_model import MemoryModel
from planner.memory_model.terms import AS_USUAL
from planner.nouns.answers import Beside
from planner.nouns.measurement import Measurement
from planner.nouns.run import Configuration, Run, Transformers, Workload
from planner.nouns.words import OTHER_MODELS, SAM2_RUNTIMES, Runtime
from planner.planning.stock import stock_batch

CACHE_OF_LISTS = "with room to spare its cache grows to a multiple of this, which torch gives back before it runs out"
"""Its lists of kept masks grow pass by pass (planner.memory_model.rows, Row.held)."""

NOT_SAM2 = "it runs SAM 2 only"


def beside(
    configuration: Configuration,
    workload: Workload,
    model: MemoryModel,
    capability: tuple[int, int] | None,
    published: Iterable[Measurement],
    other: Run | None = None,
) -> tuple[Beside, ...]:
    """Own, stock, and each figure of `published` that is of this task, variant and resolution with one object.

    other: the same on transformers or Ultralytics, where that was asked about.

    Precision and version of a published figure may be others than those of the configuration: `note` says them.
    """
    if configuration.variant in OTHER_MODELS and other is not None:
        return *(_unknown(runtime, NOT_SAM2) for runtime in SAM2_RUNTIMES), _of(other, model, capability)
    own = replace(configuration, bounded_memory_bank=True)
    if other is not None and workload.task != "automask":
        own = replace(own, object_batch=1)
    stock = replace(configuration, bounded_memory_bank=False, object_batch=stock_batch(workload))
    found = [_predicted("own", own, workload, model, capability)]
    reason = _why_not_stock(configuration, workload)
    found.append(_unknown("stock", reason) if reason else _predicted("stock", stock, workload, model, capability))
    if other is not None:
        found.append(_of(other, model, capability))
    return (*found, *_published(configuration, workload, published))


def _of(run: Run, model: MemoryModel, capability: tuple[int, int] | None) -> Beside:
    return _predicted(run.runtime, run.configuration, run.workload, model, capability, run.transformers)


def _why_not_stock(configuration: Configuration, workload: Workload) -> str | None:
    if configuration.resolution[0] != configuration.resolution[1]:
        return "it runs square resolutions only"
    if workload.task == "video" and workload.frames is None:
        return "it keeps every frame, so a clip without end has no peak: give --frames"
    return None


def _predicted(
    runtime: Runtime,
    configuration: Configuration,
    workload: Workload,
    model: MemoryModel,
    capability: tuple[int, int] | None,
    transformers: Transformers = AS_USUAL,
) -> Beside:
    estimate = model.estimate(configuration, workload, capability, runtime, transformers)
    return Beside(
        runtime=runtime,
        allocated_bytes=estimate.allocated_bytes,
        reserved_bytes=estimate.reserved_bytes,
        total_bytes=estimate.total_bytes,
        least_bytes=estimate.least_bytes,
        upper_bytes=estimate.upper_bytes,
        host_bytes=estimate.host_bytes,
        origin="predicted",
        note=CACHE_OF_LISTS if (runtime, workload.task) == ("stock", "automask") else None,
    )


def _unknown(runtime: Runtime, reason: str) -> Beside:
    return Beside(
        runtime=runtime,
        allocated_bytes=None,
        reserved_bytes=None,
        total_bytes=None,
        least_bytes=None,
        upper_bytes=None,
        host_bytes=None,
        origin="predicted",
        note=reason,
    )


def _published(configuration: Configuration, workload: Workload, published: Iterable[Measurement]) -> Iterator[Beside]:
    for one in published:
        if one.runtime is None or workload.objects != 1 or one.objects != 1:
            continue
        asked = workload.task, configuration.variant, configuration.resolution
        if (one.task, one.variant, one.resolution) != asked:
            continue
        peaks = {figure.metric or figure.read_as: figure.bytes for figure in one.figures if figure.of == "peak"}
        read = [figure.read_as for figure in one.figures if figure.metric is None and figure.of == "peak"]
        note = f"a re-implementation, SAM {one.version} in {one.precision}; {one.url}"
        yield Beside(
            runtime=one.runtime,
            allocated_bytes=peaks.get("allocated"),
            reserved_bytes=peaks.get("reserved"),
            total_bytes=peaks.get("total"),
            least_bytes=None,
            upper_bytes=None,
            host_bytes=None,
            origin="published",
            note=f"{note} (read as {read[0]}: the source does not say)" if read else note,
        )
