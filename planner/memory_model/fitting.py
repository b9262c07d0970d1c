"""The regression: rehearsed and published rows to coefficients.

Not imported by planning.

Bytes step with the resolution, up and down (windows, segments of 20 MiB), and grow smoothly with all else. So a law is
a table of what was run at each resolution, plus what grows, found together; between and beyond the resolutions that
were run it is a curve that never falls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import ceil, inf
from statistics import median
from typing import Literal

import numpy as np

from planner.catalog import Catalog, load_catalog
from planner.memory_model import arrays
from planner.memory_model.beyond import USUAL_MASKS_BYTES, is_usual, reserved_scores
from planner.memory_model.curves import Cell, Size, law_of, rounded
from planner.memory_model.features import (
    FRAMES,
    FURTHER_PASSES,
    LARGE_BANK,
    LENGTHENED,
    MEMORY_BANK,
    OUTPUT_MASKS,
    PREPARED,
    PREPARING,
    READING,
    SCALAR,
    SMALL_BANK,
)
from planner.memory_model.laws import (
    GENERATIONS,
    Group,
    Key,
    Law,
    Rehearsed,
    Spill,
    generation_of,
    runtime_of_laws,
    variants_of_laws,
)
from planner.memory_model.regression import CurveRegressor, growth_of, within
from planner.memory_model.rows import Row
from planner.memory_model.terms import SCORED
from planner.nouns.words import OTHER_MODELS, OTHER_RUNTIMES, Variant

HELD_WHOLE = {FRAMES: ("init", "encode", "track", "output"), MEMORY_BANK: ("encode", "track", "output")}
"""Arrays that are held whole at the peak of these phases: their own size is known, not regressed."""
HELD_BY_TRANSFORMERS = {PREPARED: ("init",), **dict.fromkeys((FRAMES, MEMORY_BANK), HELD_WHOLE[MEMORY_BANK])}
"""The same of transformers, which prepares a clip before it holds it."""
LEADING = generation_of(None)
"""The generation from which others take what they have no rows for."""
ELSEWHERE = 0.02
"""What a row of the leading generation counts beside one of the generation at hand, in how bytes grow there."""

SPILLING = {
    ("stock", "image"): (OUTPUT_MASKS, FURTHER_PASSES),
    ("stock", "video"): (OUTPUT_MASKS, LENGTHENED),
    ("transformers", "video"): (PREPARING,),
    ("transformers", "image"): (FURTHER_PASSES,),
    ("ultralytics", "image"): (FURTHER_PASSES, OUTPUT_MASKS),
    ("ultralytics", "video"): (FURTHER_PASSES, READING, OUTPUT_MASKS),
}
"""By runtime and task: what takes blocks that the encoder left before it takes more; of transformers what leaves so
many blocks that all else takes those."""
FEW_OBJECTS = 5
"""So many prompts of a picture take no more than what the encoder of transformers or Ultralytics left."""
ALL_BUT = 0.93
"""A clip that was prepared on the GPU and reserved so much of all leaves room for what comes after it."""
ABOVE = 1.01
"""How far above the table: what lies less above it may be the allocator's rounding, and no spill."""
FEWEST_ABOVE = 8
"""Rows that a spill is fitted to: fewer say too little of three or four coefficients."""

FEWEST_OF_MODELS = 4
"""The same of a model that has one variant, one feature that spills, and rows laid out for it."""


