"""Plans for people: what was chosen, what it costs, why not better, what to run next."""

from __future__ import annotations

from collections.abc import Sequence

from planner.nouns.estimate import Asked, Component, Estimate
from planner.nouns.plan import Choice, Plan, Rejection, Stock, Suggestion
from planner.nouns.request import Budget, Request
from planner.nouns.run import Configuration, Workload
from planner.nouns.words import Preference, Verdict
from planner.planning.choice_limits import MAXIMUM_OBJECTS
from planner.report.layout import Style as Style
from planner.report.layout import table as table
from planner.text.command_lines import SAVED, describe, download_command, planning_command, run_command
from planner.text.units import counted, format_exact_size, format_resolution, format_size, portrait

BAR_WIDTH = 40
SHOWN_REJECTIONS = 3
SHOWN_ALTERNATIVES = 6
_LABEL = 20
_BEST: dict[Preference, str] = {
    "quality": "the most accurate",
    "speed": "the fastest",
    "balanced": "the best trade of accuracy for speed",
}
VERDICT_WORDS: dict[Verdict, str] = {"fits": "FITS", "tight": "TIGHT", "does_not_fit": "DOES NOT FIT"}
VERDICT_COLOURS: dict[Verdict, str] = {"fits": "green", "tight": "yellow", "does_not_fit": "red"}


def plan_report(plan: Plan, style: Style, saved: str | None = None) -> str:
    """The text of a plan; of one that was made with an explanation, every candidate class.

    saved: where the plan was kept, if it was.
    """
    lines = [*head(plan.request, plan.budget), "", *_choice(plan, style), *_warnings(plan, style)]
    if plan.explained is None or plan.chosen is None:
        lines += why_not(plan, style)
        lines += _alternatives(plan, style)
    if plan.explained is not None:
        from planner.report.explanation import explanation

        lines += explanation(plan, style)
    lines += _stock(plan, style)
    lines += _limits(plan, style)
    lines += suggestion_lines(plan.suggestions, style)
    lines += _next(plan, style, saved)
    return style.page(lines)


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
        *host_head(budget),
        f"request  {describe_workload(request.workload)}{assumed}",
    ]


def host_head(budget: Budget) -> list[str]:
    """What the host has for it, where that is known."""
    if budget.host_bytes is None:
        return []
    whose = "as given" if budget.host_source == "given" else "what is available of it"
    return [f"host     {format_size(budget.host_bytes)} of memory ({whose})"]


def describe_workload(workload: Workload) -> str:
    """A workload in a few words."""
    size = f"pictures of {format_resolution(workload.frame_size)}"
    size += " (portrait)" if portrait(workload.frame_size) else ""
    objects = f"{workload.objects} object{'s' if workload.objects != 1 else ''}"
    if workload.task == "automask":
        return f"automatic masks, {size}"
    if workload.task == "image":
        return f"image, {objects}, {size}"
    length = "a clip without end" if workload.frames is None else counted(workload.frames, "frame")
    if workload.streams > 1:
        each = f"{counted(workload.streams, 'clip')} at once in one process, each with {objects}"
        return f"video, {each} and {'without end' if workload.frames is None else length}, {size}"
    return f"video, {objects}, {length}, {size}"


def no_generation(plan: Plan) -> str | None:
    """Why the GPU runs none of the candidates, where all have one reason; None where memory is what is lacking."""
    reasons = {entry.reason for entry in plan.rejected if entry.component == "capability"}
    every = all(entry.component == "capability" for entry in plan.rejected)
    return reasons.pop() if plan.chosen is None and every and len(reasons) == 1 else None


def _choice(plan: Plan, style: Style) -> list[str]:
    verdict = style(VERDICT_WORDS[plan.verdict], VERDICT_COLOURS[plan.verdict], bold=True)
    chosen = plan.chosen
    if chosen is None:
        if (reason := no_generation(plan)) is not None:
            return [f"{verdict}  none of {plan.candidates:,} candidates runs there: {reason}"]
        none = f"none of {plan.candidates:,} candidates fits"
        none = "the only candidate does not fit" if plan.candidates == 1 else none
        host = plan.budget.host_bytes
        beside = "" if host is None else f" on the GPU and {format_size(host)} on the host"
        asked = plan.provenance.exact
        found = [f"  {'exact':<{_LABEL}}{_runs(asked)}: nothing that may fit does"] if asked else []
        return [f"{verdict}  {none} {format_size(plan.budget.usable_bytes)}{beside}", *found]
    configuration = chosen.configuration
    how = describe_way(configuration, plan.request.workload)
    lines = [
        f"{verdict}  {style(describe(configuration), bold=True)}{how}",
        f"  {accuracy_words(chosen)}; {best_of(plan)}",
        *speed_lines(chosen, plan.request.workload.streams),
        "",
    ]
    lines += memory_lines(chosen.estimate, plan.budget.usable_bytes, style)
    return [*lines, *_room(plan, chosen, style), *exact_lines(chosen.estimate, plan.provenance.exact)]


