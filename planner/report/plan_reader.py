"""Saved plans back to Plan. Every fault names the file, the line and the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from planner.answers import Explained
from planner.documents import Fields, read
from planner.domain import (
    Asked,
    Budget,
    Choice,
    Component,
    Configuration,
    Estimate,
    Exact,
    Gpu,
    Headroom,
    Limits,
    Phase,
    Pins,
    Plan,
    Provenance,
    Rejection,
    Request,
    Stock,
    Suggestion,
    Workload,
)
from planner.report.document import SCHEMA_VERSION, UNLIMITED, plan_document
from planner.units import MAXIMUM_COUNT, resolution_field
from planner.words import (
    ATTENTIONS,
    BUDGET_SOURCES,
    EXACT_METHODS,
    HOST_SOURCES,
    LOST_BY,
    PRECISIONS,
    PREFERENCES,
    PROVENANCES,
    STANDINGS,
    TASKS,
    VARIANTS,
    VERDICTS,
    VERSIONS,
)

EDITED = "Make the plan again; a plan is not edited by hand."
ADDED = frozenset(
    {
        *(f"budget.{name}" for name in ("host_bytes", "host_source", "host_bytes_reason")),
        *(f"estimate.{name}" for name in ("least_bytes", "context_low_bytes", "context_high_bytes")),
        *(f"estimate.{name}" for name in ("host_bytes", "host_components", "host_bytes_reason")),
        *(f"chosen.{name}" for name in ("quality_metric", "quality_reason")),
        *(f"chosen.{name}" for name in ("frames_per_second_of", "frames_per_second_reason")),
        *(f"explained.{name}" for name in ("total_bytes", "quality_reason", "frames_per_second_reason")),
        *(f"stock.{name}" for name in ("least_bytes", "tight", "host_bytes")),
        "rejected.total_bytes",
    }
)
"""What plans of earlier releases do not have, by the name of what it is in."""


def read_plan(path: Path) -> Plan:
    """The plan in a file that Plan.save wrote. Raises FileError for any other."""
    data = read(path)
    fields = Fields(data, str(path), "a plan")
    if "error" in fields and "kind" not in fields:
        raise fields.complaint("this is the report of an error, not a plan", "Make the plan again.", "error")
    if fields.integer("schema_version") != SCHEMA_VERSION:
        raise fields.complaint("schema_version is not 1", "Make the plan again with this release.", "schema_version")
    fields.text("kind", ("plan",))
    plan = _plan(fields)
    _check(plan, fields, data)
    return plan


def _plan(fields: Fields) -> Plan:
    chosen = None if fields.or_none("chosen") else fields.fields("chosen")
    estimate = None if fields.or_none("estimate") else fields.fields("estimate")
    if (chosen is None) != (estimate is None):
        raise fields.complaint("chosen and estimate do not go together", EDITED, "chosen")
    provenance = fields.fields("provenance")
    return Plan(
        request=_request(fields.fields("request")),
        budget=_budget(fields.fields("budget")),
        verdict=fields.text("verdict", VERDICTS),
        strict=fields.boolean("strict"),
        chosen=_choice(chosen, _estimate(estimate)) if chosen and estimate else None,
        alternatives=tuple(
            _choice(entry.fields("chosen"), _estimate(entry.fields("estimate")))
            for entry in fields.entries("alternatives")
        ),
        rejected=tuple(_rejection(entry) for entry in fields.entries("rejected")),
        limits=_limits(fields.fields("limits")),
        stock=_stock(fields.fields("stock")),
        suggestions=tuple(Suggestion(e.text("change"), e.text("command")) for e in fields.entries("try")),
        warnings=tuple(fields.texts("warnings")),
        command=fields.optional_text("command"),
        command_reason=fields.optional_text("command_reason"),
        candidates=fields.integer("candidates"),
        provenance=Provenance(
            profiles=tuple(provenance.texts("profiles")),
            memory_model=provenance.text("memory_model"),
            versions=_text_mapping(provenance.fields("versions")),
            exact=_asked(provenance),
        ),
        explained=None
        if fields.or_none("explained")
        else tuple(_explained(entry) for entry in fields.entries("explained")),
    )


def _check(plan: Plan, fields: Fields, data: object) -> None:
    """What a hand-edited plan gets wrong: unknown keys, and figures that no longer agree."""
    where = _difference(plan_document(plan), data, "")
    if where:
        raise fields.complaint(f"{where} is not what goes with the rest of the plan", EDITED, where.split(".")[0])
    if (plan.chosen is None) != (plan.verdict == "does_not_fit"):
        raise fields.complaint(f"the verdict {plan.verdict} does not go with chosen", EDITED, "verdict")
    for choice in (plan.chosen, *plan.alternatives):
        if choice and not _adds_up(choice.estimate):
            raise fields.complaint("the figures of an estimate do not add up", EDITED, "estimate")
    if plan.explained is not None:
        best = [one.configuration for one in plan.explained if one.outcome == "chosen"]
        if best != ([plan.chosen.configuration] if plan.chosen else []):
            raise fields.complaint("what is explained is not what was chosen", EDITED, "explained")
    if plan.chosen:
        certain = plan.chosen.estimate.upper_bytes <= plan.budget.usable_bytes
        if (plan.verdict == "fits") != certain or plan.chosen.estimate.least_bytes > plan.budget.usable_bytes:
            raise fields.complaint(f"the verdict {plan.verdict} does not go with the estimate", EDITED, "verdict")
        pins = plan.request.pins.given()
        if any(getattr(plan.chosen, name) != value for name, value in pins.items()):
            raise fields.complaint("what was chosen does not obey the pins", EDITED, "chosen")


def _adds_up(estimate: Estimate) -> bool:
    """Whether components, phases and sums of an estimate agree."""
    peak = max(estimate.phases, key=lambda phase: phase.allocated_bytes, default=None)
    return (
        sum(component.bytes for component in estimate.components)
        == estimate.total_bytes
        == estimate.reserved_bytes + estimate.context_bytes
        and estimate.allocated_bytes <= estimate.reserved_bytes
        and estimate.least_bytes <= estimate.total_bytes <= estimate.upper_bytes
        and peak is not None
        and (peak.name, peak.allocated_bytes) == (estimate.peak_phase, estimate.allocated_bytes)
    )


def _difference(written: object, found: object, where: str, within: str = "") -> str:
    """The first place where two documents differ, apart from what was ADDED; empty where they do not.

    within: the name of what they are, without the number of an entry.
    """
    if isinstance(written, dict) and isinstance(found, dict):
        for key in (*written, *(key for key in found if key not in written)):
            if key not in found and f"{within}.{key}" in ADDED:
                continue
            if key not in written or key not in found:
                return f"{where}{key}"
            if inner := _difference(written[key], found[key], f"{where}{key}.", key):
                return inner
        return ""
    if isinstance(written, list) and isinstance(found, list) and len(written) == len(found):
        pairs = enumerate(zip(written, found, strict=True))
        return next((inner for i, (a, b) in pairs if (inner := _difference(a, b, f"{where}{i}.", within))), "")
    return "" if written == found else where.rstrip(".")


def _request(fields: Fields) -> Request:
    pins = fields.fields("pins")
    workload = Workload(
        task=fields.text("task", TASKS),
        objects=fields.integer("objects", 1, MAXIMUM_COUNT),
        frames=_frames(fields),
        frame_size=fields.pair("frame_size"),
    )
    return Request(
        workload=workload,
        pins=Pins(
            variant=pins.optional_text("variant", VARIANTS),
            version=pins.optional_text("version", VERSIONS),
            resolution=None if pins.or_none("resolution") else resolution_field(pins, "resolution"),
            precision=pins.optional_text("precision", PRECISIONS),
            attention=pins.optional_text("attention", ATTENTIONS),
        ),
        prefer=fields.text("prefer", PREFERENCES),
        frame_size_assumed=fields.boolean("frame_size_assumed"),
    )


def _budget(fields: Fields) -> Budget:
    headroom = fields.fields("headroom")
    budget = Budget(
        total_bytes=fields.integer("total_bytes", minimum=1),
        headroom=Headroom(bytes=headroom.integer("fixed_bytes"), percent=headroom.number("percent", 0, 99.999999)),
        source=fields.text("source", BUDGET_SOURCES),
        host_bytes=fields.optional_integer("host_bytes") if "host_bytes" in fields else None,
        host_source=fields.optional_text("host_source", HOST_SOURCES) if "host_source" in fields else None,
        gpu=None if fields.or_none("gpu") else _gpu(fields.fields("gpu")),
    )
    if fields.integer("usable_bytes") != budget.usable_bytes:
        raise fields.complaint("usable_bytes is not the budget less its headroom", EDITED, "usable_bytes")
    return budget


def _gpu(fields: Fields) -> Gpu:
    return Gpu(
        name=fields.text("name"),
        total_bytes=fields.integer("total_bytes", minimum=1),
        free_bytes=fields.optional_integer("free_bytes"),
        capability=fields.optional_release("capability"),
        uuid=fields.optional_text("uuid"),
        index=fields.optional_integer("index"),
        driver=fields.optional_text("driver"),
    )


def _configuration(fields: Fields) -> Configuration:
    return Configuration(
        variant=fields.text("variant", VARIANTS),
        version=fields.text("version", VERSIONS),
        resolution=resolution_field(fields, "resolution"),
        precision=fields.text("precision", PRECISIONS),
        attention=fields.text("attention", ATTENTIONS),
        object_batch=fields.integer("object_batch", 1, MAXIMUM_COUNT),
        bounded_memory_bank=fields.boolean("bounded_memory_bank"),
        offload_video=fields.boolean("offload_video"),
        offload_state=fields.boolean("offload_state"),
    )


WHY_UNKNOWN = ("quality_reason", "frames_per_second_reason")
WORTH_IN_WORDS = ("quality_metric", "frames_per_second_of", *WHY_UNKNOWN)
"""Words about a choice's worth; plans of earlier releases have only the last ones."""