def fit_groups(rows: Mapping[Key, Sequence[Row]], catalog: Catalog, like: Group | None = None) -> dict[Key, Group]:
    """The groups of one runtime, task and width, one for each generation that has rows; LEADING must be among them.

    like: a group of another width, whose growth holds where these rows do not show it.
    """
    leading = next(key for key in rows if key[3] == LEADING)
    runtime = runtime_of_laws(leading[0])
    item_bytes = arrays.weight_bytes(runtime, leading[2])
    weights = {
        variant: float(arrays.weights_of(catalog.shapes[variant], runtime, leading[1], item_bytes))
        for variant in variants_of_laws(leading[0])
    }
    shapes = sorted({row.shape for row in rows[leading]}, key=lambda size: (size[0] * size[1], size))
    phases = list(rows[leading][0].usage.phases)

    def fitted(of: Callable[[Row], float], name: str | None) -> dict[Key, Law]:
        example = None if like is None else like.phases.get(name) if name else like.reserved
        return _laws(rows, leading, shapes, weights, of, name, example)

    by_phase = {name: fitted(lambda row, name=name: row.usage.phases.get(name, 0), name) for name in phases}  # type: ignore[misc]
    groups = {
        key: _group(key, found, shapes, {name: by_phase[name][key] for name in phases}) for key, found in rows.items()
    }
    if not all(row.usage.extents for row in chain.from_iterable(rows.values())):
        most = _most_reserved(chain.from_iterable(rows.values()))
        reserved = fitted(lambda row: row.usage.reserved_bytes or 0, None)
        return {key: replace(group, reserved=reserved[key], most_reserved=most) for key, group in groups.items()}

    def pool(of: Callable[[Row], float], name: str | None, weights: Mapping[Variant, float]) -> dict[Key, Law]:
        example = None if like is None else like.extents.get(name) if name else like.small
        return _laws(rows, leading, shapes, weights, of, name, example, "large" if name else "small")

    small = pool(lambda row: row.usage.small_bytes or 0, None, dict.fromkeys(weights, 0.0))
    extents = {name: pool(lambda row, name=name: row.usage.extents.get(name, 0), name, weights) for name in phases}  # type: ignore[misc]
    return {
        key: replace(group, extents={name: extents[name][key] for name in phases}, small=small[key])
        for key, group in groups.items()
    }


def _most_reserved(rows: Iterable[Row]) -> float:
    """Rounded up, so that no run that was fitted to lies above it."""
    ratios = [
        (row.usage.reserved_bytes or 0) / row.usage.allocated_bytes
        for row in rows
        if row.usage.allocated_bytes and not _is_math(row)
    ]
    return ceil(max(ratios) * 1000) / 1000 if ratios else inf


def _is_math(row: Row) -> bool:
    return row.run.configuration.attention == "math"


def _group(key: Key, rows: Sequence[Row], shapes: Sequence[Size], phases: dict[str, Law]) -> Group:
    name, task, width, generation = key
    return Group(
        whose=name,
        task=task,
        width=width,
        generation=generation,
        phases=phases,
        provenance="rehearsed",
        places=(places := {shape: place for place, shape in enumerate(shapes)}),
        run={
            variant: frozenset(
                places[row.shape]
                for row in rows
                if row.run.configuration.variant == variant and row.shape in places and _is_usual(row)
            )
            for variant in variants_of_laws(name)
        },
        known=_known(rows),
        largest_pixels=shapes[-1][0] * shapes[-1][1],
        largest_objects=max(row.run.workload.objects for row in rows),
        largest_frame_pixels=max(row.quantities.frame_pixels for row in rows),
    )


def _known(rows: Sequence[Row]) -> dict[Cell, dict[str, Rehearsed]]:
    found: dict[Cell, dict[str, Rehearsed]] = {}
    for row in rows:
        if row.run.runtime in OTHER_RUNTIMES:  # whose bytes depend on more than a name says
            continue
        ran = found.setdefault((row.run.configuration.variant, row.run.configuration.resolution), {})
        ran[row.name] = Rehearsed(row.usage.allocated_bytes or 0, row.usage.reserved_bytes or 0, row.usage.least_bytes)
    return found