def exact_lines(estimate: Estimate, asked: Asked | None) -> list[str]:
    """How the bytes were found, where no law predicted them; of a plan that was to be exact and is not, that it is not.

    asked: what an exact plan took; None of a single prediction.
    """
    exact = estimate.exact
    if exact is None:
        return [f"  {'exact':<{_LABEL}}no: predicted; {_runs(asked)}"] if asked else []
    card = f"an imaginary {exact.gpu}" if exact.gpu else f"capability {exact.capability[0]}.{exact.capability[1]}"
    versions = [f"torch {exact.torch}", *([f"cuDNN {exact.cudnn}"] if exact.cudnn else [])]
    over = f", over {counted(exact.frames, 'frame')}" if exact.frames else ""
    took = f"; {_runs(asked)}" if asked else ""
    return [f"  {'exact':<{_LABEL}}{exact.method} on {', '.join(versions)}, {card}{over}{took}"]


def _runs(asked: Asked) -> str:
    return f"{counted(asked.runs + asked.remembered, 'run')}, {asked.remembered} from the cache"


def best_of(plan: Plan) -> str:
    """What the choice is the best of, and in which sense."""
    if plan.candidates == 1:
        return "the only candidate"
    return f"{_BEST[plan.request.prefer]} of {plan.candidates:,} candidates"


def describe_way(configuration: Configuration, workload: Workload) -> str:
    """How a configuration is run, where that is worth a word, each with a comma before it."""
    parts = []
    if workload.task == "automask":
        parts.append(f"{counted(configuration.object_batch, 'point')} per batch")
    elif configuration.object_batch > 1:
        parts.append(f"{configuration.object_batch} objects per pass")
    if workload.task == "video" and configuration.bounded_memory_bank:
        parts.append("bounded memory bank")
    if configuration.offload_state:
        parts.append("memory bank on the host")
    if configuration.attention != "auto":
        parts.append(f"{configuration.attention} attention")
    return "".join(f", {part}" for part in parts)


def accuracy_words(chosen: Choice) -> str:
    """Accuracy with its measure and whether it is an estimate; or that it is not known."""
    if chosen.quality is None:
        return "accuracy not known"
    origin = "estimate" if chosen.quality_is_estimate else "published"
    return f"accuracy {chosen.quality} ({chosen.quality_metric or 'J&F on SA-V test'}; {origin})"


def speed_lines(chosen: Choice, streams: int = 1) -> list[str]:
    """The published speed of this card and case, if there is one, which the streams of one process share."""
    if chosen.frames_per_second is None:
        return []
    shared = f", shared by {streams} clips" if streams > 1 else ""
    source = chosen.frames_per_second_of or "of an earlier release"
    return [f"  {chosen.frames_per_second:g} frames/s{shared}: {source}"]


def memory_lines(estimate: Estimate, scale_bytes: int, style: Style, title: str = "Memory at the peak") -> list[str]:
    """An estimate by component, with a bar for each that is full at `scale_bytes`."""
    lines = [style(title, bold=True) + f" (phase: {estimate.peak_phase})"]
    lines += component_bars(estimate.components, max(scale_bytes, estimate.total_bytes), style)
    bound = f"upper bound {format_size(estimate.upper_bytes)}"
    if estimate.least_bytes < estimate.total_bytes:
        bound += f"; it completes in {format_size(estimate.least_bytes)}, without room to spare"
    total = f"{format_size(estimate.total_bytes):>9}"
    lines.append(f"  {'total':<{_LABEL}}{style(total, bold=True)}  {bound}")
    if excess := estimate.load_excess_bytes:
        note = "more than running does: with less it would fit at rest, but not survive loading"
        lines.append(f"  {'loading takes':<{_LABEL}}{format_size(excess):>9}  {note}")
    return lines


def context_lines(estimate: Estimate, named: bool) -> list[str]:
    """The band of the context, where it is one; named: whether the GPU is."""
    low, high = estimate.context_low_bytes, estimate.context_high_bytes
    if low == high:
        return []
    band = f"{format_size(low)} to {format_size(high)}"
    return [f"  {'context may take':<{_LABEL}}{band}{'' if named else ', by the card; name it with --gpu'}"]


