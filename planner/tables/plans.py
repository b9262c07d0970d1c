"""Plans, packings and comparisons as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from planner.nouns.answers import Comparison, Explained, Packing
from planner.nouns.plan import Choice, Plan, Rejection
from planner.nouns.run import Configuration
from planner.nouns.words import Verdict
from planner.tables.table import Column, Table

CONFIGURATION = (
    Column("variant"),
    Column("version"),
    Column("resolution", "pixels"),
    Column("precision"),
    Column("attention", read="varying"),
    Column("object_batch", read="varying"),
    Column("offload_state", read="varying"),
)
PLAN = (
    Column("standing"),
    Column("verdict"),
    *CONFIGURATION,
    Column("quality", "%"),
    Column("quality_is_estimate", read="never"),
    Column("quality_metric", read="never"),
    Column("frames_per_second", "frames/s"),
    Column("allocated_bytes", "bytes", read="never"),
    Column("reserved_bytes", "bytes", read="never"),
    Column("context_bytes", "bytes", read="never"),
    Column("least_bytes", "bytes"),
    Column("total_bytes", "bytes"),
    Column("upper_bytes", "bytes"),
    Column("host_bytes", "bytes", read="never"),
    Column("limit_bytes", "bytes", read="never"),
    Column("short_by_bytes", "bytes"),
    Column("component", read="never"),
    Column("reason"),
)
"""One row for each configuration; standing: chosen, alternative or rejected, of an explained plan its outcome."""
PACKING = (
    Column("gpu"),
    Column("budget_bytes", "bytes"),
    Column("usable_bytes", "bytes"),
    Column("streams"),
    Column("process_bytes", "bytes"),
    Column("upper_bytes", "bytes"),
    Column("used_bytes", "bytes"),
    Column("left_bytes", "bytes"),
    Column("cap_bytes", "bytes"),
    Column("more_streams"),
    Column("frames_per_second", "frames/s"),
)
COMPARISON = (
    Column("section"),
    Column("name"),
    Column("unit", read="never"),
    Column("first", "by row"),
    Column("second", "by row"),
    Column("difference", "by row"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A row of a plan, its fields in the order of PLAN between the configuration's."""

    quality: float | None = None
    quality_is_estimate: bool | None = None
    quality_metric: str | None = None
    frames_per_second: float | None = None
    allocated_bytes: int | None = None
    reserved_bytes: int | None = None
    context_bytes: int | None = None
    least_bytes: int | None = None
    total_bytes: int | None = None
    upper_bytes: int | None = None
    host_bytes: int | None = None
    limit_bytes: int | None = None
    short_by_bytes: int | None = None
    component: str | None = None
    reason: str | None = None


def configuration_cells(one: Configuration) -> tuple[Any, ...]:
    """The cells of CONFIGURATION."""
    return (
        one.variant, one.version, one.resolution, one.precision, one.attention, one.object_batch, one.offload_state
    )  # fmt: skip


def plan_table(plan: Plan) -> Table:
    """The choice, the alternatives and what was turned down; of an explained plan every candidate class by rank."""
    if plan.explained is not None:
        return Table("plan", PLAN, tuple(map(_explained, plan.explained)))
    usable = plan.budget.usable_bytes
    rows = [] if plan.chosen is None else [_choice("chosen", plan.verdict, plan.chosen, usable)]
    for one in plan.alternatives:
        tight = one.estimate.upper_bytes > usable
        rows.append(_choice("alternative", "tight" if tight else "fits", one, usable))
    rows += map(_rejection, plan.rejected)
    return Table("plan", PLAN, tuple(rows))


def _choice(standing: str, verdict: Verdict, one: Choice, usable_bytes: int) -> tuple[Any, ...]:
    estimate = one.estimate
    row = _Row(
        quality=one.quality,
        quality_is_estimate=None if one.quality is None else one.quality_is_estimate,
        quality_metric=one.quality_metric,
        frames_per_second=one.frames_per_second,
        allocated_bytes=estimate.allocated_bytes,
        reserved_bytes=estimate.reserved_bytes,
        context_bytes=estimate.context_bytes,
        least_bytes=estimate.least_bytes,
        total_bytes=estimate.total_bytes,
        upper_bytes=estimate.upper_bytes,
        host_bytes=estimate.host_bytes,
        limit_bytes=usable_bytes,
    )
    return standing, verdict, *configuration_cells(one.configuration), *astuple(row)


def _rejection(one: Rejection) -> tuple[Any, ...]:
    row = _Row(
        # On the host it is the host's memory that does not suffice, which the limit says, too.
        host_bytes=one.need_bytes if one.component == "host" else None,
        least_bytes=None if one.component == "host" else one.need_bytes,
        total_bytes=one.total_bytes,
        limit_bytes=one.limit_bytes,
        short_by_bytes=one.short_by_bytes,
        component=one.component,
        reason=one.reason,
    )
    return "rejected", "does_not_fit", *configuration_cells(one.configuration), *astuple(row)


def _explained(one: Explained) -> tuple[Any, ...]:
    fits = one.outcome in ("chosen", "fits")
    verdict: Verdict = "does_not_fit"
    if fits:
        verdict = "tight" if (one.upper_bytes or 0) > one.limit_bytes else "fits"
    row = _Row(
        quality=one.quality,
        quality_is_estimate=None if one.quality is None else one.quality_is_estimate,
        frames_per_second=one.frames_per_second,
        least_bytes=one.need_bytes,
        total_bytes=one.total_bytes,
        upper_bytes=one.upper_bytes,
        limit_bytes=one.limit_bytes,
        short_by_bytes=one.short_by_bytes,
        component=one.component,
        reason=one.reason,
    )
    return one.outcome, verdict, *configuration_cells(one.configuration), *astuple(row)


def packing_table(packing: Packing) -> Table:
    """One row for each GPU."""
    rows = tuple(
        (
            gpu.budget.gpu.name if gpu.budget.gpu else None,
            gpu.budget.total_bytes,
            gpu.budget.usable_bytes,
            gpu.streams,
            gpu.process_bytes,
            gpu.upper_bytes,
            gpu.used_bytes,
            gpu.left_bytes,
            gpu.cap_bytes,
            gpu.more_streams,
            gpu.frames_per_second,
        )
        for gpu in packing.gpus
    )
    return Table("packing", PACKING, rows)


def comparison_table(found: Comparison) -> Table:
    """What differs, then every figure in bytes, differing or not."""
    rows: list[Sequence[Any]] = []
    for one in found.differences:
        unit = "bytes" if one.name.endswith("_bytes") else None
        rows.append((one.section, one.name, unit, one.first, one.second, None))
    for section, beside in (("figures", found.figures), ("components", found.components)):
        rows += (
            (section, one.name, "bytes", one.first_bytes, one.second_bytes, one.difference_bytes) for one in beside
        )
    return Table("comparison", COMPARISON, tuple(map(tuple, rows)))