def _laws(
    rows: Mapping[Key, Sequence[Row]],
    leading: Key,
    shapes: Sequence[Size],
    weights: Mapping[Variant, float],
    of: Callable[[Row], float],
    phase: str | None,
    like: Law | None,
    pool: Literal["small", "large"] | None = None,
) -> dict[Key, Law]:
    """The laws of one quantity. `phase`: None of reserved bytes. `like`: what gives growth that no row shows.

    `pool`: of the allocator, where it is how far its range is used.
    """
    first, runtime, task = rows[leading], runtime_of_laws(leading[0]), leading[1]
    whole = HELD_BY_TRANSFORMERS if runtime == "transformers" else HELD_WHOLE
    bank = {"small": SMALL_BANK, "large": LARGE_BANK}.get(pool or "", MEMORY_BANK)
    held = [bank if array == MEMORY_BANK else array for array, phases_of in whole.items() if phase in phases_of]
    if phase is None and (runtime, task) == ("stock", "automask"):
        held.append(OUTPUT_MASKS)  # no block of the decoder's is as large: byte by byte in the rows
    known = {array: 1.0 for array in held if array in first[0].features}
    alone = runtime in OTHER_RUNTIMES  # with arrays of other sizes in each precision
    if phase is None and like is not None and MEMORY_BANK in like.growth and not alone:
        # It is bfloat16 whatever the width: small blocks, which the allocator packs alike.
        known[MEMORY_BANK] = like.growth[MEMORY_BANK]
    # Most of the peak of automatic masks are the masks, always.
    spilling = SPILLING.get((runtime, task), ()) if phase is None else ()
    left_out = {MEMORY_BANK, SMALL_BANK, LARGE_BANK, PREPARED, PREPARING} - {bank}
    names = [name for name in first[0].features if name not in {*known, *spilling, *left_out}]
    if alone and phase in ("load", "init"):
        names = []
    if runtime == "own" and task != "automask" and phase not in (None, "output"):
        names.remove(OUTPUT_MASKS)  # they are made and leave in a phase of their own

    def beside(found: Sequence[Row]) -> np.ndarray:
        """Bytes beside the weights, what counts once, and the scores of math attention."""
        sizes = []
        for row in found:
            once = sum(share * row.features[name] for name, share in known.items())
            scores = 0.0 if pool == "small" else _scores(row, phase)
            sizes.append(of(row) - weights[row.run.configuration.variant] - once - scores)
        return np.array(sizes)

    def grown(found: Sequence[Row]) -> np.ndarray:
        columns = [[float(row.features[name]) for name in names] for row in found]
        return np.array(columns).reshape(len(found), len(names))

    def tabled(found: Sequence[Row]) -> list[Row]:
        plain = [row for row in found if not (spilling and _spills(row))]
        return plain or list(found)  # where a whole kind is held out

    plain = tabled(first)
    shown = grown(plain)
    # Small weights are of the small pool: in the large one a phase may take less than the weights.
    least = -inf if pool == "large" else 0.0
    base, growth = within(plain, beside(plain), shown, [_is_usual(row) for row in plain], least)
    if like is not None:
        unseen = np.abs(shown).max(axis=0) == 0
        growth[unseen] = [like.growth.get(name, 0.0) for name, missing in zip(names, unseen, strict=True) if missing]
    coefficients = known | _growing(names, growth)
    # What spills is no matter of the generation, so it is learnt where most is known.
    spill = None
    if spilling:
        if leading[0] == "transformers":  # whose clip leaves room for all that grows
            spill = _spill(first, beside(first), base, {}, spilling, like)
        else:
            spill = _spill(first, beside(first) - grown(first) @ growth, base, coefficients, spilling, like)
    laws = {leading: replace(law_of(base, shapes, weights, coefficients), spill=spill)}
    for key, found in rows.items():
        if key != leading:
            here = tabled(found)
            slopes = growth
            if runtime == "own":
                both, trust = [*here, *plain], [1.0] * len(here) + [ELSEWHERE] * len(plain)
                slopes = growth_of(both, beside(both), grown(both), trust)
            own = _others(here, beside(here) - grown(here) @ slopes, base, least)
            laws[key] = replace(law_of(own, shapes, weights, known | _growing(names, slopes)), spill=spill)
    return {key: laws[key] for key in rows}


