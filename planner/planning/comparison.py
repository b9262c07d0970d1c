"""Two plans side by side: what was asked, what there was, what was decided, and where the bytes went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields

from planner.nouns.answers import BytesBeside, Comparison, Difference
from planner.nouns.plan import Choice, Limits, Plan

UNLIMITED = "unlimited"
ELSEWHERE = {
    "alternatives": "alternatives",
    "rejected": "rejected",
    "stock": "stock",
    "suggestions": "try",
    "warnings": "warnings",
    "command": "command",
    "command_reason": "command_reason",
    "explained": "explained",
}
"""Fields that are not taken apart, with their keys in the document."""


def compare_plans(first: Plan, second: Plan) -> Comparison:
    """What differs between two plans, and their bytes beside each other."""
    sections = zip(_sections(first), _sections(second), strict=True)
    return Comparison(
        first=first,
        second=second,
        differences=tuple(
            Difference(section, name, one.get(name), other.get(name))
            for (section, one), (_, other) in sections
            for name in dict.fromkeys((*one, *other))
            if one.get(name) != other.get(name)
        ),
        figures=tuple(_beside(_figures(first), _figures(second))),
        components=tuple(_beside(_components(first), _components(second))),
        elsewhere=tuple(key for name, key in ELSEWHERE.items() if getattr(first, name) != getattr(second, name)),
    )


def _sections(plan: Plan) -> list[tuple[str, dict[str, object]]]:
    return [
        ("request", _request(plan)),
        ("budget", _budget(plan)),
        ("decision", {"verdict": plan.verdict, "exit_code": plan.exit_code, "candidates": plan.candidates}),
        ("chosen", _chosen(plan.chosen)),
        ("limits", _limits(plan.limits)),
        ("provenance", _provenance(plan)),
    ]


def _request(plan: Plan) -> dict[str, object]:
    workload, pins = plan.request.workload, plan.request.pins
    return {
        "task": workload.task,
        "objects": workload.objects,
        "streams": workload.streams,
        "frames": UNLIMITED if workload.frames is None else workload.frames,
        "frame_size": workload.frame_size,
        "frame_size_assumed": plan.request.frame_size_assumed,
        **{f"pinned {name}": getattr(pins, name) for name in pins.__slots__},
        "prefer": plan.request.prefer,
        "strict": plan.strict,
    }


def _budget(plan: Plan) -> dict[str, object]:
    budget = plan.budget
    found: dict[str, object] = {
        "source": budget.source,
        "total_bytes": budget.total_bytes,
        "headroom_bytes": budget.headroom_bytes,
        "usable_bytes": budget.usable_bytes,
        "headroom_percent": budget.headroom.percent,
        "headroom_fixed_bytes": budget.headroom.bytes,
        "host_bytes": budget.host_bytes,
    }
    if budget.gpu:
        found |= {f"gpu {field.name}": getattr(budget.gpu, field.name) for field in fields(budget.gpu)}
    return found


def _chosen(chosen: Choice | None) -> dict[str, object]:
    if chosen is None:
        return {}
    configuration, estimate = chosen.configuration, chosen.estimate
    return {
        **{field.name: getattr(configuration, field.name) for field in fields(configuration)},
        "quality": chosen.quality,
        "quality_is_estimate": chosen.quality_is_estimate,
        "quality_metric": chosen.quality_metric,
        "frames_per_second": chosen.frames_per_second,
        "frames_per_second_of": chosen.frames_per_second_of,
        "peak_phase": estimate.peak_phase,
        "extrapolated_because": estimate.extrapolated_because,
    }


def _limits(limits: Limits) -> dict[str, object]:
    return {
        "max_objects": limits.max_objects,
        "sure_objects": limits.sure_objects,
        "gpu_objects": limits.gpu_objects,
        "max_frames": UNLIMITED if limits.unlimited_frames else limits.max_frames,
        "max_resolution": limits.max_resolution,
        "sure_resolution": limits.sure_resolution,
        "smallest_total_bytes": limits.smallest_total_bytes,
        "smallest_card": limits.smallest_card,
    }


def _provenance(plan: Plan) -> dict[str, object]:
    provenance = plan.provenance
    return {
        "memory_model": provenance.memory_model,
        "profiles": provenance.profiles,
        **{f"version of {name}": version for name, version in provenance.versions.items()},
    }


def _figures(plan: Plan) -> dict[str, int]:
    estimate = plan.estimate
    if estimate is None:
        return {}
    return {
        "allocated": estimate.allocated_bytes,
        "reserved": estimate.reserved_bytes,
        "context": estimate.context_bytes,
        "total": estimate.total_bytes,
        "least": estimate.least_bytes,
        "upper bound": estimate.upper_bytes,
        "left of the usable": plan.budget.usable_bytes - estimate.total_bytes,
        "on the host": estimate.host_bytes or 0,
    }


def _components(plan: Plan) -> dict[str, int]:
    return {part.name: part.bytes for part in plan.estimate.components} if plan.estimate else {}


def _beside(first: Mapping[str, int], second: Mapping[str, int]) -> Iterator[BytesBeside]:
    """An estimate leaves out components that have no bytes; only a plan without a choice has no figures."""
    for name in dict.fromkeys((*first, *second)):
        yield BytesBeside(name, first.get(name, 0) if first else None, second.get(name, 0) if second else None)
