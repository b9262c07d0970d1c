"""Questions about a budget rather than for a plan: what it carries, what is needed, what differs, how many at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from planner.answers import Carried, Comparison, Needed
from planner.api import Plan, check_top, known_model, request_of
from planner.budgets import budget_of, gpus_of
from planner.domain import Gpu
from planner.planning.comparison import compare_plans
from planner.planning.needs import needed
from planner.planning.reach import carried
from planner.units import check_word, parse_headroom

MAXIMUM_STREAMS = 10_000


def limits(
    *,
    vram: str | int | None = None,
    gpu: str | None = None,
    device: str | int | None = None,
    headroom: str = "auto",
    task: str = "video",
    objects: int | str = 1,
    frames: int | str | None = None,
    frame_size: tuple[int, int] | str | None = None,
    variant: str | None = None,
    version: str | None = None,
    resolution: tuple[int, int] | str | int | None = None,
    precision: str | None = None,
    attention: str | None = None,
    simulate_gpu: str | Path | None = None,
) -> Carried:
    """How far a budget carries: for each variant the most objects and the largest resolutions, and stock's frames.

    Arguments as of plan. Objects are counted at the pinned resolution or the native one, resolutions for the objects
    that are asked for. Raises UsageError as plan does; that nothing fits raises nothing.
    """
    request = request_of(
        task=task, objects=objects, frames=frames, frame_size=frame_size, variant=variant, version=version,
        resolution=resolution, precision=precision, attention=attention,
    )  # fmt: skip
    budget, warnings = budget_of(vram, gpu, device, parse_headroom(headroom), gpus_of(simulate_gpu))
    model = known_model().on(budget.gpu.name if budget.gpu else None)
    return carried(request, budget, model, warnings)


def need(
    *,
    headroom: str = "auto",
    runtime: str = "own",
    task: str = "video",
    objects: int | str = 1,
    frames: int | str | None = None,
    frame_size: tuple[int, int] | str | None = None,
    variant: str | None = None,
    version: str | None = None,
    resolution: tuple[int, int] | str | int | None = None,
    precision: str | None = None,
    attention: str | None = None,
    top: int = 5,
) -> Needed:
    """The smallest budgets for a request, and the cards known by name that have them.

    headroom is held back of the budget and counted in. runtime: "own", which runs plans, or "stock", the predictors
    of the sam2 package. top: how many groups of cards to list; none of them is looked up for 0, which saves the time
    that reading their names takes. Raises UsageError as plan does, and for a stock clip without end, which no budget
    is enough for.
    """
    check_word(runtime, "runtime", ("own", "stock"))
    check_top(top)
    request = request_of(
        task=task, objects=objects, frames=frames, frame_size=frame_size, variant=variant, version=version,
        resolution=resolution, precision=precision, attention=attention,
    )  # fmt: skip
    return needed(request, parse_headroom(headroom), runtime, known_model().on(None), _known_cards(top), top)


def _known_cards(top: int) -> Sequence[Gpu]:
    """The cards known by name; reading them takes some 0.2 s."""
    if not top:
        return ()
    from planner.catalog.gpus import known_gpus

    return known_gpus()


def compare(first: Plan, second: Plan) -> Comparison:
    """What differs between two plans: request, budget, decision, bytes by component, limits."""
    return compare_plans(first, second)
