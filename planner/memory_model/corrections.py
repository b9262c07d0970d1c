"""What rows measured on a GPU say of the laws: a ratio for each runtime, and how far it is to be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from planner.memory_model.contexts import context_on
from planner.memory_model.curves import rounded
from planner.memory_model.estimator import MemoryModel
from planner.memory_model.laws import Correction, Margin
from planner.memory_model.rows import Row
from planner.nouns.words import Runtime

FEWEST_ROWS = 3
"""Fewest rows of one GPU and runtime: fewer say too little to move a prediction."""
OTHER_VERSIONS = 0.05
"""Assumed, relative: what rows of another torch or driver than most widen the bound by."""


def corrections_of(rows: Iterable[Row], model: MemoryModel) -> Iterator[Correction]:
    """One for each GPU and runtime with enough measured rows, in order of their names."""
    by_gpu: dict[tuple[str, Runtime], list[Row]] = {}
    for row in rows:
        counted = row.usage.allocated_bytes and row.usage.reserved_bytes
        if row.kind == "measured" and row.use == "fit" and row.gpu and counted:
            by_gpu.setdefault((row.gpu, row.run.runtime), []).append(row)
    for (gpu, runtime), found in sorted(by_gpu.items()):
        if len(found) >= FEWEST_ROWS:
            yield _correction(gpu, runtime, found, model)


def _correction(gpu: str, runtime: Runtime, rows: Sequence[Row], model: MemoryModel) -> Correction:
    """The medians of measured over predicted; the margin is the worst row predicted without it."""
    allocated, reserved = _ratios(rows, model)
    contexts = [row.usage.context_bytes for row in rows if row.usage.context_bytes is not None]
    context = max(contexts, default=context_on(gpu).bytes)
    worst = 0.0
    for held_out in rows:
        rest = [row for row in rows if row is not held_out]
        run = held_out.run
        predicted = model.totals_of(run, held_out.capability).reserved
        predicted *= _ratios(rest, model)[1]
        worst = max(worst, ((held_out.usage.reserved_bytes or 0) - predicted) / (predicted + context))
    notes = tuple(_mixed(rows))
    return Correction(
        gpu=gpu,
        runtime=runtime,
        allocated_ratio=rounded(allocated),
        reserved_ratio=rounded(max(reserved, allocated * _allocated_share(rows, model))),
        context_bytes=max(contexts) if contexts else None,
        margin=Margin(ratio=rounded(worst + (OTHER_VERSIONS if notes else 0.0)), rows=len(rows)),
        notes=notes,
    )


def _ratios(rows: Sequence[Row], model: MemoryModel) -> tuple[float, float]:
    allocated, reserved = [], []
    for row in rows:
        totals = model.totals_of(row.run, row.capability)
        allocated.append((row.usage.allocated_bytes or 0) / totals.allocated)
        reserved.append((row.usage.reserved_bytes or 0) / totals.reserved)
    return median(allocated), median(reserved)


def _allocated_share(rows: Sequence[Row], model: MemoryModel) -> float:
    """Allocated over reserved where they come closest: reserved must not fall below allocated."""
    every = (model.totals_of(row.run, row.capability) for row in rows)
    return max(float(totals.allocated / totals.reserved) for totals in every)


def _mixed(rows: Sequence[Row]) -> Iterator[str]:
    """What differs among the rows, or is not known, that bytes depend on."""
    for what in ("torch", "driver"):
        found = Counter(dict(row.versions).get(what) or "unknown" for row in rows)
        if len(found) > 1:
            names = ", ".join(f"{count} with {what} {version}" for version, count in found.most_common())
            yield f"measured rows differ: {names}; the upper bound is wider for it"
