"""Saved plans. Every fault of one that is read names the file, the line and the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from planner.nouns.estimate import Estimate
from planner.nouns.plan import Choice, Plan
from planner.text.strict_yaml import Fields, dump, read
from planner.wire.plan import PLAN
from planner.wire.shapes import SCHEMA_VERSION
from planner.wire.text import json_text

EDITED = "Make the plan again; a plan is not edited by hand."


def plan_text(plan: Plan, suffix: str) -> str:
    """The text of a plan file: JSON for ".json", else YAML."""
    document = PLAN.write(plan)
    return json_text(document) if suffix == ".json" else dump(document)


def read_plan(path: Path) -> Plan:
    """The plan in a file that Plan.save wrote. Raises FileError for any other."""
    data = read(path)
    fields = Fields(data, str(path), "a plan")
    if "error" in fields and "kind" not in fields:
        raise fields.complaint("this is the report of an error, not a plan", "Make the plan again.", "error")
    if fields.integer("schema_version") != SCHEMA_VERSION:
        raise fields.complaint("schema_version is not 1", "Make the plan again with this release.", "schema_version")
    values = PLAN.noun(fields)
    chosen, estimate = values["chosen"], values["estimate"]
    if (chosen is None) != (estimate is None):
        raise fields.complaint("chosen and estimate do not go together", EDITED, "chosen")
    values["chosen"] = None if chosen is None else Choice(**chosen, estimate=estimate)
    plan = Plan(**{name: value for name, value in values.items() if name in Plan.__dataclass_fields__})
    _check(plan, fields, data)
    return plan


def _check(plan: Plan, fields: Fields, data: Any) -> None:
    """What a hand-edited plan gets wrong: figures that no longer agree."""
    where = _difference(PLAN.write(plan), data)
    if where is not None:
        mapping, key, at = data, where[0], data
        for step in where:
            if isinstance(at, dict):
                mapping, key = at, step
            at = at[step]
        message = f"{'.'.join(map(str, where))} is not what goes with the rest of the plan"
        raise Fields(mapping, fields.source, fields.what).complaint(message, EDITED, key)
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


def _difference(written: Any, found: Any, where: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
    """The first place where what was read would be written otherwise; what it has not was read as of before."""
    if isinstance(found, dict):
        steps: list[Any] = list(found)
    elif isinstance(found, list) and len(written) == len(found):
        steps = list(range(len(found)))
    else:
        return None if written == found else where
    inner = (_difference(written[step], found[step], (*where, step)) for step in steps)
    return next((place for place in inner if place is not None), None)
