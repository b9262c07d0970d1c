"""What stands on the pictures of a plan; nothing here imports matplotlib before a figure is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.nouns.estimate import Component
from planner.nouns.plan import Choice, Plan, Rejection
from planner.nouns.words import Verdict
from planner.page.answers import Answer, candidates_of
from planner.text.command_lines import describe
from planner.text.units import counted, format_resolution, format_size

SHOWN_BARS = 4
INK, QUIET, RULE = "#16191d", "#565e69", "#d5d9df"
FITS, TIGHT, FAILS = "#177239", "#8a5a00", "#b3261e"
COLOURS = {
    "weights": "#3f6fd1",
    "memory bank": "#e0a31a",
    "activations": "#35a06a",
    "allocator cache": "#8cb6f2",
    "cuda context": "#96704f",
    "output masks": "#e5674f",
    "kept masks": "#e5674f",
    "frames": "#9a63d8",
}
"""As on the page."""
OTHER_COLOURS = ("#4bb0c0", "#8d95a1")
"""Of components that have none of their own."""
_TITLES: dict[Verdict, str] = {"fits": "FITS", "tight": "TIGHT", "does_not_fit": "DOES NOT FIT"}
_VERDICTS: dict[Verdict, str] = {"fits": FITS, "tight": TIGHT, "does_not_fit": FAILS}
WIDTH = 12.0
"""Inches; the height follows from what is drawn."""
WIDEST_SCALE = 12
"""Largest memory over the smallest, above which the axis is logarithmic."""
GIGA = 1e9


def draw(figure: Any, answer: Answer) -> None:
    """Both pictures on a figure of matplotlib, below the decision; without any accuracy only that of memory."""
    plan = answer.plan
    assert plan is not None
    candidates = candidates_of(answer)[0]
    known = [one for one in candidates if one["quality"] is not None and one["total_bytes"] is not None]
    count = len(_shown(plan)) or len(_misses(plan))
    heights = [0.9 + count * 0.45, *([3.7] if known else [])]
    height = sum(heights) + 1.5
    figure.set_size_inches(WIDTH, height)
    head = "nothing fits" if plan.chosen is None else describe(plan.chosen.configuration)
    figure.suptitle(  # its second line is the room for what was asked
        f"{_TITLES[plan.verdict]}  {head}\n ",
        x=0.01, ha="left", fontsize=18, fontweight="bold", color=_VERDICTS[plan.verdict],
    )  # fmt: skip
    asked = _asked(plan, answer.document.get("streams") or 1)
    figure.text(0.01, 1 - 0.55 / height, asked, color=QUIET, fontsize=12, va="center")
    axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _bars(axes[0], plan)
    if known:
        _points(axes[1], plan, known, len(candidates))


def _asked(plan: Plan, streams: int) -> str:
    """What was asked, in a line."""
    workload, gpu = plan.request.workload, plan.budget.gpu
    parts = [gpu.name] if gpu else []
    usable, total = plan.budget.usable_bytes, plan.budget.total_bytes
    parts.append(f"{format_size(usable)} usable{f' of {format_size(total)}' if usable < total else ''}")
    parts += [f"each of {counted(streams, 'stream')}"] if streams > 1 else []
    parts.append(workload.task)
    if workload.task != "automask":
        parts.append(counted(workload.objects, "object"))
    if workload.task == "video":
        parts.append("a clip without end" if workload.frames is None else counted(workload.frames, "frame"))
    return "  ·  ".join([*parts, f"pictures of {format_resolution(workload.frame_size)}"])


def _bars(axes: Any, plan: Plan) -> None:
    """Memory by component, one bar for each configuration, against budget, usable and bound."""
    shown = _shown(plan)
    colours = colours_of([part for choice in shown for part in choice.estimate.components])
    for place, choice in enumerate(shown):
        _bar(axes, place, choice, colours)
    misses = [] if shown else _misses(plan)
    for place, miss in enumerate(misses):
        _miss(axes, place, miss)
    names = [f"{_name(one)}, {format_size(one.estimate.total_bytes)}" for one in shown] + [_name(one) for one in misses]
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.45, -0.55)
    ends = [choice.estimate.upper_bytes for choice in shown] + [miss.need_bytes or 0 for miss in misses]
    axes.set_xlim(0, max([plan.budget.total_bytes, *ends]) / GIGA * (1.06 if shown else 1.35))
    _budget(axes, plan)
    axes.set_title("Memory at the peak" if shown else "Nearest misses: the least that each completes in", pad=22)
    axes.set_xlabel("GB on the GPU")
    if shown:
        _legend(axes, colours)


def _bar(axes: Any, place: int, choice: Choice, colours: Mapping[str, str]) -> None:
    at = 0
    for part in choice.estimate.components:
        axes.barh(
            place, part.bytes / GIGA, left=at / GIGA, height=0.62, color=colours[part.name], edgecolor="white",
            linewidth=0.6,
        )  # fmt: skip
        at += part.bytes
    upper = choice.estimate.upper_bytes
    axes.plot([at / GIGA, upper / GIGA], [place, place], color=INK, linewidth=1.2)
    axes.plot([upper / GIGA], [place], marker="|", color=INK, markersize=15, markeredgewidth=2)


def _miss(axes: Any, place: int, miss: Rejection) -> None:
    """A configuration that does not fit: its need, or in words why it has none on the GPU."""
    need = 0 if miss.component == "host" else miss.need_bytes or 0
    axes.barh(place, need / GIGA, height=0.62, color=FAILS, alpha=0.35)
    words = f"{format_size(need)}, short by {format_size(miss.short_by_bytes or 0)}" if need else miss.reason[:70]
    axes.text(need / GIGA, place, f"  {words}", va="center", color=FAILS, fontsize=11)


def _name(one: Choice | Rejection) -> str:
    return describe(one.configuration).replace(", ", "\n")


def _shown(plan: Plan) -> list[Choice]:
    """The choice and the first alternatives, one of a name."""
    found: dict[str, Choice] = {}
    for choice in (*([plan.chosen] if plan.chosen else []), *plan.alternatives):
        found.setdefault(describe(choice.configuration), choice)
    return list(found.values())[:SHOWN_BARS]


def _misses(plan: Plan) -> Sequence[Rejection]:
    return plan.rejected[:SHOWN_BARS]


def colours_of(parts: Sequence[Component]) -> dict[str, str]:
    """A colour for each name, as on the page."""
    names = dict.fromkeys(part.name for part in parts)
    others = iter(OTHER_COLOURS * len(names))
    return {name: COLOURS.get(name) or next(others) for name in names}


def _legend(axes: Any, colours: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Any] = [Patch(color=colour, label=name) for name, colour in colours.items()]
    entries.append(Line2D([], [], marker="|", color=INK, markersize=12, markeredgewidth=2, label="upper bound"))
    axes.legend(handles=entries, loc="center left", bbox_to_anchor=(1.01, 0.5))


def _budget(axes: Any, plan: Plan) -> None:
    """What is usable, with its name above the axes, and what is held back behind it."""
    usable, total = plan.budget.usable_bytes, plan.budget.total_bytes
    axes.axvline(usable / GIGA, color=INK, linewidth=1.6, zorder=3)
    if usable < total:
        axes.axvspan(usable / GIGA, total / GIGA, color=RULE, alpha=0.7, zorder=0, linewidth=0)
    axes.text(
        usable / GIGA, 1.02, f"usable {format_size(usable)}", transform=axes.get_xaxis_transform(), ha="center",
        va="bottom", fontsize=10,
    )  # fmt: skip


def _points(axes: Any, plan: Plan, known: Sequence[Mapping[str, Any]], of: int) -> None:
    """Accuracy against memory of every candidate class that has both, each in a shape for what became of it."""
    title = f"Accuracy against memory: {len(known)} of {counted(of, 'candidate')}"
    if len(known) < of:
        title += " have a figure of accuracy"
        title += ", the choice not" if plan.chosen and plan.chosen.quality is None else ""
    axes.set_title(title, pad=22)
    kinds = (
        ("does_not_fit", "does not fit", {"marker": "x", "color": FAILS, "alpha": 0.75, "s": 34}),
        ("fits", "fits", {"marker": "o", "facecolors": "none", "edgecolors": FITS, "alpha": 0.6, "s": 38}),
        (
            "chosen",
            "chosen",
            {"marker": "*", "color": _VERDICTS[plan.verdict], "edgecolors": INK, "s": 340, "zorder": 5},
        ),
    )
    for outcome, label, how in kinds:
        there = [one for one in known if one["outcome"] == outcome]
        if there:
            axes.scatter([_gigabytes(one) for one in there], [one["quality"] for one in there], label=label, **how)
    sizes = [*map(_gigabytes, known), plan.budget.total_bytes / GIGA]
    if max(sizes) > WIDEST_SCALE * min(sizes):
        _logarithmic(axes)
    axes.grid(color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("GB on the GPU, with room to spare")
    axes.set_ylabel((plan.chosen and plan.chosen.quality_metric) or "accuracy, percent")
    _budget(axes, plan)
    _best(axes, known)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def _gigabytes(one: Mapping[str, Any]) -> float:
    return float(one["total_bytes"]) / GIGA


def _best(axes: Any, known: Sequence[Mapping[str, Any]]) -> None:
    """The name of each variant beside the most accurate of it, of several the one that takes least."""
    best: dict[str, Mapping[str, Any]] = {}
    for one in known:
        name = one["configuration"]["variant"]
        if name not in best or _rank(one) > _rank(best[name]):
            best[name] = one
    labels: list[tuple[float, float, str]] = []
    close = (max(one["quality"] for one in known) - min(one["quality"] for one in known)) / 16
    for name, one in sorted(best.items(), key=lambda item: _rank(item[1]), reverse=True):
        if labels and labels[-1][1] - one["quality"] < close:  # they would be written over one another
            x, y, names = labels[-1]
            labels[-1] = (x, y, f"{names}, {name}")
        else:
            labels.append((_gigabytes(one), one["quality"], name))
    axes.margins(y=0.12)
    for x, y, names in labels:
        axes.annotate(names, (x, y), xytext=(3, 6), textcoords="offset points", fontsize=11, fontweight="bold")


def _rank(one: Mapping[str, Any]) -> tuple[float, int]:
    return one["quality"], -one["total_bytes"]


def _logarithmic(axes: Any) -> None:
    """An axis that says 0.5, 1, 2 and not powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