def _choice(fields: Fields, estimate: Estimate) -> Choice:
    return Choice(
        configuration=_configuration(fields),
        quality=None if fields.or_none("quality") else fields.number("quality", 0, 100),
        quality_is_estimate=fields.boolean("quality_is_estimate"),
        frames_per_second=None if fields.or_none("frames_per_second") else fields.number("frames_per_second"),
        estimate=estimate,
        **{name: fields.optional_text(name) for name in WORTH_IN_WORDS if name in fields},
    )


def _estimate(fields: Fields) -> Estimate:
    return Estimate(
        allocated_bytes=fields.integer("allocated_bytes"),
        reserved_bytes=fields.integer("reserved_bytes"),
        context_bytes=fields.integer("context_bytes"),
        total_bytes=fields.integer("total_bytes"),
        upper_bytes=fields.integer("upper_bytes"),
        **_bands(fields),
        components=_components(fields),
        phases=tuple(
            Phase(name=entry.text("name"), components=_components(entry)) for entry in fields.entries("phases")
        ),
        peak_phase=fields.text("peak_phase"),
        extrapolated=fields.boolean("extrapolated"),
        extrapolated_because=tuple(fields.texts("extrapolated_because")),
        **_host(fields),
        exact=_exact(fields),
    )


def _exact(fields: Fields) -> Exact | None:
    """How the bytes were found; None of a prediction, and in plans of earlier releases, which have no other."""
    if "exact" not in fields or fields.or_none("exact"):
        return None
    found = fields.fields("exact")
    return Exact(
        method=found.text("method", EXACT_METHODS),
        gpu=found.optional_text("gpu"),
        capability=found.optional_release("capability") or (0, 0),
        torch=found.text("torch"),
        cudnn=found.optional_text("cudnn"),
        sam2=found.optional_text("sam2"),
        frames=found.optional_integer("frames", 1),
    )


