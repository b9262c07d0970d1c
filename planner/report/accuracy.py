"""The accuracy of the memory model, as text and as a document."""

from __future__ import annotations

from typing import Any

from planner.memory_model.assessment import Assessment, Scheme, median_error, worst_error
from planner.report.document import SCHEMA_VERSION
from planner.report.text import table
from planner.units import format_resolution, format_size

CAVEAT = (
    "The published rows come from one comment on one (unnamed) GPU and from a re-implementation. The video rows\n"
    "are rounded to 0.1 GB and name no metric. No figure here was measured by this project."
)


def accuracy_document(assessment: Assessment) -> dict[str, Any]:
    """The assessment as plain data; errors are relative and signed, positive for too much."""
    c = assessment.coefficients
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "accuracy",
        "truth": "published",
        "memory_model": c.memory_model,
        "profiles": list(c.profiles),
        "schemes": [_scheme(scheme) for scheme in assessment.schemes],
        "margins": {
            "measured": c.margin_measured,
            "unmeasured": c.margin_unmeasured,
            "beyond": c.margin_beyond,
            "overhead": c.margin_overhead,
        },
        "upper_bound": {"rows": assessment.totals, "covered": assessment.covered},
    }


def accuracy_report(assessment: Assessment) -> str:
    """The assessment for people."""
    lines = [
        f"Memory model {assessment.coefficients.memory_model}, against published rows "
        f"({', '.join(assessment.coefficients.profiles)})",
        "",
    ]
    rows = [["held out", "metric", "n", "median error", "worst error", "worst under-prediction"]]
    for scheme in assessment.schemes:
        for metric in scheme.metrics:
            errors = scheme.errors(metric)
            rows.append(
                [
                    "nothing (fitted)" if scheme.name == "fitted" else scheme.name,
                    metric,
                    str(len(errors)),
                    f"{median_error(errors):.2%}",
                    f"{worst_error(errors):+.2%}",
                    format_size(scheme.worst_under_bytes(metric)),
                ]
            )
    lines += table(rows, right=(2, 3, 4, 5))
    lines += ["", *_rows(assessment), "", *_bound(assessment), "", CAVEAT]
    return "\n".join(lines) + "\n"


def _rows(assessment: Assessment) -> list[str]:
    """Each row with its own leave-one-out prediction beside the fitted one."""
    fitted, left_out = assessment.schemes[0], assessment.schemes[1]
    without = {judged.row.id: judged for judged in left_out.rows}
    rows = [["row", "metric", "published", "fitted", "error", "left out", "error"]]
    for judged in fitted.rows:
        other = without[judged.row.id]
        rows.append(
            [
                f"{judged.row.configuration.variant} {format_resolution(judged.row.configuration.resolution)} "
                f"{judged.row.workload.task}",
                judged.row.metric,
                format_size(judged.row.figure.bytes),
                format_size(judged.predicted_bytes),
                f"{judged.error:+.2%}",
                format_size(other.predicted_bytes),
                f"{other.error:+.2%}",
            ]
        )
    return table(rows, right=(2, 3, 4, 5, 6))


def _bound(assessment: Assessment) -> list[str]:
    c = assessment.coefficients
    n = assessment.totals
    return [
        f"Upper bound: {assessment.covered} of {n} published totals lie below it. Its margins are the worst of the",
        f"held-out rows: activations {c.margin_measured:.1%} at a measured resolution, {c.margin_unmeasured:.0%} for",
        f"what was never measured, {c.margin_beyond:.0%} above the largest resolution; reserve and context "
        f"{c.margin_overhead:.0%}.",
        f"The worst of {n} held-out totals supports a coverage of {n}/{n + 1} = {n / (n + 1):.0%}, not more.",
    ]


def _scheme(scheme: Scheme) -> dict[str, Any]:
    return {
        "held_out": scheme.name,
        "meaning": scheme.meaning,
        "summary": [
            {
                "metric": metric,
                "rows": len(scheme.errors(metric)),
                "median_error": median_error(scheme.errors(metric)),
                "worst_error": worst_error(scheme.errors(metric)),
                "worst_under_bytes": scheme.worst_under_bytes(metric),
            }
            for metric in scheme.metrics
        ],
        "rows": [
            {
                "id": judged.row.id,
                "metric": judged.row.metric,
                "published_bytes": judged.row.figure.bytes,
                "predicted_bytes": judged.predicted_bytes,
                "error": judged.error,
            }
            for judged in scheme.rows
        ],
    }
