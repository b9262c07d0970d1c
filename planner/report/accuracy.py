"""The accuracy of the memory model, as text and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.memory_model.assessment import Assessment, Judged, Score
from planner.profiles.public import PublicRow
from planner.report.layout import Style
from planner.text.units import format_resolution, format_size
from planner.wire.accuracy import ACCURACY

HEAD = ("n", "median", "p95", "within 2%", "worst under", "", "covered", "over", "failing", "conserved")
CAVEAT = (
    "Rehearsed truth is torch's own CUDA build running the real code on an imaginary GPU: its allocator, its dispatch "
    "and cuDNN's choices are real, and kernels do nothing. The published rows come from one comment on one (unnamed) "
    "GPU and from a re-implementation; its video rows are rounded to 0.1 GB and name no metric."
)
NOTHING_MEASURED = "No row was measured on a GPU: nothing above was held against one."


def accuracy_document(assessment: Assessment) -> dict[str, Any]:
    """The assessment as plain data; errors are relative and signed, positive for too much."""
    c = assessment.coefficients
    return ACCURACY.write(
        assessment,
        memory_model=c.memory_model,
        profiles=c.profiles,
        versions=c.versions,
        held_out=assessment.groups,
        others=[
            {"estimator": name, "name": key, "truth": "rehearsed", "score": found}
            for name, key, found in assessment.others
        ],
        published=[
            {
                "id": fitted.row.id,
                "truth": "published",
                "metric": _metric(fitted),
                "runtime": fitted.row.run.runtime,
                "published_bytes": fitted.truth,
                "predicted_bytes": fitted.predicted,
                "error": fitted.error,
                "left_out_bytes": left_out.predicted,
                "left_out_error": left_out.error,
            }
            for fitted, left_out in assessment.published
        ],
        upper_bound={
            "margins": [
                {"runtime": runtime, "task": task, "kind": kind, "ratio": margin.ratio, "rows": margin.rows}
                for (runtime, task, kind), margin in c.margins.items()
            ],
            "beyond": c.beyond,
        },
    )


def accuracy_report(assessment: Assessment, style: Style | None = None) -> str:
    """The assessment for people."""
    style = style or Style()
    c = assessment.coefficients
    rehearsed = [group for group in assessment.whole if group.truth == "rehearsed"]
    measured = [group for group in assessment.whole if group.truth == "measured"]
    versions = ", ".join(f"{name} {version}" for name, version in c.versions.items())
    lines = [
        f"Memory model {c.memory_model}, fitted to {', '.join(c.profiles)}",
        "",
        *_public(assessment.public, style),
        "",
        style.prose(
            f"Against rehearsed totals ({versions}): runs drawn at random, fitted to by nothing, on a GPU with a name"
        ),
        "",
        *_table("runtime and task", [(group.name, group.score) for group in rehearsed], style),
        "",
        "The same where nobody says which GPU it is",
        "",
        *_table("runtime and task", [(group.name, group.score) for group in assessment.unnamed], style),
        "",
        "The same for what is allocated, in which the allocator's segments of 20 MiB play no part",
        "",
        *_table("runtime and task", [(group.name, group.score) for group in assessment.allocated], style),
        "",
        "Other estimators on the same rows, the context given to all of them",
        "",
        *_table("estimator", [(f"{name}, {key}", found) for name, key, found in assessment.others], style),
        "",
        "Against rehearsed totals, each group predicted by laws that were fitted without any of it",
        "",
        *_table("held out", [(f"{group.by} {group.name}", group.score) for group in assessment.groups], style),
        "",
        *_published(assessment.published, style),
        "",
    ]
    if measured:
        title = f"Against totals measured on {', '.join(one.gpu for one in c.corrections)}"
        lines += [title, "", *_table("runtime and task", [(group.name, group.score) for group in measured], style), ""]
    ends = [style.prose(CAVEAT), *([] if measured else [NOTHING_MEASURED])]
    return style.page([*lines, *_bound(assessment, style), "", *ends])


def _public(rows: Sequence[PublicRow], style: Style) -> list[str]:
    """What others measured, beside the simulation."""
    lines = [["measured by others", "GPU", "torch", "published", "simulated", "error"]]
    for row in rows:
        published = f"{'at most ' * row.at_most}{row.published_bytes / 2**20:,.2f} MiB"
        lines.append(
            [row.what, row.gpu, row.torch, published, f"{row.simulated_bytes / 2**20:,.2f} MiB", f"{row.error:+.2%}"]
        )
    title = "Against what others measured of stock sam2 on real GPUs (allocated; sources in profiles/published)"
    return [style.prose(title), "", *style.table(lines, (3, 4, 5), indent="")]


def _table(title: str, rows: Sequence[tuple[str, Score | None]], style: Style) -> list[str]:
    lines = [[title, *HEAD]]
    for name, found in rows:
        lines.append([name, *(_score(found) if found else ("", "nothing else says anything of it", *[""] * 8))])
    return style.table(lines, range(1, 11) if all(found for _, found in rows) else (), indent="")


def _score(found: Score) -> tuple[str, ...]:
    covered = ""
    if found.covered is not None and found.coverage is not None:
        covered = f"{found.covered} ({found.coverage[0]:.1%} to {found.coverage[1]:.1%})"
    return (
        str(found.rows),
        f"{found.median_error:.2%}",
        f"{found.p95_error:.1%}",
        f"{found.within:.1%}",
        f"{found.worst_under:+.1%}",
        f"{found.worst_under_bytes / 2**20:,.0f} MiB",
        covered,
        "" if found.over_provision is None else f"{found.over_provision:.0%}",
        f"{found.failing:.1%}",
        f"{found.conserved_bytes / 1e9:.1f} GB",
    )


def _published(pairs: Sequence[tuple[Judged, Judged]], style: Style) -> list[str]:
    """Each row with its own leave-one-out prediction beside the fitted one."""
    rows = [["published row", "metric", "published", "fitted", "error", "left out", "error"]]
    for fitted, left_out in pairs:
        configuration = fitted.row.run.configuration
        rows.append(
            [
                f"{configuration.variant} {format_resolution(configuration.resolution)} {fitted.row.run.workload.task}",
                _metric(fitted),
                format_size(fitted.truth),
                format_size(fitted.predicted),
                f"{fitted.error:+.2%}",
                format_size(left_out.predicted),
                f"{left_out.error:+.2%}",
            ]
        )
    title = "Against what was published of a re-implementation in float16 (predict --runtime reimplementation)"
    return [title, "", *style.table(rows, (2, 3, 4, 5, 6), keys=2, indent="")]


def _metric(judged: Judged) -> str:
    return "total" if judged.row.usage.allocated_bytes is None else "allocated"


def _bound(assessment: Assessment, style: Style) -> list[str]:
    c = assessment.coefficients
    rows = [["upper bound", "margin", "n", "coverage that n supports"]]
    for (runtime, task, kind), margin in c.margins.items():
        rows.append([f"{runtime} {task}, {kind}", f"{margin.ratio:.1%}", str(margin.rows), f"{margin.coverage:.1%}"])
    return [
        *style.table(rows, (1, 2, 3), indent=""),
        "",
        style.prose(
            "A margin is what the reserved bytes of n rows, each predicted without it, stay below (split conformal; of "
            "few rows the worst): a further row of the same kind stays below it with the probability that stands "
            f"there. On top come the band of the GPU's context and, beyond what was rehearsed, {c.beyond:.0%} of the "
            "reserved bytes: how far larger resolutions lay above laws that knew only smaller ones."
        ),
    ]