def _asked(provenance: Fields) -> Asked | None:
    if "exact" not in provenance or provenance.or_none("exact"):
        return None
    found = provenance.fields("exact")
    return Asked(runs=found.integer("runs"), remembered=found.integer("remembered"), left=found.integer("left"))


def _bands(fields: Fields) -> dict[str, Any]:
    """Least and the context's band, which plans of earlier releases do not have: their one figure stands for them."""
    if "least_bytes" not in fields:
        total, context = fields.integer("total_bytes"), fields.integer("context_bytes")
        return {"least_bytes": total, "context_low_bytes": context, "context_high_bytes": context}
    return {name: fields.integer(name) for name in ("least_bytes", "context_low_bytes", "context_high_bytes")}


def _host(fields: Fields) -> dict[str, Any]:
    """The host's part, which plans of earlier releases do not have."""
    if "host_bytes" not in fields:
        return {"host_bytes_reason": "the plan was made by a release that did not say"}
    components = _components(fields, "host_components")
    if fields.optional_integer("host_bytes") != (sum(part.bytes for part in components) if components else None):
        raise fields.complaint("host_bytes is not the sum of host_components", EDITED, "host_bytes")
    return {"host_components": components, "host_bytes_reason": fields.optional_text("host_bytes_reason")}


def _components(fields: Fields, key: str = "components") -> tuple[Component, ...]:
    return tuple(
        Component(entry.text("name"), entry.integer("bytes"), entry.text("provenance", PROVENANCES))
        for entry in fields.entries(key)
    )