def host_line(components: Sequence[Component], reason: str | None, limit_bytes: int | None = None) -> str:
    """What the host holds, by component, and of how much where that is known."""
    if not components:
        return f"  {'on the host':<{_LABEL}}not known: {reason}"
    total = format_size(sum(part.bytes for part in components))
    parts = ", ".join(f"{part.name} {format_size(part.bytes)}" for part in components)
    of = "" if limit_bytes is None else f" of {format_size(limit_bytes)}"
    return f"  {'on the host':<{_LABEL}}{total:>9}{of}  {parts}"


def component_bars(components: Sequence[Component], scale_bytes: int, style: Style) -> list[str]:
    """A line for each component: name, size, a bar that is full at `scale_bytes`, and where the figure is from."""
    label = max(_LABEL, *(len(component.name) + 1 for component in components))
    full = style.bar_width(BAR_WIDTH, label + 14 + max(len(component.provenance) for component in components))
    lines = []
    for component in components:
        bar = style.block * max(1, round(full * component.bytes / scale_bytes))
        size = format_size(component.bytes)
        lines.append(f"  {component.name:<{label}}{size:>9}  {style(bar, 'cyan')} {component.provenance}")
    return lines


def _room(plan: Plan, chosen: Choice, style: Style) -> list[str]:
    usable = plan.budget.usable_bytes
    left = usable - chosen.estimate.total_bytes
    full = style.bar_width(BAR_WIDTH, _LABEL + 14)
    empty = style.shade * max(0, round(full * left / max(usable, 1)))
    held = host_line(chosen.estimate.host_components, chosen.estimate.host_bytes_reason, plan.budget.host_bytes)
    context = context_lines(chosen.estimate, plan.budget.gpu is not None)
    if left < 0:
        short = f"{format_size(-left)} of cache have to be given back"
        return [*context, f"  {'left of the usable':<{_LABEL}}{'none':>9}  {short}", held]
    return [*context, f"  {'left of the usable':<{_LABEL}}{format_size(left):>9}  {empty}", held]


def _warnings(plan: Plan, style: Style) -> list[str]:
    return ["", *(style(f"! {warning}", "yellow") for warning in plan.warnings)] if plan.warnings else []


def why_not(plan: Plan, style: Style) -> list[str]:
    """The best of what was turned down."""
    if not plan.rejected:
        return ["", "Nothing better was turned down: this is the best there is for the request."]
    shown = plan.rejected[:SHOWN_REJECTIONS]
    title = "Why not better" if plan.chosen else "Nearest misses"
    rows = [_rejection(rejection) for rejection in shown]
    lines = ["", style(title, bold=True), *(line for row in style.rows(rows, (1, 2)) for line in row)]
    more = len(plan.rejected) - len(shown)
    if more and plan.explained is None:
        lines.append(f"  and {more} more: --explain")
    return lines


def _rejection(rejection: Rejection) -> list[str]:
    name = describe(rejection.configuration)
    if rejection.need_bytes is None or rejection.short_by_bytes is None:
        return [name, "", "", rejection.reason]
    need = f"needs {format_size(rejection.need_bytes)}"
    if rejection.total_bytes is not None and rejection.total_bytes > rejection.need_bytes:
        need = f"needs at least {format_size(rejection.need_bytes)}"
    if rejection.component == "host":
        return [name, need, f"short by {format_size(rejection.short_by_bytes)}", "on the host"]
    return [name, need, f"short by {format_size(rejection.short_by_bytes)}", f"largest part: {rejection.component}"]


def _alternatives(plan: Plan, style: Style) -> list[str]:
    if not plan.alternatives:
        return []
    shown = plan.alternatives[:SHOWN_ALTERNATIVES]
    usable = plan.budget.usable_bytes
    rows = [
        [
            "TIGHT" if choice.estimate.upper_bytes > usable else "FITS",
            describe(choice.configuration) + _unlike(choice, plan),
            format_size(choice.estimate.total_bytes),
            f"bound {format_size(choice.estimate.upper_bytes)}",
            _accuracy(choice),
            "" if choice.frames_per_second is None else f"{choice.frames_per_second:g} frames/s",
        ]
        for choice in shown
    ]
    return ["", style("Also fits", bold=True), *(line for row in style.rows(rows, (2,)) for line in row)]


def _accuracy(choice: Choice) -> str:
    if choice.quality is None:
        return ""
    measure = (choice.quality_metric or "J&F").split(" on ")[0]
    return f"{measure} {choice.quality}{' (estimate)' if choice.quality_is_estimate else ''}"


