"""Plans for people: what was chosen, what it costs, why not better, what to run next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from planner.commands import describe, running_command
from planner.domain import (
    Budget,
    Choice,
    Component,
    Configuration,
    Estimate,
    Plan,
    Rejection,
    Request,
    Suggestion,
    Workload,
)
from planner.units import counted, format_exact_size, format_resolution, format_size

BAR_WIDTH = 40
SHOWN_REJECTIONS = 3
SHOWN_ALTERNATIVES = 3
_LABEL = 20
VERDICT_WORDS = {"fits": "FITS", "tight": "TIGHT", "does_not_fit": "DOES NOT FIT"}
VERDICT_COLOURS = {"fits": "green", "tight": "yellow", "does_not_fit": "red"}


class Style:
    """How text is decorated: colours, and a full block where the terminal can show one."""

    def __init__(self, colours: bool = False, unicode: bool = True) -> None:
        self._colours = colours
        self.block = "█" if unicode else "#"
        self.shade = "░" if unicode else "."

    def __call__(self, text: str, colour: str | None = None, bold: bool = False) -> str:
        """The text in a colour, where colours are on."""
        if not self._colours:
            return text
        import click

        return click.style(text, fg=colour, bold=bold)


def plan_report(plan: Plan, style: Style) -> str:
    """The text of a plan; of one that was made with an explanation, every candidate class."""
    lines = [*head(plan.request, plan.budget), "", *_choice(plan, style), *_warnings(plan, style)]
    if plan.explained is None or plan.chosen is None:
        lines += why_not(plan, style)
        lines += _alternatives(plan, style)
    if plan.explained is not None:
        from planner.report.explanation import explanation

        lines += explanation(plan, style)
    lines += _stock(plan, style)
    lines += _limits(plan, style)
    lines += _next(plan, style)
    return "\n".join(lines) + "\n"


RUNTIMES_IN_WORDS = {
    "own": "the runtime of sam2-plan run",
    "stock": "the stock predictors of the sam2 package",
    "reimplementation": "a published re-implementation (sam2 issue 118)",
}


def prediction_report(
    configuration: Configuration, workload: Workload, estimate: Estimate, runtime: str, style: Style
) -> str:
    """The text of a prediction."""
    lines = [
        f"{style(describe(configuration), bold=True)}: {describe_workload(workload)}",
        f"on {RUNTIMES_IN_WORDS[runtime]}",
        "",
    ]
    lines += memory_lines(estimate, estimate.upper_bytes, style)
    lines += ["", style("Phases", bold=True)]
    for phase in estimate.phases:
        mark = "  <- peak" if phase.name == estimate.peak_phase else ""
        lines.append(f"  {phase.name:<{_LABEL}}{format_size(phase.allocated_bytes):>9} allocated{mark}")
    lines += [
        "",
        f"  allocated {format_size(estimate.allocated_bytes)}, reserved {format_size(estimate.reserved_bytes)}, "
        f"total {format_size(estimate.total_bytes)}, upper bound {format_size(estimate.upper_bytes)}",
    ]
    if estimate.extrapolated:
        lines.append(style(f"  extrapolated: {'; '.join(estimate.extrapolated_because)}", "yellow"))
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Rows as aligned lines; the columns in `right` are right-aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    columns = set(right)
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        padded = [cell.rjust(w) if i in columns else cell.ljust(w) for i, (cell, w) in enumerate(cells)]
        lines.append("  ".join(padded).rstrip())
    return lines


def head(request: Request, budget: Budget) -> list[str]:
    """What was asked, and how its budget was read."""
    where = {"vram": "budget", "gpu": "GPU", "device": "free on"}[budget.source]
    name = f" {budget.gpu.name}:" if budget.gpu else ""
    held = f"{budget.headroom.percent:g} %" if budget.headroom.percent else "fixed"
    headroom = "no headroom" if not budget.headroom_bytes else f"headroom {format_size(budget.headroom_bytes)} ({held})"
    assumed = " (assumed; see --frame-size)" if request.frame_size_assumed else ""
    return [
        f"{where}{name} {format_size(budget.total_bytes)} = {format_exact_size(budget.total_bytes)}; {headroom}; "
        f"usable {format_size(budget.usable_bytes)}",
        f"request  {describe_workload(request.workload)}{assumed}",
    ]


def describe_workload(workload: Workload) -> str:
    """A workload in a few words."""
    size = f"pictures of {format_resolution(workload.frame_size)}"
    objects = f"{workload.objects} object{'s' if workload.objects != 1 else ''}"
    if workload.task == "automask":
        return f"automatic masks, {size}"
    if workload.task == "image":
        return f"image, {objects}, {size}"
    length = "a clip without end" if workload.frames is None else counted(workload.frames, "frame")
    return f"video, {objects}, {length}, {size}"


def _choice(plan: Plan, style: Style) -> list[str]:
    verdict = style(VERDICT_WORDS[plan.verdict], VERDICT_COLOURS[plan.verdict], bold=True)
    chosen = plan.chosen
    if chosen is None:
        return [f"{verdict}  nothing of {plan.candidates:,} candidates fits {format_size(plan.budget.usable_bytes)}"]
    configuration = chosen.configuration
    origin = "estimate" if chosen.quality_is_estimate else "published"
    how = describe_way(configuration, plan.request.workload)
    lines = [
        f"{verdict}  {style(describe(configuration), bold=True)}{how}",
        f"  accuracy {chosen.quality} J&F (SA-V test, {origin}){_speed(chosen)}; "
        f"best of {plan.candidates:,} candidates by {plan.request.prefer}",
        "",
    ]
    return [*lines, *memory_lines(chosen.estimate, plan.budget.usable_bytes, style), *_room(plan, chosen, style)]


def describe_way(configuration: Configuration, workload: Workload) -> str:
    """How a configuration is run, where that is worth a word, each with a comma before it."""
    parts = []
    if workload.task == "automask":
        parts.append(f"{configuration.object_batch} points per batch")
    elif configuration.object_batch > 1:
        parts.append(f"{configuration.object_batch} objects per pass")
    if workload.task == "video" and configuration.bounded_memory_bank:
        parts.append("bounded memory bank")
    if configuration.offload_state:
        parts.append("memory bank on the host")
    if configuration.attention != "auto":
        parts.append(f"{configuration.attention} attention")
    return "".join(f", {part}" for part in parts)


def _speed(chosen: Choice) -> str:
    if chosen.frames_per_second is None:
        return ""
    return f"; about {chosen.frames_per_second:.0f} frames/s on an A100 (estimate)"


def memory_lines(estimate: Estimate, scale_bytes: int, style: Style, title: str = "Memory at the peak") -> list[str]:
    """An estimate by component, with a bar for each that is full at `scale_bytes`."""
    lines = [style(title, bold=True) + f" (phase: {estimate.peak_phase})"]
    lines += component_bars(estimate.components, max(scale_bytes, estimate.total_bytes), style)
    bound = f"upper bound {format_size(estimate.upper_bytes)}"
    total = f"{format_size(estimate.total_bytes):>9}"
    lines.append(f"  {'total':<{_LABEL}}{style(total, bold=True)}  {bound}")
    return lines


def component_bars(components: Sequence[Component], scale_bytes: int, style: Style) -> list[str]:
    """A line for each component: name, size, a bar that is full at `scale_bytes`, and where the figure is from."""
    label = max(_LABEL, *(len(component.name) + 1 for component in components))
    lines = []
    for component in components:
        bar = style.block * max(1, round(BAR_WIDTH * component.bytes / scale_bytes))
        size = format_size(component.bytes)
        lines.append(f"  {component.name:<{label}}{size:>9}  {style(bar, 'cyan')} {component.provenance}")
    return lines


def _room(plan: Plan, chosen: Choice, style: Style) -> list[str]:
    usable = plan.budget.usable_bytes
    left = usable - chosen.estimate.total_bytes
    empty = style.shade * max(0, round(BAR_WIDTH * left / max(usable, 1)))
    return [f"  {'left of the usable':<{_LABEL}}{format_size(left):>9}  {empty}"]


def _warnings(plan: Plan, style: Style) -> list[str]:
    return ["", *(style(f"! {warning}", "yellow") for warning in plan.warnings)] if plan.warnings else []


def why_not(plan: Plan, style: Style) -> list[str]:
    """The best of what was turned down."""
    if not plan.rejected:
        return ["", "Nothing better was turned down: this is the best there is for the request."]
    shown = plan.rejected[:SHOWN_REJECTIONS]
    title = "Why not better" if plan.chosen else "Nearest misses"
    rows = [_rejection(rejection) for rejection in shown]
    lines = ["", style(title, bold=True), *(f"  {line}" for line in table(rows, right=(1, 2)))]
    more = len(plan.rejected) - len(shown)
    if more and plan.explained is None:
        lines.append(f"  and {more} more: --explain")
    return lines


def _rejection(rejection: Rejection) -> list[str]:
    name = describe(rejection.configuration)
    if rejection.need_bytes is None or rejection.short_by_bytes is None:
        return [name, "", "", rejection.reason]
    need = f"needs {format_size(rejection.need_bytes)}"
    return [name, need, f"short by {format_size(rejection.short_by_bytes)}", f"largest part: {rejection.component}"]


def _alternatives(plan: Plan, style: Style) -> list[str]:
    if not plan.alternatives:
        return []
    shown = plan.alternatives[:SHOWN_ALTERNATIVES]
    rows = [
        [
            describe(choice.configuration),
            format_size(choice.estimate.total_bytes),
            f"J&F {choice.quality}{' (estimate)' if choice.quality_is_estimate else ''}",
            "" if choice.frames_per_second is None else f"{choice.frames_per_second:.0f} frames/s",
        ]
        for choice in shown
    ]
    return ["", style("Also fits", bold=True), *(f"  {line}" for line in table(rows, right=(1,)))]


def _stock(plan: Plan, style: Style) -> list[str]:
    stock = plan.stock
    what = f"stock predictor, {describe(stock.configuration)}"
    if stock.total_bytes is not None:
        outcome = f"needs {format_size(stock.total_bytes)}, which {'fits' if stock.fits else 'does not fit'}"
        outcome += f": {stock.reason}" if stock.reason else ""
        if stock.first_frame_out_of_memory:
            outcome += f" (at frame {stock.first_frame_out_of_memory:,})"
    else:
        outcome = stock.reason
    return ["", style("Stock sam2", bold=True), f"  {what}: {outcome}"]


def _limits(plan: Plan, style: Style) -> list[str]:
    limits = plan.limits
    rows = []
    if plan.chosen:
        if limits.max_objects is not None:
            rows.append(f"at most {limits.max_objects:,} objects")
        if limits.unlimited_frames:
            rows.append("any number of frames")
        if limits.max_resolution:
            rows.append(f"up to {format_resolution(limits.max_resolution)}")
    if limits.smallest_total_bytes is not None:
        card = f" (a {limits.smallest_card} card)" if limits.smallest_card else ""
        rows.append(f"some plan exists from {format_size(limits.smallest_total_bytes)}{card}")
    if not rows:
        rows = list(limits.reasons.values())[-1:]
    return ["", style("Limits", bold=True), f"  {'; '.join(rows)}"]


def suggestion_lines(suggestions: Sequence[Suggestion], style: Style) -> list[str]:
    """What was verified to help, with its commands."""
    lines = ["", style("Try", bold=True)] if suggestions else []
    for suggestion in suggestions:
        lines += [f"  {suggestion.change}:", f"    {suggestion.command}"]
    return lines


def _next(plan: Plan, style: Style) -> list[str]:
    lines = suggestion_lines(plan.suggestions, style)
    if plan.chosen:
        # A plan of a release that could not run it yet names no command.
        command = plan.command or running_command(plan.request, plan.budget)
        lines += ["", style("Next", bold=True), "  keep this plan and run it (prompts, weights: sam2-plan run --help):"]
        lines.append(f"    {command}")
    return lines
