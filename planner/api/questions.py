"""Questions about a budget rather than for a plan: what it carries, what is needed, what differs, how many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path

from planner.api.asking import MAXIMUM_STREAMS, check_top, request_of
from planner.api.budgets import Several, budget_of, budgets_of, gpus_of, torch_of, with_host
from planner.api.plan import provenance_of
from planner.api.plans import Plan, with_files
from planner.api.predict import model_for
from planner.errors import UsageError
from planner.memory_model import MemoryModel
from planner.memory_model.current import known_model
from planner.nouns import answers
from planner.nouns.answers import Beside, Carried, Comparison, Needed
from planner.nouns.plan import Plan as PlainPlan
from planner.nouns.request import Budget, Gpu
from planner.nouns.run import Configuration, Run, Transformers, Workload
from planner.nouns.words import (
    DRIVEN_RUNTIMES,
    PROCESSING_DEVICES,
    Attention,
    PositionTables,
    Precision,
    Preference,
    ProcessingDevice,
    Runtime,
    Task,
    Variant,
    Version,
)
from planner.planning import make_plan
from planner.planning.beside import beside
from planner.planning.budget_limits import carried
from planner.planning.comparison import compare_plans
from planner.planning.needs import needed
from planner.planning.packing import make_packing
from planner.text.spelling import check_word
from planner.text.units import parse_count, parse_headroom


class Packing(answers.Packing):
    """Several streams on the GPUs there are; its plan can be saved, loaded and required like any other."""

    __slots__ = ()
    plan: Plan


def limits(
    *,
    vram: str | int | None = None,
    gpu: str | None = None,
    device: str | int | None = None,
    headroom: str = "auto",
    task: Task = "video",
    objects: int | str = 1,
    frames: int | str | None = None,
    frame_size: tuple[int, int] | str | None = None,
    variant: Variant | None = None,
    version: Version | None = None,
    resolution: tuple[int, int] | str | int | None = None,
    precision: Precision | None = None,
    attention: Attention | None = None,
    simulate_gpu: str | Path | None = None,
    host_memory: str | int | None = None,
    runtimes: Sequence[Runtime] = (),
) -> Carried:
    """How far a budget reaches: for each variant the most objects and the largest resolutions, and stock's last frame.

    Arguments are those of plan. Objects are counted at the pinned resolution, else at the native one; resolutions are
    for the number of objects in the request. runtimes: "transformers", "ultralytics" or both: the last frame on these,
    too. Raises UsageError as plan does; that nothing fits raises nothing.

    Example:
        for reach in planner.limits(vram="6GB", variant="large").reach:
            print(reach.configuration.precision, reach.max_objects, reach.max_square)
    """
    request = request_of(
        task=task, objects=objects, frames=frames, frame_size=frame_size, variant=variant, version=version,
        resolution=resolution, precision=precision, attention=attention,
    )  # fmt: skip
    budget, warnings = budget_of(vram, gpu, device, parse_headroom(headroom), gpus_of(simulate_gpu, vram, gpu))
    budget = with_host(budget, host_memory, simulate_gpu)
    model = known_model().on(budget.gpu, budget.total_bytes)
    with torch_of(simulate_gpu):
        return carried(request, budget, model, warnings, runtimes)


def need(
    *,
    headroom: str = "auto",
    runtime: Runtime = "own",
    task: Task = "video",
    objects: int | str = 1,
    frames: int | str | None = None,
    frame_size: tuple[int, int] | str | None = None,
    variant: Variant | None = None,
    version: Version | None = None,
    resolution: tuple[int, int] | str | int | None = None,
    precision: Precision | None = None,
    attention: Attention | None = None,
    top: int = 5,
    streaming: bool = False,
    processing_device: ProcessingDevice = "cuda",
) -> Needed:
    """The smallest budgets for a request, and the cards known by name that have them.

    headroom: held back of the budget, and counted in.
    runtime: "own", which runs plans; "stock", the predictors of the sam2 package, "transformers" or "ultralytics", for
        which no headroom is held back.
    streaming, processing_device: of transformers, as in predict.
    top: how many sizes of cards to list; 0 looks none up, which saves the time of reading their names.

    The other arguments are those of plan. Raises UsageError as plan does, and for a stock clip without end, for which
    no budget is enough.

    Example:
        smallest = planner.need(variant="large", objects=50, top=0).needs[0]
        print(smallest.budget_bytes, smallest.sure_budget_bytes)
    """
    check_word(runtime, "runtime", DRIVEN_RUNTIMES)
    check_top(top)
    request = request_of(
        task=task, objects=objects, frames=frames, frame_size=frame_size, variant=variant, version=version,
        resolution=resolution, precision=precision, attention=attention,
    )  # fmt: skip
    check_word(processing_device, "device", PROCESSING_DEVICES)
    ways = Transformers(streaming=streaming, processing_device=processing_device)
    return needed(request, parse_headroom(headroom), runtime, known_model().on(None), _known_cards(top), top, ways)


def runtimes(
    configuration: Configuration,
    workload: Workload,
    gpu: str | None = None,
    vram: str | int | None = None,
    torch: str | None = None,
    position_tables: PositionTables = "built",
    other: Run | None = None,
) -> tuple[Beside, ...]:
    """What one configuration takes on our runtime and on stock's, and what was published of it; torch as of predict.

    other: the same on transformers or Ultralytics, and how that is called.
    """
    from planner.profiles import load_folder
    from planner.text.locations import profiles_folder

    card, model = model_for(gpu, vram, torch, position_tables)
    published = load_folder(profiles_folder() / "published")
    return beside(configuration, workload, model, card.capability if card else None, published, other)


def _known_cards(top: int) -> Sequence[Gpu]:
    """The cards known by name; reading them takes some 0.2 s."""
    if not top:
        return ()
    from planner.catalog.gpus import known_gpus

    return known_gpus()


def compare(first: Plan, second: Plan) -> Comparison:
    """What differs between two plans: request, budget, decision, bytes by component, limits.

    Example:
        comparison = planner.compare(plan, planner.plan(task="video", objects=10, vram="8GB"))
        print(comparison.equal, [difference.name for difference in comparison.differences])
    """
    return compare_plans(first, second)


def pack(
    *,
    gpus: int | str | None = None,
    streams: int | str | None = None,
    vram: Several | None = None,
    gpu: Several | None = None,
    device: Several | None = None,
    headroom: str = "auto",
    task: Task = "video",
    objects: int | str = 1,
    frames: int | str | None = None,
    frame_size: tuple[int, int] | str | None = None,
    variant: Variant | None = None,
    version: Version | None = None,
    resolution: tuple[int, int] | str | int | None = None,
    precision: Precision | None = None,
    attention: Attention | None = None,
    prefer: Preference = "quality",
    top: int = 6,
    strict: bool = False,
    explain: bool = False,
    simulate_gpu: str | Path | None = None,
    host_memory: str | int | None = None,
    torch: str | None = None,
    shared: bool = False,
) -> Packing:
    """Several independent streams of one request, each a process, packed onto one or more GPUs.

    gpus: how many GPUs.
    streams: how many streams; by default one for each GPU.
    vram, gpu, device: as in plan; one value for each GPU (a list, or "8GB,24GB"), or one for all. With none of them the
        GPUs of this machine are taken.
    host_memory: for all streams together; each has an equal share of it.
    shared: not a process for each stream, but one for each GPU, which tracks an equal part of the streams at once: the
        weights and the context once. Packing.streams are these processes, plan.request.workload.streams what each has.

    The other arguments are those of plan, for each stream. Raises UsageError as plan does; that nothing fits raises
    nothing: see Packing.plan.require.

    Example:
        packing = planner.pack(vram=["8GB", "24GB"], streams=6)
        print([(gpu.streams, gpu.process_bytes, gpu.more_streams) for gpu in packing.gpus])
    """
    check_top(top)
    count = None if streams is None else parse_count(streams, "streams")
    if count is not None and count > MAXIMUM_STREAMS:
        raise UsageError(f"{count} streams cannot be planned for.", f"Give a number from 1 to {MAXIMUM_STREAMS:,}.")
    if shared and count is None:
        raise UsageError("How many streams share a process was not said.", "Give --streams.")
    budgets, warnings = budgets_of(vram, gpu, device, gpus, parse_headroom(headroom), gpus_of(simulate_gpu, vram, gpu))
    processes, each = count or len(budgets), 1
    if shared:
        processes = min(processes, len(budgets))
        each = -(-(count or 1) // processes)
    request = request_of(
        task=task, objects=objects, frames=frames, frame_size=frame_size, variant=variant, version=version,
        resolution=resolution, precision=precision, attention=attention, prefer=prefer, streams=each,
    )  # fmt: skip
    budgets = [with_host(budget, host_memory, simulate_gpu) for budget in budgets]

    @cache
    def model_on(card: Gpu | None, size: int | None) -> MemoryModel:
        return known_model().on(card, size, torch=torch)

    def model_of(budget: Budget) -> MemoryModel:
        return model_on(budget.gpu, None if budget.gpu else budget.total_bytes)

    def plan_with(budget: Budget, model: MemoryModel) -> PlainPlan:
        provenance = provenance_of(model, torch)
        return make_plan(request, budget, model, provenance, strict=strict, top=top, explain=explain)

    with torch_of(simulate_gpu, torch, budgets[0].gpu):
        first = model_of(budgets[0])
        warnings += first.releases.notes(first.figures_of)
        made = make_packing(budgets, processes, request, model_of, plan_with, warnings, strict)
    values = {field.name: getattr(made, field.name) for field in fields(made)}
    return Packing(**(values | {"plan": with_files(made.plan)}))
