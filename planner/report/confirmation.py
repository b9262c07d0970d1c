"""A confirmation as text and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from planner.commands import describe
from planner.report.document import SCHEMA_VERSION, configuration_document
from planner.report.layout import Style
from planner.units import format_size

if TYPE_CHECKING:
    from planner.confirmation import Compared, Confirmation


def confirmation_document(found: Confirmation) -> dict[str, Any]:
    """The confirmation as plain data."""
    measured = found.measured
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "confirmation",
        "confirmed": found.confirmed,
        "exit_code": found.exit_code,
        "truth": found.truth,
        "summary": found.summary,
        "cap_bytes": found.cap_bytes,
        "gpu": found.gpu,
        "configuration": configuration_document(found.configuration),
        "task": found.workload.task,
        "objects": found.workload.objects,
        "frames": "unlimited" if found.frames is None else found.frames,
        "frame_size": list(found.workload.frame_size),
        "weights": found.weights,
        "outcome": measured.outcome,
        "message": measured.error,
        "failed_phase": measured.phase,
        "alone": measured.alone,
        "seconds_per_frame": measured.seconds_per_frame,
        "upper_bytes": found.predicted.upper_bytes,
        "within_upper_bound": found.within_upper_bound,
        "unaccounted_bytes": found.unaccounted_bytes,
        "components": [compared_document(one) for one in found.components],
        "phases": [compared_document(one) for one in found.phases],
        "versions": dict(measured.versions),
        "recorded": str(found.recorded) if found.recorded else None,
    }


def confirmation_report(found: Confirmation, style: Style) -> str:
    """The confirmation for people."""
    word = found.truth
    lines = [
        style(found.summary, "green" if found.confirmed else "red", bold=True),
        f"  {describe(found.configuration)}",
        "",
        *compared_lines(["component", "predicted", word, "difference", ""], found.components, style),
        "",
        *compared_lines(["phase (allocated)", "predicted", word, "difference", ""], found.phases, style),
    ]
    if found.within_upper_bound is not None:
        where = "below" if found.within_upper_bound else "ABOVE"
        lines += ["", f"the {word} total lies {where} the upper bound of {format_size(found.predicted.upper_bytes)}"]
    if found.measured.error:
        phase = f" in {found.measured.phase}" if found.measured.phase else ""
        lines += ["", f"ended{phase}: {found.measured.error.splitlines()[0]}"]
    if found.measured.alone is False:
        lines += ["", "! other processes used the GPU: the context could not be told apart"]
    if found.recorded:
        lines += ["", f"row added to {found.recorded}"]
    return style.page(lines)


def compared_lines(head: list[str], compared: Sequence[Compared], style: Style) -> list[str]:
    """A table of what was predicted and found, under `head`."""
    rows = [head]
    for one in compared:
        share = "" if one.difference is None or not one.predicted else f"{one.difference / one.predicted:+.1%}"
        rows.append([one.name, _size(one.predicted), _size(one.found), _signed(one.difference), share])
    return style.table(rows, (1, 2, 3, 4))


def _size(size_bytes: int | None) -> str:
    return "not known" if size_bytes is None else _signed(size_bytes).removeprefix("+")


def _signed(size_bytes: int | None) -> str:
    if size_bytes is None:
        return ""
    return ("-" if size_bytes < 0 else "+") + format_size(abs(size_bytes))


def compared_document(one: Compared) -> dict[str, Any]:
    """One line of a comparison as plain data."""
    return {
        "name": one.name,
        "predicted_bytes": one.predicted,
        "found_bytes": one.found,
        "difference_bytes": one.difference,
    }