def _unlike(choice: Choice, plan: Plan) -> str:
    """The way of running it, where that differs from the choice's."""
    assert plan.chosen is not None
    one, other = choice.configuration, plan.chosen.configuration
    found = []
    if one.offload_state != other.offload_state:
        found.append(f"memory bank on the {'host' if one.offload_state else 'GPU'}")
    if one.object_batch != other.object_batch:
        unit, turn = ("point", "batch") if plan.request.workload.task == "automask" else ("object", "pass")
        found.append(f"{counted(one.object_batch, unit)} per {turn}")
    return "".join(f", {words}" for words in found)


def _stock(plan: Plan, style: Style) -> list[str]:
    lines = [_elsewhere(plan.stock, "stock predictor")]
    for other in plan.others:
        lines.append(_elsewhere(other, f"{other.runtime}{', streaming' if other.streaming else ''}"))
    heading = "Stock sam2, and the runtimes that were asked for" if plan.others else "Stock sam2"
    return ["", style(heading, bold=True), *lines]


def _elsewhere(stock: Stock, name: str) -> str:
    """The same on another runtime, in one line."""
    what = f"{name}, {describe(stock.configuration)}"
    if stock.total_bytes is not None:
        host = "" if stock.host_bytes is None else f" (and {format_size(stock.host_bytes)} on the host)"
        outcome = f"needs {format_size(stock.total_bytes)}{host}, which {'fits' if stock.fits else 'does not fit'}"
        outcome += f"{'' if stock.fits else ':'} {stock.reason}" if stock.reason else ""
        if stock.first_frame_out_of_memory:
            outcome += f" (at frame {stock.first_frame_out_of_memory:,})"
    else:
        outcome = stock.reason
    return f"  {what}: {outcome}"


def _limits(plan: Plan, style: Style) -> list[str]:
    limits = plan.limits
    rows = []
    if plan.chosen:
        one = plan.chosen.configuration
        rows.append(f"{one.variant} {one.version}, in any precision and way of running it that is open:")
        if limits.max_objects is not None:
            of_these = []
            if (limits.sure_objects or 0) < MAXIMUM_OBJECTS:
                of_these.append(f"{limits.sure_objects or 0:,} surely")
            if limits.gpu_objects is not None and limits.gpu_objects < limits.max_objects:
                of_these.append(f"{limits.gpu_objects:,} with the memory bank on the GPU")
            more = f" ({', '.join(of_these)})" if of_these else ""
            at = format_resolution(one.resolution)
            if limits.max_objects < MAXIMUM_OBJECTS:
                rows.append(f"  at most {limits.max_objects:,} objects at {at}{more}")
            else:
                rows.append(f"  as many objects as the host's memory holds at {at}{more}")
        parts = []
        if limits.unlimited_frames or limits.max_frames is not None:
            length = "any number of" if limits.unlimited_frames else f"at most {limits.max_frames:,}"
            parts.append(f"{length} frames")
        if limits.max_resolution:
            sure = f"{format_resolution(limits.sure_resolution)} surely" if limits.sure_resolution else "none surely"
            parts.append(f"up to {format_resolution(limits.max_resolution)} ({sure})")
        rows.append(f"  {'; '.join(parts)}")
    if limits.smallest_total_bytes is not None:
        card = f" (a {limits.smallest_card} card)" if limits.smallest_card else ""
        rows.append(f"some plan exists from {format_size(limits.smallest_total_bytes)}{card}")
    if not rows:
        rows = list(limits.reasons.values())[-1:]
    return ["", style("Limits", bold=True), *(f"  {row}" for row in rows)]


def suggestion_lines(suggestions: Sequence[Suggestion], style: Style) -> list[str]:
    """What was verified to help, with its commands."""
    lines = ["", style("Try", bold=True)] if suggestions else []
    for suggestion in suggestions:
        lines += [f"  {suggestion.change}:", f"    {suggestion.command}"]
    return lines


def _next(plan: Plan, style: Style, saved: str | None) -> list[str]:
    """What keeps the plan, unless that was done, fetches its weights and runs it."""
    if plan.chosen is None:
        return []
    request = plan.request
    steps = [download_command(saved or SAVED), run_command(request, plan.chosen.configuration, saved or SAVED)]
    if saved is None:
        exact = plan.provenance.exact is not None
        steps.insert(0, planning_command(request, plan.budget, "-o", SAVED, strict=plan.strict, exact=exact))
    point = "" if request.workload.task == "automask" else ", the point lies on your object"
    kept = "fetch the weights and run it" if saved else "keep this plan, fetch its weights and run it"
    return ["", style("Next", bold=True), f"  {kept}; INPUT is your file{point}:", *(f"    {step}" for step in steps)]
