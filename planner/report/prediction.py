"""A prediction for people: its components and phases, and the other runtimes beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from planner.nouns.answers import Beside
from planner.nouns.estimate import Estimate
from planner.nouns.run import Configuration, Workload
from planner.nouns.words import OTHER_MODELS, Runtime
from planner.report.layout import Style
from planner.report.text import context_lines, describe_workload, exact_lines, host_line, memory_lines
from planner.text.command_lines import describe
from planner.text.units import format_size

LABEL = 20
RUNTIMES_IN_WORDS: dict[Runtime, str] = {
    "own": "the runtime of sam2-plan run",
    "stock": "the stock predictors of the sam2 package",
    "transformers": "the SAM 2 of Hugging Face transformers",
    "ultralytics": "the SAM 2 of Ultralytics",
    "reimplementation": "a published re-implementation (sam2 issue 118)",
}


def prediction_report(
    configuration: Configuration,
    workload: Workload,
    estimate: Estimate,
    runtime: Runtime,
    beside: Sequence[Beside],
    style: Style,
    gpu: str | None = None,
) -> str:
    """The text of a prediction; gpu: the name of the GPU, if one was named."""
    lines = [
        f"{style(describe(configuration), bold=True)}: {describe_workload(workload)}",
        "on Hugging Face transformers" if configuration.variant in OTHER_MODELS else f"on {RUNTIMES_IN_WORDS[runtime]}",
        "",
    ]
    lines += memory_lines(estimate, estimate.upper_bytes, style)
    lines += context_lines(estimate, gpu is not None)
    lines.append(host_line(estimate.host_components, estimate.host_bytes_reason))
    lines += exact_lines(estimate, None)
    lines += ["", style("Phases", bold=True)]
    for phase in estimate.phases:
        mark = "  <- peak" if phase.name == estimate.peak_phase else ""
        lines.append(f"  {phase.name:<{LABEL}}{format_size(phase.allocated_bytes):>9} allocated{mark}")
    lines += [
        "",
        f"  allocated {format_size(estimate.allocated_bytes)}, reserved {format_size(estimate.reserved_bytes)}, "
        f"total {format_size(estimate.total_bytes)}, least {format_size(estimate.least_bytes)}, upper bound "
        f"{format_size(estimate.upper_bytes)}",
    ]
    if estimate.extrapolated:
        lines.append(style(f"  extrapolated: {'; '.join(estimate.extrapolated_because)}", "yellow"))
    lines += ["", style("On other runtimes", bold=True), *_beside(beside, runtime, style)]
    lines += _why_less(beside, workload, style)
    return style.page(lines)


def _beside(beside: Sequence[Beside], runtime: Runtime, style: Style) -> list[str]:
    """A line for each runtime, that of the prediction marked."""
    rows = [["", "", "allocated", "at least", "total", "at most", "on the host"]]
    notes = []
    for one in beside:
        sizes = (one.allocated_bytes, one.least_bytes, one.total_bytes, one.upper_bytes, one.host_bytes)
        mark = ">" if one.runtime == runtime and one.origin == "predicted" else ""
        name = "published" if one.origin == "published" else one.runtime
        rows.append([mark, name, *("" if size is None else format_size(size) for size in sizes)])
        notes += [f"{name}: {one.note}"] if one.note else []
    return [*style.table(rows, (2, 3, 4, 5, 6), keys=2), *(f"  {note}" for note in notes)]


def _why_less(beside: Sequence[Beside], workload: Workload, style: Style) -> Iterator[str]:
    """One paragraph, where ours takes less than something that stands beside it."""
    own, *others = beside
    if own.total_bytes is None:
        return
    if not any((one.allocated_bytes or one.total_bytes or 0) > _same_figure(own, one) for one in others):
        return
    reasons = ["the blocks of the image encoder run in strips of rows, so that their largest arrays never exist whole"]
    if workload.task == "video":
        reasons += ["frames are streamed", "the memory bank keeps only what SAM 2 will read again"]
    else:
        reasons += ["the modules that only video runs are left out"]
    if workload.task == "automask":
        reasons += ["few masks at a time are enlarged to the picture's size"]
    reasons += ["weights are cast before they reach the GPU"]
    text = f"Why ours takes less: {', '.join(reasons[:-1])}, and {reasons[-1]}. What is computed is the same."
    if any(one.origin == "published" and one.allocated_bytes is not None for one in others):
        text += (
            " The publication states what is allocated (torch.cuda.max_memory_allocated); the process takes the total, "
            "with the allocator's cache and the CUDA context."
        )
    yield ""
    yield style.prose(text)


def _same_figure(own: Beside, other: Beside) -> int:
    """Ours, of the figure that the other is compared by."""
    return (own.allocated_bytes if other.allocated_bytes is not None else own.total_bytes) or 0
