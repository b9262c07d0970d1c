"""The comparison as Markdown. Takes the JSON document of compare_estimators, so that a table can be remade from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from estimators.cases import CPU_RUN, NO_TRUTH, PUBLISHED, REHEARSED, Case

_INTRODUCTION = {
    CPU_RUN: """## Against a real run on the CPU

The same code was run for real on the CPU; its highest sum of live tensor bytes (torch.profiler's memory events, from
the building of the model on) is the truth. Figures are MB (10⁶ bytes) of tensors, with the error against that truth;
what a tool adds for allocator, context or safety is left out here, because the truth has none of it.

FakeTensor and MemTracker cannot run stock sam2 by themselves. This script builds the model for real, replaces
parameters, buffers and the rotary tables (plain attributes, which MemTracker's track_external does not see) by fake
tensors inside of them, forces autocast, replaces the picture's transforms and the conversion of masks to numpy, and
resets MemTracker's module statistics between frames. Given that, they see every tensor that the
code makes, but not what kernels take for themselves: on the CPU the copy that max_pool2d makes of a query that is not
contiguous.""",
    REHEARSED: """## Against rehearsals

The stock predictors ran on torch's own CUDA build and an imaginary GPU (docs/rehearsing.md); the truth is torch's own
max_memory_allocated. Figures are MB of tensors, with the error against that. Rows were drawn at random of those that
the harness here can run: one object, pictures of 1080x1920, capability 8.6. FakeTensor and MemTracker are
helped as above. Where sam2-plan's laws were fitted to a row, that says nothing of its predictions; docs/accuracy.md has
those of rows that were held out. Its simulator is fitted to nothing.""",
    PUBLISHED: """## Against a published figure of another stack

`torch.cuda.max_memory_allocated()` as published; the code measured was a re-implementation of SAM 2.0, not the stock
predictor that is estimated here, and its GPU is not known. The errors say how far apart the two are, not who is
right.""",
    NO_TRUTH: """## For a GPU, where there is no truth here

No GPU was at hand: nothing in this table is measured. Tensors in MB for compute capability 8.6; in parentheses what
the tool shows in the end where it adds more (allocator, context, margins). It shows what a trace for the CPU leaves
out.""",
}


def markdown(document: dict[str, Any]) -> str:
    """The document as text: what was run, a table per kind of truth, a summary, and what was not possible."""
    estimators = document["estimators"]
    lines = [
        "# Estimators of GPU memory, side by side",
        "",
        f"Made by `{document['command']}` on {document['date']}: {_versions(document['versions'])}.",
        f"One process per estimate on {document['machine']}; the whole comparison took {document['seconds']:.0f} s.",
        "",
        *_estimator_table(estimators, document["rows"]),
    ]
    reasons: list[str] = []
    for kind in (CPU_RUN, REHEARSED, PUBLISHED, NO_TRUTH):
        rows = [row for row in document["rows"] if row["truth"]["kind"] == kind]
        if rows:
            lines += ["", _INTRODUCTION[kind], "", *_case_table(rows, estimators, kind, reasons)]
    if reasons:
        lines += ["", "## Not possible", "", "What a tool could not do, in its own words where it raised an error:", ""]
        lines += [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join(lines) + "\n"


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _estimator_table(estimators: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    heads = ("estimator", "version", "its figure", "median error", "worst", "too low by > 1 %", "s", "max RSS")
    yield from _head(heads)
    kind = REHEARSED if any(row["truth"]["kind"] == REHEARSED for row in rows) else CPU_RUN
    for estimator in estimators:
        if estimator["missing"]:
            yield _line(estimator["title"], "missing", estimator["missing"], *[""] * 5)
            continue
        name = estimator["name"]
        errors = [error for row in rows if (error := _error(row, name, kind)) is not None]
        answers = [row["answers"][name] for row in rows if row["answers"].get(name, {}).get("peak_bytes")]
        measured = len([row for row in rows if row["truth"]["kind"] == kind])
        yield _line(
            estimator["title"],
            estimator["version"],
            estimator["what"],
            f"{median(map(abs, errors)):.1%} of {len(errors)}/{measured}" if errors else "–",
            f"{max(errors, key=abs):+.1%}" if errors else "–",
            str(sum(error < -0.01 for error in errors)),
            f"{median(answer['seconds'] for answer in answers):.1f}" if answers else "–",
            f"{max(answer['max_rss_bytes'] for answer in answers) / 1e9:.1f} GB" if answers else "–",
        )
    yield ""
    truth = "rehearsals" if kind == REHEARSED else "CPU runs"
    yield (
        f"Errors are against the {truth} below (answers given / cases asked). Seconds: median of an estimate, the "
        "model's building included, the import of libraries not. Max RSS: the largest of one estimate's process."
    )


def _case_table(
    rows: Sequence[dict[str, Any]], estimators: Sequence[dict[str, Any]], kind: str, reasons: list[str]
) -> Iterator[str]:
    present = [estimator for estimator in estimators if not estimator["missing"]]
    truth = () if kind == NO_TRUTH else ("truth",)
    yield from _head(("configuration", *truth, *(estimator["title"] for estimator in present)))
    for row in rows:
        cells = [Case(**row["case"]).title]
        if truth:
            known = row["truth"]
            cells.append(
                _megabytes(known["peak_bytes"]) if known["peak_bytes"] else _footnote(known["reason"], reasons)
            )
        for estimator in present:
            answer = row["answers"].get(estimator["name"])
            cells.append(_cell(answer, estimator, row, kind, reasons))
        yield _line(*cells)


def _cell(
    answer: dict[str, Any] | None, estimator: dict[str, Any], row: dict[str, Any], kind: str, reasons: list[str]
) -> str:
    if answer is None:
        return "not asked"
    if answer["peak_bytes"] is None:
        return "not possible " + _footnote(f"{estimator['title']}: {answer['reason']}", reasons)
    text = _megabytes(answer["peak_bytes"])
    if kind == NO_TRUTH:
        return f"{text} ({_megabytes(answer['headline_bytes'])})" if answer["headline_bytes"] else text
    error = _error(row, estimator["name"], kind)
    return text if error is None else f"{text} ({error:+.1%})"


def _error(row: dict[str, Any], name: str, kind: str) -> float | None:
    """(estimate − truth) / truth; None without either."""
    answer, truth_bytes = row["answers"].get(name), row["truth"]["peak_bytes"]
    if row["truth"]["kind"] != kind or not truth_bytes or not answer or answer["peak_bytes"] is None:
        return None
    return float((answer["peak_bytes"] - truth_bytes) / truth_bytes)


def _footnote(reason: str, reasons: list[str]) -> str:
    if reason not in reasons:
        reasons.append(reason)
    return f"[{reasons.index(reason) + 1}]"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f}"


def _head(titles: Sequence[str]) -> Iterator[str]:
    yield _line(*titles)
    yield _line(*["---"] * len(titles))


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
