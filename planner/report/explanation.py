"""Why not another: every candidate class for people, the choice marked, what is alike on one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from planner.nouns.answers import Explained
from planner.nouns.plan import Plan
from planner.nouns.run import NATIVE
from planner.nouns.words import PRECISIONS
from planner.report.layout import Style
from planner.text.command_lines import describe
from planner.text.units import format_resolution, format_size

MOST_LINES = 20
_PAIRS = {"autocast": ("autocast_bfloat16", "autocast_float16"), "half": ("float16", "bfloat16")}
"""Precisions of the same bytes, with a word for both."""


def explanation(plan: Plan, style: Style) -> list[str]:
    """The lines of a plan that was made with an explanation; none of one that was not."""
    explained = plan.explained
    if not explained:
        return []
    sections = [(title, rows) for title, rows in _sections(explained) if rows]
    width = max(len(row) for _, rows in sections for row in rows)
    laid_out = iter(style.rows([row for _, rows in sections for row in rows], (0, 2, 3)[:width]))
    compared = "the choice" if plan.chosen else "the nearest miss"
    found = [
        "",
        style(f"The {len(explained)} candidate classes in order of preference", bold=True),
        f"  with the component that takes most more than in {compared}; what is alike is one line, JSON has them all",
    ]
    for heading, rows in sections:
        found.append(f"  {heading}")
        for _ in rows:
            lines = next(laid_out)
            chosen = lines[0].lstrip().startswith(">")
            found += [style(line, "green", bold=True) for line in lines] if chosen else lines
    return found


def _sections(explained: Sequence[Explained]) -> list[tuple[str, list[list[str]]]]:
    chosen = next((place for place, one in enumerate(explained) if one.outcome == "chosen"), None)
    if chosen is None:
        return [("None fits:", list(map(_group, _alike(explained))))]
    above, below = explained[:chosen], explained[chosen + 1 :]
    fits = [one for one in below if one.outcome == "fits"]
    fails = [one for one in below if one.outcome != "fits"]
    return [
        ("Would be preferred, but:", _rows(above)),
        ("Chosen:", [_row(explained[chosen])]),
        ("Fits too, but:", list(map(_group, _alike(fits)))),
        ("Ranks below, and does not fit:", list(map(_group, _alike(fails)))),
    ]


def _rows(explained: Sequence[Explained]) -> list[list[str]]:
    """A line each, unless they are many."""
    return list(map(_row, explained)) if len(explained) <= MOST_LINES else list(map(_group, _alike(explained)))


def _alike(explained: Sequence[Explained]) -> Iterable[list[Explained]]:
    """Those of one variant and version that fare alike, at the native resolution and elsewhere; by the best of them."""
    groups: dict[tuple[object, ...], list[Explained]] = {}
    for one in explained:
        key: tuple[object, ...] = (one.reason,)
        if one.outcome != "unsupported":
            native = one.configuration.resolution == NATIVE
            key = one.configuration.variant, one.configuration.version, native, one.lost_by
        groups.setdefault((one.outcome, *key), []).append(one)
    return groups.values()


def _row(one: Explained) -> list[str]:
    mark = f"> {one.rank}" if one.outcome == "chosen" else str(one.rank)
    need = "" if one.need_bytes is None else format_size(_takes(one))
    return [mark, describe(one.configuration), need, _room(one), _why(one)]


def _group(group: list[Explained]) -> list[str]:
    if len(group) == 1:
        return _row(group[0])
    first = group[0]
    if first.outcome == "unsupported":
        return [str(first.rank), f"{len(group)} classes", "", "", first.reason]
    # What breaks the one that comes nearest is what has to give way first.
    nearest = min(group, key=lambda one: one.need_bytes or 0)
    room, why = (_room(nearest), _why(nearest)) if first.outcome == "does_not_fit" else ("", _why(first))
    if first.lost_by == "precision":
        why = "precisions that come after the choice's"
    return [str(first.rank), _name(group), _needs(group), room, why]


def _name(group: Sequence[Explained]) -> str:
    configuration = group[0].configuration
    name = f"{configuration.variant} {configuration.version} at"
    resolutions = {one.configuration.resolution for one in group}
    if len(resolutions) > 1:
        return f"{name} {len(resolutions)} resolutions, {len(group)} classes"
    return f"{name} {format_resolution(configuration.resolution)}, {_precisions(group)}"


def _precisions(group: Sequence[Explained]) -> str:
    found: list[str] = [
        precision for precision in PRECISIONS if precision in {one.configuration.precision for one in group}
    ]
    if len(found) == len(PRECISIONS):
        return "any precision"
    for word, pair in _PAIRS.items():
        if set(pair) <= set(found):
            found = [word if precision == pair[0] else precision for precision in found if precision != pair[1]]
    return ", ".join(found)


def _needs(group: Sequence[Explained]) -> str:
    needs = sorted(_takes(one) for one in group if one.need_bytes is not None)
    least, most = format_size(needs[0]), format_size(needs[-1])
    return least if least == most else f"{least} to {most}"


def _takes(one: Explained) -> int:
    """With room to spare; of what does not fit, the least that it completes in, which is what it is short of."""
    return (one.need_bytes if one.outcome == "does_not_fit" else one.total_bytes) or 0


def _room(one: Explained) -> str:
    if one.short_by_bytes is not None:
        return f"short by {format_size(one.short_by_bytes)}"
    return "" if one.left_bytes is None else f"leaves {format_size(one.left_bytes)}"


def _why(one: Explained) -> str:
    if one.outcome != "does_not_fit":
        return "" if one.outcome == "chosen" else one.reason
    if one.excess_bytes is None:
        return f"largest part: {one.component}"
    return f"{one.component} +{format_size(one.excess_bytes)}"
