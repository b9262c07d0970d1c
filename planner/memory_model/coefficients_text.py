"""Coefficients as text and as plain data: what planner.memory_model.coefficients reads. Needs no numpy."""

from __future__ import annotations

import json
from math import inf
from typing import Any

from planner.memory_model.coefficients import SCHEMA_VERSION
from planner.memory_model.laws import Coefficients, Correction, Group, Law, Margin


def coefficients_text(c: Coefficients) -> str:
    """The text of coefficients, as committed: what is common, then a line of JSON for each group."""
    head: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "name": c.memory_model, "profiles": list(c.profiles)}
    head |= {"versions": dict(c.versions), "beyond": c.beyond}
    head["margins"] = [
        {"runtime": runtime, "task": task, "kind": kind, **_margin(margin)}
        for (runtime, task, kind), margin in c.margins.items()
    ]
    head["least"] = [{"runtime": key[0], "task": key[1], "share": share} for key, share in c.least.items()]
    head["corrections"] = [correction_entry(one) for one in c.corrections]
    return "\n".join([json.dumps(head), *(json.dumps(group_entry(group)) for group in c.groups.values())]) + "\n"


def group_entry(group: Group) -> dict[str, Any]:
    """The laws of a group as plain data, which parse_coefficients reads."""
    return {
        "group": [group.whose, group.task, group.width, group.generation],
        "provenance": group.provenance,
        "most_reserved": None if group.most_reserved == inf else group.most_reserved,
        "largest_objects": group.largest_objects,
        "largest_frame_pixels": group.largest_frame_pixels,
        "pixels": list(next(iter(group.laws[0].curves.values())).pixels),
        "resolutions": [list(size) for size in group.places],
        "run": {variant: sorted(found) for variant, found in group.run.items()},
        "phases": {name: _law(law) for name, law in group.phases.items()},
        **_reserved(group),
        "known": {name: list(sizes) for runs in group.known.values() for name, sizes in runs.items()},
    }


def _reserved(group: Group) -> dict[str, Any]:
    if group.reserved is not None:
        return {"reserved": _law(group.reserved)}
    assert group.small is not None  # one or the other
    return {"extents": {name: _law(law) for name, law in group.extents.items()}, "small": _law(group.small)}


def _law(law: Law) -> dict[str, Any]:
    curves = {variant: [*map(int, curve.bytes), curve.slope] for variant, curve in law.curves.items()}
    spill = law.spill and {"constant": law.spill.constant, "share": law.spill.share, "growth": dict(law.spill.growth)}
    tables = {variant: list(sizes) for variant, sizes in law.tables.items()}
    return {"curves": curves, "growth": dict(law.growth), "spill": spill, "tables": tables}


def _margin(margin: Margin) -> dict[str, Any]:
    return {"ratio": margin.ratio, "rows": margin.rows}


def correction_entry(one: Correction) -> dict[str, Any]:
    """A correction as plain data, likewise."""
    return {
        "gpu": one.gpu,
        "runtime": one.runtime,
        "allocated_ratio": one.allocated_ratio,
        "reserved_ratio": one.reserved_ratio,
        "context_bytes": one.context_bytes,
        "margin": _margin(one.margin),
        "notes": list(one.notes),
    }
