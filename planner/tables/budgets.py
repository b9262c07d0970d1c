"""How far a budget reaches, what a request needs, and which GPUs there are, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.catalog.torch_builds import why_no_code
from planner.nouns.answers import Carried, Need, Needed, Reach
from planner.nouns.elsewhere import Elsewhere
from planner.nouns.plan import Stock
from planner.nouns.request import Gpu
from planner.nouns.words import MemorySource
from planner.tables.plans import CONFIGURATION, configuration_cells
from planner.tables.table import Column, Table

LIMITS = (
    Column("runtime"),
    *CONFIGURATION,
    Column("least_bytes", "bytes"),
    Column("total_bytes", "bytes", read="never"),
    Column("upper_bytes", "bytes", read="never"),
    Column("limit_bytes", "bytes", read="never"),
    Column("short_by_bytes", "bytes"),
    Column("max_objects"),
    Column("sure_objects"),
    Column("gpu_objects"),
    Column("unlimited_frames"),
    Column("max_frames"),
    Column("max_square", "pixels"),
    Column("sure_square", "pixels"),
    Column("max_shaped", "pixels"),
    Column("sure_shaped", "pixels"),
    Column("host_bytes", "bytes", read="never"),
    Column("extrapolated", read="never"),
    Column("reason"),
)
"""Objects are counted up to 1,000,000, which stands for any number that the host's memory holds."""
NEED = (
    Column("purpose"),
    *CONFIGURATION,
    Column("least_bytes", "bytes"),
    Column("total_bytes", "bytes"),
    Column("budget_bytes", "bytes"),
    Column("card"),
    Column("upper_bytes", "bytes"),
    Column("sure_budget_bytes", "bytes"),
    Column("sure_card"),
    Column("preferred_budget_bytes", "bytes", read="never"),
    Column("reason"),
)
GPUS = (
    Column("name"),
    Column("total_bytes", "bytes"),
    Column("memory_source"),
    Column("capability"),
    Column("reason"),
)
"""The reason says why the torch that plans are for does not run on it."""


def limits_table(found: Carried) -> Table:
    """Two rows for each variant, then the stock predictor's and those of the runtimes that were asked for."""
    others = [*(("stock", one) for one in found.stock), *((_name(one), one) for one in found.others)]
    limit = found.budget.usable_bytes
    rows = [*map(_reach, found.reach), *(_elsewhere(name, one, limit) for name, one in others)]
    return Table("limits", LIMITS, tuple(rows))


def _reach(one: Reach) -> tuple[Any, ...]:
    figures = (
        one.need_bytes,
        one.total_bytes,
        one.upper_bytes,
        one.limit_bytes,
        one.short_by_bytes,
        one.max_objects,
        one.sure_objects,
        one.gpu_objects,
        one.unlimited_frames,
        None,
        one.max_square,
        one.sure_square,
        one.max_shaped,
        one.sure_shaped,
        one.host_bytes,
    )
    reason = one.reasons.get("need_bytes")
    return "own", *configuration_cells(one.configuration), *figures, "; ".join(one.extrapolated), reason


def _elsewhere(name: str, one: Stock, limit_bytes: int) -> tuple[Any, ...]:
    failed = one.first_frame_out_of_memory
    frames = None if failed is None else failed - 1
    figures = (one.least_bytes, one.total_bytes, None, limit_bytes, None)
    counts = (None, None, None, None, frames, None, None, None, None)
    return name, *configuration_cells(one.configuration), *figures, *counts, one.host_bytes, None, one.reason


def _name(one: Elsewhere) -> str:
    return f"{one.runtime}{', streaming' if one.streaming else ''}"


def need_table(found: Needed) -> Table:
    """One row for each candidate class, the smallest first. Cards that have it are in the text and the JSON."""
    return Table("need", NEED, tuple(map(_need, found.needs)))


def _need(one: Need) -> tuple[Any, ...]:
    figures = (
        one.need_bytes,
        one.total_bytes,
        one.budget_bytes,
        one.card,
        one.upper_bytes,
        one.sure_budget_bytes,
        one.sure_card,
        one.preferred_budget_bytes,
    )
    return one.purpose, *configuration_cells(one.configuration), *figures, "; ".join(one.reasons.values()) or None


def gpus_table(listed: Sequence[tuple[Gpu, MemorySource]]) -> Table:
    """One row for each GPU, as listed."""
    rows = []
    for gpu, source in listed:
        capability = None if gpu.capability is None else ".".join(map(str, gpu.capability))
        reason = None if gpu.capability is None else why_no_code(gpu.capability)
        rows.append((gpu.name, gpu.total_bytes, source, capability, reason))
    return Table("gpus", GPUS, tuple(rows))