def _spills(row: Row) -> bool:
    """Whether its masks are more than the encoder's leavings may hold, so that it says nothing of a table."""
    if row.run.runtime in OTHER_RUNTIMES:
        if row.run.workload.task == "image":
            return row.run.workload.objects > FEW_OBJECTS
        if row.run.runtime == "ultralytics":
            return row.run.workload.objects > 1
        segments = row.features[PREPARING] + row.weights(load_catalog())
        return bool(segments > ALL_BUT * (row.usage.reserved_bytes or 0))
    return bool(row.features[OUTPUT_MASKS] > USUAL_MASKS_BYTES or _is_math(row))


def _spill(
    rows: Sequence[Row],
    sizes: np.ndarray,
    base: Mapping[Cell, float],
    growth: Mapping[str, float],
    spilling: Sequence[str],
    like: Law | None,
) -> Spill | None:
    """The regression of what lies above the table, in rows whose masks are large.

    `sizes`: without what grows as in the law, by `growth`, which a spill's bytes do as well.
    """
    names = [name for name in rows[0].features if name in spilling]
    cells = [(row.run.configuration.variant, row.shape) for row in rows]
    above = [
        number
        for number, row in enumerate(rows)
        if cells[number] in base and _spills(row) and not _is_math(row) and sizes[number] > base[cells[number]] * ABOVE
    ]
    if len(above) < (FEWEST_OF_MODELS if cells[0][0] in OTHER_MODELS else FEWEST_ABOVE):
        return None if like is None else like.spill
    features = np.array([[1.0, base[cells[n]], *(float(rows[n].features[name]) for name in names)] for n in above])
    scales = np.array([float(rows[n].usage.reserved_bytes or 1) for n in above])
    constant, share, *found = CurveRegressor().fit(features, sizes[above], scales).coef_
    return Spill(round(constant), rounded(share), {**growth, **_growing(names, found)})


def _scores(row: Row, phase: str | None) -> float:
    """Bytes of math attention, as estimator.Terms counts them."""
    if phase is None:
        return float(reserved_scores(row.scores, SCALAR))
    return float(row.scores[SCORED[phase]]) if phase in SCORED else 0.0


def _is_usual(row: Row) -> bool:
    """As beyond.is_usual: what a cell is asked for most, and should be told to the byte."""
    return bool(is_usual(row.run.workload.task, row.run.runtime, row.quantities, row.features, True, _is_math(row)))


def _others(rows: Sequence[Row], rest: np.ndarray, base: Mapping[Cell, float], least: float) -> dict[Cell, float]:
    """Another generation's table: the medians of its rows, and where it has none the base with what differs nearby.

    Of a cell those rows count that say most of it: usual ones, and of the capability that the generation is named for.
    """
    found: dict[Cell, dict[tuple[bool, bool], list[float]]] = {}
    for row, value in zip(rows, rest, strict=True):
        cell = row.run.configuration.variant, row.shape
        rank = row.capability == GENERATIONS[row.group[3]], _is_usual(row)
        found.setdefault(cell, {}).setdefault(rank, []).append(float(value))
    own = {cell: max(least, median(ranked[max(ranked)])) for cell, ranked in found.items()}
    table = {}
    for cell, size in base.items():
        table[cell] = own[cell] if cell in own else max(least, size + _nearby(cell, own, base))
    return table


def _nearby(cell: Cell, own: Mapping[Cell, float], base: Mapping[Cell, float]) -> float:
    """By how much a generation differs from the base, at the resolution nearest in pixels of the same variant."""
    variant, (short, long) = cell
    known = [other for other in own if other in base and other[0] == variant] or [
        other for other in own if other in base
    ]
    if not known:
        return 0.0
    near = min(known, key=lambda other: (abs(other[1][0] * other[1][1] - short * long), other))
    return own[near] - base[near]


def _growing(names: Sequence[str], coefficients: Iterable[float]) -> dict[str, float]:
    """What grows at all."""
    return {name: found for name, value in zip(names, coefficients, strict=True) if (found := rounded(float(value)))}
