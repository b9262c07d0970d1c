"""Plans and estimates as the plain data of the JSON contract, and as JSON or YAML text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from planner.documents import dump
from planner.domain import (
    Asked,
    Budget,
    Choice,
    Component,
    Configuration,
    Estimate,
    Exact,
    Gpu,
    Limits,
    Plan,
    Rejection,
    Request,
    Stock,
    Workload,
)
from planner.errors import PlannerError

if TYPE_CHECKING:
    from planner.answers import Beside, Explained

SCHEMA_VERSION = 1
UNLIMITED = "unlimited"


def plan_document(plan: Plan) -> dict[str, Any]:
    """The document of a plan, keys as in the contract. Nothing is omitted: what is not known is null."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "plan",
        "request": request_document(plan.request),
        "budget": budget_document(plan.budget),
        "verdict": plan.verdict,
        "strict": plan.strict,
        "exit_code": plan.exit_code,
        "chosen": _choice(plan.chosen) if plan.chosen else None,
        "estimate": estimate_document(plan.estimate) if plan.estimate else None,
        "alternatives": [
            {"chosen": _choice(choice), "estimate": estimate_document(choice.estimate)} for choice in plan.alternatives
        ],
        "rejected": [_rejection(rejection) for rejection in plan.rejected],
        "limits": _limits(plan.limits),
        "stock": _stock(plan.stock),
        "try": [{"change": item.change, "command": item.command} for item in plan.suggestions],
        "warnings": list(plan.warnings),
        "command": plan.command,
        "command_reason": plan.command_reason,
        "candidates": plan.candidates,
        "provenance": {
            "profiles": list(plan.provenance.profiles),
            "memory_model": plan.provenance.memory_model,
            "versions": dict(plan.provenance.versions),
            "exact": _asked(plan.provenance.exact),
        },
        "explained": None if plan.explained is None else [_explained(one) for one in plan.explained],
    }


def prediction_document(
    configuration: Configuration, workload: Workload, estimate: Estimate, runtime: str, beside: Sequence[Beside]
) -> dict[str, Any]:
    """What `predict` prints."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "prediction",
        "runtime": runtime,
        "configuration": configuration_document(configuration),
        "workload": {
            "task": workload.task,
            "objects": workload.objects,
            "frames": UNLIMITED if workload.frames is None else workload.frames,
            "frame_size": list(workload.frame_size),
        },
        "estimate": estimate_document(estimate),
        "runtimes": [_beside(one) for one in beside],
    }


def _beside(one: Beside) -> dict[str, Any]:
    return {
        "runtime": one.runtime,
        "origin": one.origin,
        "allocated_bytes": one.allocated_bytes,
        "reserved_bytes": one.reserved_bytes,
        "total_bytes": one.total_bytes,
        "least_bytes": one.least_bytes,
        "upper_bytes": one.upper_bytes,
        "host_bytes": one.host_bytes,
        "note": one.note,
    }


def error_document(error: PlannerError) -> dict[str, Any]:
    """What `--format json` prints in place of an answer."""
    return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}


def configuration_document(configuration: Configuration) -> dict[str, Any]:
    """A configuration as plain data."""
    return {
        "variant": configuration.variant,
        "version": configuration.version,
        "resolution": list(configuration.resolution),
        "precision": configuration.precision,
        "attention": configuration.attention,
        "object_batch": configuration.object_batch,
        "bounded_memory_bank": configuration.bounded_memory_bank,
        "offload_video": configuration.offload_video,
        "offload_state": configuration.offload_state,
    }


def estimate_document(estimate: Estimate) -> dict[str, Any]:
    """An estimate as plain data; the components add up to total_bytes."""
    return {
        "allocated_bytes": estimate.allocated_bytes,
        "reserved_bytes": estimate.reserved_bytes,
        "context_bytes": estimate.context_bytes,
        "context_low_bytes": estimate.context_low_bytes,
        "context_high_bytes": estimate.context_high_bytes,
        "total_bytes": estimate.total_bytes,
        "least_bytes": estimate.least_bytes,
        "upper_bytes": estimate.upper_bytes,
        "components": [_component(component) for component in estimate.components],
        "phases": [
            {
                "name": phase.name,
                "allocated_bytes": phase.allocated_bytes,
                "components": [_component(component) for component in phase.components],
            }
            for phase in estimate.phases
        ],
        "peak_phase": estimate.peak_phase,
        "extrapolated": estimate.extrapolated,
        "extrapolated_because": list(estimate.extrapolated_because),
        **host_document(estimate.host_components, estimate.host_bytes_reason),
        "exact": _exact(estimate.exact),
    }


def _exact(exact: Exact | None) -> dict[str, Any] | None:
    if exact is None:
        return None
    return {
        "method": exact.method,
        "gpu": exact.gpu,
        "capability": list(exact.capability),
        "torch": exact.torch,
        "cudnn": exact.cudnn,
        "sam2": exact.sam2,
        "frames": exact.frames,
    }


def _asked(asked: Asked | None) -> dict[str, Any] | None:
    return None if asked is None else {"runs": asked.runs, "remembered": asked.remembered, "left": asked.left}


def host_document(components: Sequence[Component], reason: str | None) -> dict[str, Any]:
    """The host's part of an estimate; the components add up to host_bytes, which is null where there are none."""
    return {
        "host_bytes": sum(part.bytes for part in components) if components else None,
        "host_components": [_component(component) for component in components],
        "host_bytes_reason": reason,
    }


