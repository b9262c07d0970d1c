"""All that is known, made into one set of coefficients: laws, margins from rows left out, corrections by GPU."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

from planner.catalog import Catalog
from planner.memory_model.coefficients import (
    SCHEMA_VERSION,
    Coefficients,
    Correction,
    Curve,
    Group,
    Law,
    Margin,
    conformal_rank,
)
from planner.memory_model.corrections import corrections_of
from planner.memory_model.estimator import MemoryModel
from planner.memory_model.fitting import at_least, fit_group, knots_of, rounded
from planner.memory_model.published import RUNTIME, fit_published, published_shortfall
from planner.memory_model.rows import Row

FOLDS = 10
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
    simulated = [row for row in rows if row.kind == "simulated" and row.use == "fit"]
    published = [row for row in rows if row.kind == "published" and row.runtime == RUNTIME and row.use == "fit"]
    groups = fit_laws(simulated, catalog)
    groups |= fit_published(published, catalog)
    draft = Coefficients(
        groups=groups,
        margins={key[:2]: Margin(ratio=0.0, rows=0) for key in groups},
        beyond=0.0,
        corrections=(),
        profiles=tuple(profiles),
        memory_model=name,
        versions=dict(versions),
    )
    draft = replace(draft, margins=_margins(draft, simulated, published, catalog))
    draft = replace(draft, beyond=_beyond(draft, simulated, catalog))
    return replace(draft, corrections=tuple(corrections_of(rows, MemoryModel(draft, catalog))))


def fit_laws(rows: Iterable[Row], catalog: Catalog) -> dict[tuple[str, str, str], Group]:
    """The groups of rows that were simulated or measured by phase."""
    by_group: dict[tuple[str, str, str], list[Row]] = {}
    by_task: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        by_group.setdefault(row.group, []).append(row)
        by_task.setdefault(row.group[:2], []).append(row)
    knots = {key: knots_of(found) for key, found in by_task.items()}
    groups = {key: fit_group(by_group[key], catalog, knots[key[:2]]) for key in sorted(by_group)}
    for key, group in groups.items():
        half = groups.get((*key[:2], "half"))
        # Stock builds its model in float32 first, which its low precisions pay for: no order there.
        if half is not None and group.width != "half" and group.runtime == "own":
            groups[key] = at_least(group, half, catalog)
    return groups


def shortfall(row: Row, model: MemoryModel) -> float:
    """How far the truth of the total lies above the prediction, relative to this; negative: below.

    The predicted context counts for both.
    """
    totals = model.totals(row.configuration, row.workload, runtime=row.runtime)
    return float((row.held - totals.reserved) / totals.total)


def out_of_fold(rows: Sequence[Row], coefficients: Coefficients, catalog: Catalog) -> Iterator[tuple[Row, MemoryModel]]:
    """Each row drawn at random, with a model that was fitted without it and the rest of its fold.

    What was laid out for the fit is in every fit: without its corners a law would be asked to go beyond them.
    Folds are drawn by the rows' names.
    """
    folds: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        if row.drawn:
            folds.setdefault(crc32(row.id.encode()) % FOLDS, []).append(row)
    for fold in folds.values():
        out = {row.id for row in fold}
        laws = fit_laws([row for row in rows if row.id not in out], catalog)
        model = MemoryModel(replace(coefficients, groups={**coefficients.groups, **laws}), catalog)
        yield from ((row, model) for row in fold)


def _margins(
    draft: Coefficients, simulated: Sequence[Row], published: Sequence[Row], catalog: Catalog
) -> dict[tuple[str, str], Margin]:
    """By runtime and task, from rows that were predicted without them."""
    found: dict[tuple[str, str], list[float]] = {key[:2]: [] for key in draft.groups}
    for row, model in out_of_fold(simulated, draft, catalog):
        found[row.group[:2]].append(shortfall(row, model))
    model = MemoryModel(draft, catalog)
    for row in published:
        found[row.group[:2]].append(published_shortfall(row, model))
    return {key: margin_of(shortfalls) for key, shortfalls in found.items()}


def margin_of(shortfalls: Sequence[float]) -> Margin:
    """The margin that rows left out support; of none it is 0, and supports nothing."""
    ratio = sorted(shortfalls)[conformal_rank(len(shortfalls)) - 1] if shortfalls else 0.0
    return Margin(ratio=rounded(max(0.0, ratio)), rows=len(shortfalls))


def _beyond(draft: Coefficients, simulated: Sequence[Row], catalog: Catalog) -> float:
    """The worst of the own runtime's larger resolutions, with laws that were fitted to the smaller ones only."""
    rows = [row for row in simulated if row.runtime == "own"]
    small = [row for row in rows if row.quantities.pixels <= BEYOND_FROM_PIXELS]
    large = [row for row in rows if row.quantities.pixels > BEYOND_FROM_PIXELS]
    if not small or not large:
        return 0.0
    model = MemoryModel(replace(draft, groups={**draft.groups, **fit_laws(small, catalog)}), catalog)
    worst = 0.0
    for row in large:
        worst = max(worst, row.held / model.totals(row.configuration, row.workload, runtime="own").reserved - 1)
    return rounded(worst)


def coefficients_text(c: Coefficients) -> str:
    """The JSON text of coefficients, as committed: a line for each curve."""
    groups = [_group(group) for group in c.groups.values()]
    margins = [{"runtime": runtime, "task": task, **_margin(margin)} for (runtime, task), margin in c.margins.items()]
    head = {"schema_version": SCHEMA_VERSION, "name": c.memory_model, "profiles": list(c.profiles)}
    head |= {"versions": dict(c.versions), "beyond": c.beyond}
    fields = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    for key, entries in (
        ("margins", margins),
        ("corrections", [_correction(one) for one in c.corrections]),
    ):
        fields.append(f'"{key}": [' + ",".join("\n  " + json.dumps(entry) for entry in entries) + "]")
    fields.append('"groups": [\n' + ",\n".join(groups) + "\n]")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _group(group: Group) -> str:
    pixels = next(iter(group.reserved.curves.values())).pixels
    head: dict[str, Any] = {"runtime": group.runtime, "task": group.task, "width": group.width}
    head["provenance"] = group.provenance
    head |= {"largest_objects": group.largest_objects, "largest_frame_pixels": group.largest_frame_pixels}
    lines = [json.dumps(head)[:-1] + f', "pixels": {json.dumps(pixels)}, "phases": {{']
    laws = [f"  {json.dumps(name)}: {_law(law)}" for name, law in group.phases.items()]
    lines.append(",\n".join(laws) + "},")
    lines.append(f' "reserved": {_law(group.reserved)}}}')
    return "\n".join(lines)


def _law(law: Law) -> str:
    curves = (f"    {json.dumps(variant)}: {json.dumps(_values(curve))}" for variant, curve in law.curves.items())
    return '{"curves": {\n' + ",\n".join(curves) + f'}}, "growth": {json.dumps(dict(law.growth))}}}'


def _values(curve: Curve) -> list[float]:
    return [*(int(size) for size in curve.bytes), curve.slope]


def _margin(margin: Margin) -> dict[str, Any]:
    return {"ratio": margin.ratio, "rows": margin.rows}


def _correction(one: Correction) -> dict[str, Any]:
    return {
        "gpu": one.gpu,
        "runtime": one.runtime,
        "allocated_ratio": one.allocated_ratio,
        "reserved_ratio": one.reserved_ratio,
        "context_bytes": one.context_bytes,
        "margin": _margin(one.margin),
        "notes": list(one.notes),
    }
