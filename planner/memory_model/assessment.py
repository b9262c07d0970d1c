"""How far the memory model is off: on rows it was fitted to, and on rows that it had not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import mean, median

import numpy as np
from scipy.stats import beta

from planner.catalog import Catalog
from planner.catalog.gpus import find_gpu
from planner.memory_model.estimator import MemoryModel
from planner.memory_model.fit import fit_laws
from planner.memory_model.laws import Coefficients
from planner.memory_model.rows import Row
from planner.nouns.words import PRECISIONS, VARIANTS
from planner.profiles.public import PublicRow, read_public_rows
from planner.profiles.rehearsed import HELD_OUT

CARDS_GB = (2, 3, 4, 6, 8, 12, 16, 24, 48, 80)
"""Sizes on which verdicts are judged, 10^9 bytes."""
CONFIDENCE = 0.95
CLOSE = 0.02
"""Relative: an error that decides hardly anything."""
CARDS = {
    (7, 5): "Tesla T4", (8, 0): "A100 PCIe 40 GB", (8, 6): "GeForce RTX 3090", (8, 9): "GeForce RTX 4090",
    (9, 0): "H100 SXM5 80 GB", (10, 0): "B200", (12, 0): "GeForce RTX 5090",
}  # fmt: skip
"""What is named where a row is judged as on a GPU with a name: the context is that card's."""
LOADED_WEIGHTS = 1.2
"""accelerate's rule of thumb: the weights and a fifth (its guide "Model memory estimator")."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One row with what was predicted for it, in bytes of the process."""

    row: Row
    truth: int
    predicted: int
    upper: int | None = None

    @property
    def error(self) -> float:
        """Signed and relative: positive is too much."""
        return self.predicted / self.truth - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a set of judged rows says."""

    rows: int
    median_error: float
    """Median of the unsigned errors."""
    p95_error: float
    within: float
    """Share of the rows with an error of at most CLOSE."""
    worst_under_bytes: int
    """How far the worst prediction lies below the truth; 0 where none does."""
    worst_under: float
    """The same relative to the truth, 0 or negative; not always of the same row."""
    covered: int | None
    """Rows whose truth lies below the upper bound; None where there is no bound."""
    coverage: tuple[float, float] | None
    """Clopper-Pearson interval of the share that is covered, 95 %."""
    over_provision: float | None
    """Median of upper bound / truth - 1."""
    failing: float
    """Share of estimates that fail as xMem (Middleware 2025) defines it, over rows and cards: the verdict for the
    card is wrong, or a run that is capped at the estimate runs out. The estimate is the upper bound where there is one.
    """
    conserved_bytes: int
    """Memory conservation potential, mean over rows and cards: what a scheduler that caps each run at the estimate
    has left of the card; the card's size is lost where the estimate fails."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that were held out together."""

    by: str
    name: str
    truth: str
    """measured, published or rehearsed: never mixed."""
    score: Score | None
    """None where nothing can be predicted without the group; `reason` says why."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Assessment:
    """Every way of holding out, and other estimators on the same rows."""

    coefficients: Coefficients
    public: tuple[PublicRow, ...]
    """What others measured on real GPUs, beside the simulator."""
    whole: tuple[Group, ...]
    """By runtime and task, rows that were drawn at random and fitted to by nothing, on a GPU with a name."""
    unnamed: tuple[Group, ...]
    """The same rows where nobody says which GPU it is."""
    allocated: tuple[Group, ...]
    """The same for allocated bytes."""
    groups: tuple[Group, ...]
    """Each group predicted by laws that were fitted without it."""
    others: tuple[tuple[str, str, Score], ...]
    """(estimator, runtime and task, score) on the rows of `whole`."""
    published: tuple[tuple[Judged, Judged], ...]
    """Each published row: as fitted, and by a fit without it."""


def assess(rows: Sequence[Row], coefficients: Coefficients, catalog: Catalog) -> Assessment:
    """Judge coefficients on rows that they were not made from. Refits the laws some fifteen times: half a minute."""
    held_out = [row for row in rows if row.use == HELD_OUT]
    fitted = [row for row in rows if row.campaign and row.use != HELD_OUT]
    model = MemoryModel(coefficients, catalog)
    on = {capability: model.on(name) for capability, name in CARDS.items()}
    named = [_judge(row, on[row.capability or (8, 6)], row.capability) for row in held_out]
    # A budget of no GPU in particular: as large as the memory of that card.
    sizes = {capability: find_gpu(name).gpu.total_bytes for capability, name in CARDS.items()}
    under = {capability: model.on(None, size) for capability, size in sizes.items()}
    unnamed = [_judge(row, under[row.capability or (8, 6)], None) for row in held_out]
    measured = [
        _judge(row, model.on(row.gpu), row.capability)
        for row in rows
        if row.kind == "measured" and row.usage.reserved_bytes
    ]
    return Assessment(
        coefficients=coefficients,
        public=tuple(read_public_rows()),
        whole=tuple(_whole(named, "rehearsed") + _whole(measured, "measured")),
        unnamed=tuple(_whole(unnamed, "rehearsed")),
        allocated=tuple(_whole([_judge_allocated(row, model) for row in held_out], "rehearsed")),
        groups=tuple(_held_out(fitted, coefficients, catalog)),
        others=tuple(_others(named, catalog)),
        published=tuple(_published(rows, model)),
    )


def score(judged: Sequence[Judged]) -> Score:
    """The score of at least one row."""
    errors = [abs(one.error) for one in judged]
    bounds = [one for one in judged if one.upper is not None]
    covered = sum(one.truth <= (one.upper or 0) for one in bounds)
    return Score(
        rows=len(judged),
        median_error=median(errors),
        p95_error=float(np.quantile(errors, 0.95)),
        within=mean(error <= CLOSE for error in errors),
        worst_under_bytes=max(0, *(one.truth - one.predicted for one in judged)),
        worst_under=min(0.0, *(one.error for one in judged)),
        covered=covered if bounds else None,
        coverage=interval(covered, len(bounds)) if bounds else None,
        over_provision=median((one.upper or 0) / one.truth - 1 for one in bounds) if bounds else None,
        failing=mean(_fails(one, card) for one in judged for card in CARDS_GB),
        conserved_bytes=round(mean(_conserved(one, card * 10**9) for one in judged for card in CARDS_GB)),
    )


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Clopper-Pearson: the shares that so many hits do not contradict."""
    spare = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(spare, hits, trials - hits + 1)) if hits else 0.0
    return low, float(beta.ppf(1 - spare, hits + 1, trials - hits)) if hits < trials else 1.0