def json_text(document: dict[str, Any]) -> str:
    """One JSON document with a newline."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def one_line(document: dict[str, Any]) -> str:
    """One JSON document on one line, for logs."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"


def plan_text(plan: Plan, suffix: str) -> str:
    """The text of a plan file: JSON for ".json", else YAML."""
    document = plan_document(plan)
    return json_text(document) if suffix == ".json" else dump(document)


def request_document(request: Request) -> dict[str, Any]:
    """A request as plain data."""
    workload, pins = request.workload, request.pins
    return {
        "task": workload.task,
        "objects": workload.objects,
        "frames": UNLIMITED if workload.frames is None else workload.frames,
        "frame_size": list(workload.frame_size),
        "frame_size_assumed": request.frame_size_assumed,
        "pins": {
            "variant": pins.variant,
            "version": pins.version,
            "resolution": list(pins.resolution) if pins.resolution else None,
            "precision": pins.precision,
            "attention": pins.attention,
        },
        "prefer": request.prefer,
    }


def budget_document(budget: Budget) -> dict[str, Any]:
    """A budget as plain data."""
    return {
        "total_bytes": budget.total_bytes,
        "headroom_bytes": budget.headroom_bytes,
        "usable_bytes": budget.usable_bytes,
        "source": budget.source,
        "host_bytes": budget.host_bytes,
        "host_source": budget.host_source,
        "host_bytes_reason": None if budget.host_bytes is not None else _why_no_host(budget),
        "headroom": {"fixed_bytes": budget.headroom.bytes, "percent": budget.headroom.percent},
        "gpu": gpu_document(budget.gpu) if budget.gpu else None,
    }


def _why_no_host(budget: Budget) -> str:
    if budget.source == "device":
        return "the system does not say what is available"
    return "a budget or a card by name may be on any machine: see --host-memory"


def gpu_document(gpu: Gpu) -> dict[str, Any]:
    """A GPU as plain data."""
    return {
        "name": gpu.name,
        "total_bytes": gpu.total_bytes,
        "free_bytes": gpu.free_bytes,
        "capability": list(gpu.capability) if gpu.capability else None,
        "uuid": gpu.uuid,
        "index": gpu.index,
        "driver": gpu.driver,
    }


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        **configuration_document(choice.configuration),
        "quality": choice.quality,
        "quality_is_estimate": choice.quality_is_estimate,
        "quality_metric": choice.quality_metric,
        "quality_reason": choice.quality_reason,
        "frames_per_second": choice.frames_per_second,
        "frames_per_second_of": choice.frames_per_second_of,
        "frames_per_second_reason": choice.frames_per_second_reason,
    }


def _component(component: Component) -> dict[str, Any]:
    return {"name": component.name, "bytes": component.bytes, "provenance": component.provenance}


def _rejection(rejection: Rejection) -> dict[str, Any]:
    return {
        "configuration": configuration_document(rejection.configuration),
        "need_bytes": rejection.need_bytes,
        "total_bytes": rejection.total_bytes,
        "limit_bytes": rejection.limit_bytes,
        "short_by_bytes": rejection.short_by_bytes,
        "component": rejection.component,
        "reason": rejection.reason,
    }


def _explained(explained: Explained) -> dict[str, Any]:
    return {
        "rank": explained.rank,
        "outcome": explained.outcome,
        "configuration": configuration_document(explained.configuration),
        "quality": explained.quality,
        "quality_is_estimate": explained.quality_is_estimate,
        "quality_reason": explained.quality_reason,
        "frames_per_second": explained.frames_per_second,
        "frames_per_second_reason": explained.frames_per_second_reason,
        "need_bytes": explained.need_bytes,
        "total_bytes": explained.total_bytes,
        "upper_bytes": explained.upper_bytes,
        "limit_bytes": explained.limit_bytes,
        "short_by_bytes": explained.short_by_bytes,
        "left_bytes": explained.left_bytes,
        "component": explained.component,
        "component_bytes": explained.component_bytes,
        "excess_bytes": explained.excess_bytes,
        "lost_by": explained.lost_by,
        "reason": explained.reason,
    }


def _limits(limits: Limits) -> dict[str, Any]:
    return {
        "max_objects": limits.max_objects,
        "sure_objects": limits.sure_objects,
        "gpu_objects": limits.gpu_objects,
        "max_frames": UNLIMITED if limits.unlimited_frames else limits.max_frames,
        "max_resolution": list(limits.max_resolution) if limits.max_resolution else None,
        "sure_resolution": list(limits.sure_resolution) if limits.sure_resolution else None,
        "smallest_total_bytes": limits.smallest_total_bytes,
        "smallest_card": limits.smallest_card,
        "reasons": dict(limits.reasons),
    }


def _stock(stock: Stock) -> dict[str, Any]:
    return {
        "configuration": configuration_document(stock.configuration),
        "total_bytes": stock.total_bytes,
        "least_bytes": stock.least_bytes,
        "host_bytes": stock.host_bytes,
        "fits": stock.fits,
        "tight": stock.tight,
        "first_frame_out_of_memory": stock.first_frame_out_of_memory,
        "reason": stock.reason,
    }
