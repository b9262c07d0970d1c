"""A picture of who held the GPU's memory over the traced part of a run, as SVG text.

Stacked areas by component, the peak marked, a light line where each section begins.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from planner.simulator.attribution import Timeline
from planner.text.units import format_size

_WIDTH, _HEIGHT = 960, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 190, 48, 46
_COLOURS = (
    "#4e79a7",
    "#a0cbe8",
    "#9c755f",
    "#f28e2b",
    "#edc948",
    "#59a14f",
    "#8cd17d",
    "#b07aa1",
    "#bab0ac",
    "#e15759",
)
"""Tableau 10, one for each of events.COMPONENTS."""
_LABELLED = ("load", "init", "propagate", "image")


def timeline_svg(timeline: Timeline, title: str) -> str:
    """The picture; `title` says what was run. Empty axes for a timeline without points."""
    highest = max((sum(row) for row in timeline.rows), default=0) or 1
    scale = (_HEIGHT - _TOP - _BOTTOM) / (highest * 1.06)
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(timeline.rows) - 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
        *_axis(highest, scale),
        *_areas(timeline, scale, step),
        *_sections(timeline, step),
        *_peak(timeline, scale, step),
        *_legend(timeline),
        "</svg>",
    ]
    return "\n".join(parts)


def _y(size_bytes: float, scale: float) -> float:
    return round(_HEIGHT - _BOTTOM - size_bytes * scale, 1)


def _axis(highest: int, scale: float) -> list[str]:
    """Grid lines at round sizes, four to eight of them."""
    unit = 10 ** (len(str(highest)) - 1)
    step = next(unit * part for part in (0.1, 0.2, 0.5, 1, 2) if highest / (unit * part) <= 8)
    lines = []
    for number in range(int(highest / step) + 1):
        y = _y(number * step, scale)
        lines.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="#e4e4e4"/>')
        text = format_size(round(number * step)) if number else "0"
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end" fill="#444">{text}</text>')
    return lines


def _areas(timeline: Timeline, scale: float, step: float) -> list[str]:
    below = [0] * len(timeline.rows)
    areas = []
    for number, component in enumerate(timeline.components):
        above = [base + row[number] for base, row in zip(below, timeline.rows, strict=True)]
        if above != below:
            upper = [f"{_LEFT + x * step:.1f},{_y(size, scale)}" for x, size in enumerate(above)]
            lower = [f"{_LEFT + x * step:.1f},{_y(size, scale)}" for x, size in enumerate(below)]
            areas.append(
                f'<polygon points="{" ".join(upper + lower[::-1])}" fill="{_COLOURS[number]}" fill-opacity="0.9">'
                f"<title>{escape(component)}</title></polygon>"
            )
        below = above
    return areas


def _sections(timeline: Timeline, step: float) -> list[str]:
    lines, labelled_to = [], -1.0
    bottom = _HEIGHT - _BOTTOM
    for name, point in timeline.marks:
        x = round(_LEFT + point * step, 1)
        lines.append(f'<line x1="{x}" x2="{x}" y1="{_TOP}" y2="{bottom + 4}" stroke="#555" stroke-opacity="0.25"/>')
        if x >= labelled_to and name != "end":
            lines.append(f'<text x="{x + 2}" y="{bottom + 18}" fill="#444" font-size="11">{escape(name)}</text>')
            labelled_to = x + 7.0 * len(name) + 8
    return lines


def _peak(timeline: Timeline, scale: float, step: float) -> list[str]:
    if not timeline.rows:
        return []
    totals = [sum(row) for row in timeline.rows]
    point = totals.index(max(totals))
    x, y = round(_LEFT + point * step, 1), _y(totals[point], scale)
    anchor = "end" if x > (_WIDTH - _RIGHT) * 0.7 else "start"
    offset = -8 if anchor == "end" else 8
    return [
        f'<circle cx="{x}" cy="{y}" r="4" fill="#222"/>',
        f'<text x="{x + offset}" y="{y - 6}" text-anchor="{anchor}" font-weight="bold">'
        f"peak {format_size(totals[point])}</text>",
    ]


def _legend(timeline: Timeline) -> list[str]:
    x, lines = _WIDTH - _RIGHT + 18, []
    shown = [n for n in range(len(timeline.components)) if any(row[n] for row in timeline.rows)]
    for place, number in enumerate(reversed(shown)):
        y = _TOP + 10 + place * 22
        lines.append(f'<rect x="{x}" y="{y}" width="13" height="13" fill="{_COLOURS[number]}"/>')
        lines.append(f'<text x="{x + 20}" y="{y + 11}">{escape(timeline.components[number])}</text>')
    return lines