def _estimate(one: Judged) -> int:
    return one.predicted if one.upper is None else one.upper


def _fails(one: Judged, card: int) -> bool:
    size = card * 10**9
    if (_estimate(one) <= size) != (one.truth <= size):
        return True
    return one.truth <= size and one.truth > _estimate(one)


def _conserved(one: Judged, size: int) -> float:
    if _fails(one, size // 10**9):
        return -size
    return max(0, size - _estimate(one))


def _judge(row: Row, model: MemoryModel, capability: tuple[int, int] | None) -> Judged:
    totals = model.totals_of(row.run, capability)
    # A rehearsal's context is what the model says of the GPU: it would hide what the laws get wrong, or be blamed on
    # them, if another were taken.
    context = row.usage.context_bytes if row.usage.context_bytes is not None else totals.context
    spare = totals.upper - totals.total
    predicted = totals.reserved + context
    return Judged(row, (row.usage.reserved_bytes or 0) + context, predicted, predicted + spare)


def _judge_allocated(row: Row, model: MemoryModel) -> Judged:
    totals = model.totals_of(row.run, row.capability)
    return Judged(row, row.usage.allocated_bytes or 0, totals.allocated)


def _whole(judged: Sequence[Judged], truth: str) -> list[Group]:
    by_group: dict[tuple[str, str], list[Judged]] = {}
    for one in judged:
        by_group.setdefault(one.row.group[:2], []).append(one)
    found = [Group("fold", " ".join(key), truth, score(by_group[key])) for key in sorted(by_group)]
    return [*found, Group("fold", "all", truth, score(judged))] if judged else []


def _bands(edges: Sequence[int], value: int) -> str:
    for low, high in zip((0, *edges), edges, strict=False):
        if value <= high:
            return f"{low + 1:,} to {high:,}" if high > low + 1 else f"{high:,}"
    return f"above {edges[-1]:,}"


def _side(row: Row) -> str:
    """The resolution as the square of as many pixels."""
    return _bands((384, 640, 896, 1152, 1536), ceil(row.quantities.pixels**0.5))


BY: Mapping[str, Callable[[Row], str]] = {
    "variant": lambda row: row.run.configuration.variant,
    "resolution": _side,
    "objects": lambda row: _bands((1, 3, 8), row.run.workload.objects),
}
"""What rows are held out by; the GPU has one value as long as nothing was measured."""


def _held_out(rows: Sequence[Row], coefficients: Coefficients, catalog: Catalog) -> Iterable[Group]:
    # A model beside SAM 2 has laws of its own, at one resolution: without a part of its rows there would be none.
    rows = [row for row in rows if row.run.configuration.variant in VARIANTS]
    for by, group_of in BY.items():
        for name in sorted({group_of(row) for row in rows}, key=_order):
            out = [row for row in rows if group_of(row) == name]
            laws = fit_laws([row for row in rows if group_of(row) != name], catalog)
            model = MemoryModel(replace(coefficients, groups={**laws}), catalog)
            known = [row for row in out if row.group in laws]
            yield Group(by, name, "rehearsed", score([_judge(row, model, row.capability) for row in known]))


def _order(name: str) -> tuple[int, int, str]:
    if name in PRECISIONS:
        return 0, PRECISIONS.index(name), name
    digits = name.removeprefix("above ").split(" ")[0].replace(",", "")
    return int(name.startswith("above")), int(digits) if digits.isdigit() else 10**9, name


def _others(judged: Sequence[Judged], catalog: Catalog) -> Iterable[tuple[str, str, Score]]:
    """Estimators that need no fit, on the same rows; the context counts as known for all of them."""
    keys = sorted({one.row.group[:2] for one in judged})
    for key in keys:
        own = [one for one in judged if one.row.group[:2] == key]
        name = " ".join(key)
        weights = [replace(one, predicted=_loaded(one, catalog), upper=None) for one in own]
        yield "weights x 1.2", name, score(weights)


def _loaded(one: Judged, catalog: Catalog) -> int:
    return round(one.row.weights(catalog) * LOADED_WEIGHTS) + one.truth - (one.row.usage.reserved_bytes or 0)


def _published(rows: Sequence[Row], model: MemoryModel) -> Iterable[tuple[Judged, Judged]]:
    from planner.memory_model.published import RUNTIME, fit_published

    own = [row for row in rows if row.kind == "published" and row.run.runtime == RUNTIME and row.use == "fit"]
    for row in own:
        groups = fit_published([other for other in own if other is not row], model.catalog)
        without = MemoryModel(replace(model.coefficients, groups=groups), model.catalog)
        pair = []
        for one in (model, without):
            totals = one.totals(row.run.configuration, row.run.workload, runtime=RUNTIME)
            truth = row.usage.allocated_bytes if row.usage.allocated_bytes is not None else row.usage.total_bytes or 0
            predicted = totals.allocated if row.usage.allocated_bytes is not None else totals.total
            pair.append(Judged(row, truth, predicted, totals.upper if row.usage.allocated_bytes is None else None))
        yield pair[0], pair[1]
