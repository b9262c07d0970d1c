"""All that is known, made into one set of coefficients: laws, margins from rows left out, corrections by GPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from zlib import crc32

from planner.catalog import Catalog
from planner.memory_model.corrections import corrections_of
from planner.memory_model.curves import rounded
from planner.memory_model.estimator import MemoryModel
from planner.memory_model.fitting import LEADING, fit_groups
from planner.memory_model.laws import (
    KINDS,
    OTHER,
    USUAL,
    Coefficients,
    Group,
    Key,
    Margin,
    conformal_rank,
)
from planner.memory_model.published import RUNTIME, fit_published, published_shortfall
from planner.memory_model.rows import Row
from planner.memory_model.widths import ordered_by_width
from planner.nouns.run import grows_segments
from planner.nouns.words import Task, Width
from planner.profiles.rehearsed import DRAWN, HELD_OUT

FOLDS = 5
CLOSE = 1e-5
"""How closely a margin is sought."""
BEYOND_FROM_PIXELS = 1024 * 1024
"""More pixels than this are held out to see how far a law carries beyond what it was fitted to."""


def fit(
    rows: Sequence[Row],
    catalog: Catalog,
    profiles: Sequence[str],
    name: str,
    versions: Mapping[str, str],
) -> Coefficients:
    """Coefficients from all rows. Raises PlannerError where a group has no row or too few."""
    rehearsed = [row for row in rows if row.campaign and row.use != HELD_OUT]
    published = [row for row in rows if row.kind == "published" and row.run.runtime == RUNTIME and row.use == "fit"]
    groups = fit_laws(rehearsed, catalog)
    groups |= fit_published(published, catalog)
    draft = Coefficients(
        groups=groups,
        margins={(*key[:2], kind): Margin(ratio=0.0, rows=0) for key in groups for kind in KINDS},
        least=_least(rows, groups),
        beyond=0.0,
        corrections=(),
        profiles=tuple(profiles),
        memory_model=name,
        versions=dict(versions),
    )
    draft = replace(draft, margins=_margins(draft, rehearsed, published, catalog))
    draft = replace(draft, beyond=_beyond(draft, rehearsed, catalog))
    return replace(draft, corrections=tuple(corrections_of(rows, MemoryModel(draft, catalog))))


def fit_laws(rows: Iterable[Row], catalog: Catalog) -> dict[Key, Group]:
    """The groups of rows that were rehearsed."""
    by_width: dict[tuple[str, Task, Width], dict[Key, list[Row]]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        by_width.setdefault(row.group[:3], {}).setdefault(row.group, []).append(row)
    groups: dict[Key, Group] = {}
    for key, found in sorted(by_width.items()):  # autocast, of which most is known, is the first of the widths
        groups |= fit_groups(found, catalog, groups.get((key[0], key[1], "autocast", LEADING)))
    return dict(sorted(ordered_by_width(groups, catalog).items()))


def shortfall(row: Row, model: MemoryModel) -> float:
    """The smallest margin whose bound covers the reserved bytes of a row; 0 or less where the prediction does."""
    truth = row.usage.reserved_bytes or 0
    if not grows_segments(row.run.runtime):
        return float(truth / model.totals_of(row.run, row.capability).reserved - 1)
    # In pages it is a staircase.
    low, high = 0.0, 0.0
    while model.reserved_if(row.run, row.capability, high) < truth:
        low, high = high, max(2 * high, 0.01)
    while high - low > CLOSE:
        middle = (low + high) / 2
        covers = model.reserved_if(row.run, row.capability, middle) >= truth
        low, high = (low, middle) if covers else (middle, high)
    return high


def out_of_fold(rows: Sequence[Row], coefficients: Coefficients, catalog: Catalog) -> Iterator[tuple[Row, MemoryModel]]:
    """Each row drawn at random, with a model that was fitted without it and the rest of its fold.

    What was laid out for the fit is in every fit: without its corners a law would be asked to go beyond them.
    Folds are drawn by the rows' names.
    """
    folds: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        if row.use == DRAWN:
            folds.setdefault(crc32(row.id.encode()) % FOLDS, []).append(row)
    for fold in folds.values():
        out = {row.id for row in fold}
        laws = fit_laws([row for row in rows if row.id not in out], catalog)
        model = MemoryModel(replace(coefficients, groups={**coefficients.groups, **laws}), catalog)
        yield from ((row, model) for row in fold)


def _least(rows: Sequence[Row], groups: Mapping[Key, Group]) -> dict[tuple[str, Task], float]:
    """By whose laws and task: the median share of the cache that a run needs; where nobody sought it all of it."""
    shares: dict[tuple[str, Task], list[float]] = {key[:2]: [] for key in groups}
    for row in rows:
        if row.usage.least_bytes is not None and row.use != HELD_OUT:
            allocated = row.usage.allocated_bytes or 0
            cache = (row.usage.reserved_bytes or 0) - allocated
            shares[row.group[:2]].append((row.usage.least_bytes - allocated) / cache if cache else 0.0)
    return {key: rounded(min(1.0, max(0.0, median(found)))) if found else 1.0 for key, found in shares.items()}


def _margins(
    draft: Coefficients, rehearsed: Sequence[Row], published: Sequence[Row], catalog: Catalog
) -> dict[tuple[str, Task, str], Margin]:
    """By runtime, task and kind, from rows that were predicted without them."""
    found: dict[tuple[str, Task, str], list[float]] = {key: [] for key in draft.margins}
    for row, model in out_of_fold(rehearsed, draft, catalog):
        kind = USUAL if model.usual(row.run, row.capability) else OTHER
        name, task, *_ = row.group
        found[name, task, kind].append(shortfall(row, model))
    model = MemoryModel(draft, catalog)
    for row in published:
        for kind in KINDS:  # too few to tell them apart
            found[row.group[0], row.group[1], kind].append(published_shortfall(row, model))
    margins = {key: margin_of(shortfalls) for key, shortfalls in found.items()}
    for (runtime, task, kind), margin in margins.items():
        least = margins[runtime, task, USUAL].ratio  # what is known less is not bounded closer
        margins[runtime, task, kind] = replace(margin, ratio=max(margin.ratio, least))
    return margins


def margin_of(shortfalls: Sequence[float]) -> Margin:
    """The margin that rows left out support; of none it is 0, and supports nothing."""
    ratio = sorted(shortfalls)[conformal_rank(len(shortfalls)) - 1] if shortfalls else 0.0
    return Margin(ratio=rounded(max(0.0, ratio)), rows=len(shortfalls))


def _beyond(draft: Coefficients, rehearsed: Sequence[Row], catalog: Catalog) -> float:
    """The worst of the own runtime's larger resolutions, with laws that were fitted to the smaller ones only.

    How much an allocator reserves of what is allocated is no law in the pixels, so that it is taken from all.
    """
    rows = [row for row in rehearsed if row.run.runtime == "own"]
    small = [row for row in rows if row.quantities.pixels <= BEYOND_FROM_PIXELS]
    large = [row for row in rows if row.quantities.pixels > BEYOND_FROM_PIXELS]
    if not small or not large:
        return 0.0
    laws = {
        key: replace(group, most_reserved=draft.groups[key].most_reserved)
        for key, group in fit_laws(small, catalog).items()
    }
    model = MemoryModel(replace(draft, groups={**draft.groups, **laws}), catalog)
    return rounded(max(0.0, *(shortfall(row, model) for row in large)))