def _total(fields: Fields) -> int | None:
    """What stands beside need_bytes; plans of earlier releases have but the one."""
    return fields.optional_integer("total_bytes" if "total_bytes" in fields else "need_bytes")


def _rejection(fields: Fields) -> Rejection:
    return Rejection(
        configuration=_configuration(fields.fields("configuration")),
        need_bytes=fields.optional_integer("need_bytes"),
        total_bytes=_total(fields),
        limit_bytes=fields.integer("limit_bytes"),
        short_by_bytes=fields.optional_integer("short_by_bytes"),
        component=fields.text("component"),
        reason=fields.text("reason"),
    )


def _explained(fields: Fields) -> Explained:
    return Explained(
        rank=fields.integer("rank", minimum=1),
        outcome=fields.text("outcome", STANDINGS),
        configuration=_configuration(fields.fields("configuration")),
        quality=None if fields.or_none("quality") else fields.number("quality", 0, 100),
        quality_is_estimate=fields.boolean("quality_is_estimate"),
        frames_per_second=None if fields.or_none("frames_per_second") else fields.number("frames_per_second"),
        need_bytes=fields.optional_integer("need_bytes"),
        total_bytes=_total(fields),
        upper_bytes=fields.optional_integer("upper_bytes"),
        limit_bytes=fields.integer("limit_bytes"),
        component=fields.optional_text("component"),
        component_bytes=fields.optional_integer("component_bytes"),
        excess_bytes=fields.optional_integer("excess_bytes"),
        lost_by=fields.optional_text("lost_by", LOST_BY),
        reason=fields.text("reason"),
        **{name: fields.optional_text(name) for name in WHY_UNKNOWN if name in fields},
    )


def _limits(fields: Fields) -> Limits:
    unlimited = fields.any("max_frames") == UNLIMITED
    return Limits(
        max_objects=fields.optional_integer("max_objects"),
        sure_objects=fields.optional_integer("sure_objects"),
        gpu_objects=fields.optional_integer("gpu_objects"),
        max_frames=None if unlimited else fields.optional_integer("max_frames"),
        unlimited_frames=unlimited,
        max_resolution=None if fields.or_none("max_resolution") else resolution_field(fields, "max_resolution"),
        sure_resolution=None if fields.or_none("sure_resolution") else resolution_field(fields, "sure_resolution"),
        smallest_total_bytes=fields.optional_integer("smallest_total_bytes"),
        smallest_card=fields.optional_text("smallest_card"),
        reasons=_text_mapping(fields.fields("reasons")),
    )


def _stock(fields: Fields) -> Stock:
    return Stock(
        configuration=_configuration(fields.fields("configuration")),
        total_bytes=fields.optional_integer("total_bytes"),
        fits=fields.boolean("fits"),
        first_frame_out_of_memory=fields.optional_integer("first_frame_out_of_memory"),
        reason="" if fields.any("reason") == "" else fields.text("reason"),
        host_bytes=fields.optional_integer("host_bytes") if "host_bytes" in fields else None,
        least_bytes=fields.optional_integer("least_bytes" if "least_bytes" in fields else "total_bytes"),
        tight=fields.boolean("tight") if "tight" in fields else False,
    )


def _frames(fields: Fields) -> int | None:
    return None if fields.any("frames") == UNLIMITED else fields.integer("frames", 1, MAXIMUM_COUNT)


def _text_mapping(fields: Fields) -> dict[str, str]:
    return {key: fields.text(key) for key in fields.names()}
