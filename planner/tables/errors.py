"""The error of the memory model as a table."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from planner.memory_model.assessment import Assessment, Group, Score
from planner.tables.table import Column, Table

_SCORES = tuple(field.name for field in fields(Score) if field.name != "coverage")
ACCURACY = tuple(
    Column(name, "bytes" if name.endswith("_bytes") else "")
    for name in ("section", "name", "truth", *_SCORES, "coverage_low", "coverage_high")
)


def accuracy_table(assessment: Assessment) -> Table:
    """Every score as a row: what was judged, by what truth, how many rows, and the figures as fractions and bytes."""
    sections: dict[str, list[tuple[str, str, Score | None]]] = {
        "whole": _named(assessment.whole),
        "unnamed": _named(assessment.unnamed),
        "allocated": _named(assessment.allocated),
        "held_out": [(f"{group.by} {group.name}", group.truth, group.score) for group in assessment.groups],
        "others": [(f"{name}, {key}", "rehearsed", found) for name, key, found in assessment.others],
    }
    rows: list[tuple[Any, ...]] = [
        (section, name, truth, *(getattr(found, one) for one in _SCORES), *(found.coverage or (None, None)))
        for section, scores in sections.items()
        for name, truth, found in scores
        if found is not None
    ]
    rest = (None,) * (len(ACCURACY) - 5)
    rows += (
        ("public", f"{one.what}, {one.gpu}", "measured by others", 1, one.error, *rest) for one in assessment.public
    )
    return Table("accuracy", ACCURACY, tuple(rows))


def _named(groups: tuple[Group, ...] | list[Group]) -> list[tuple[str, str, Score | None]]:
    return [(group.name, group.truth, group.score) for group in groups]
