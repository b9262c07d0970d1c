"""Answers in notebooks: small pieces of HTML without script or style sheet, readable on light and dark grounds.

Colours lie behind white letters or beside letters of the notebook's own colour; all text is escaped. What is long is
in a fold, as the command line prints it.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from planner.api.confirm import Compared, Confirmation
from planner.api.rehearse import Rehearsal
from planner.nouns.answers import Carried, Comparison, Needed, Packing
from planner.nouns.estimate import Component, Estimate
from planner.nouns.plan import Plan
from planner.nouns.request import Budget
from planner.page.drawing import FAILS, FITS, TIGHT, colours_of
from planner.report.layout import Style
from planner.report.text import VERDICT_WORDS, accuracy_words, describe_workload, plan_report
from planner.tables import budgets, plans
from planner.tables.table import Column, Table
from planner.text.command_lines import describe
from planner.text.units import counted, format_size

GROUND, LINE = "rgba(127,127,127,.2)", "rgba(127,127,127,.9)"
_COLOURS = {"fits": FITS, "tight": TIGHT, "does_not_fit": FAILS}
_COMPARED = (
    Column("part"),
    Column("predicted_bytes", "bytes"),
    Column("found_bytes", "bytes"),
    Column("difference_bytes", "bytes"),
)


def html_of(value: Any) -> str:
    """An answer as HTML. Raises TypeError for a value that is none."""
    if isinstance(value, Plan):
        return _plan(value)
    if isinstance(value, Packing):
        return _packing(value)
    if isinstance(value, Rehearsal):
        return _rehearsal(value)
    if isinstance(value, Confirmation):
        return _confirmation(value)
    if isinstance(value, Estimate):
        return _page("", "", f"{format_size(value.total_bytes)} in all", [_bar(value), _legend(value.components)])
    if isinstance(value, Carried):
        return budgets.limits_table(value)._repr_html_()
    if isinstance(value, Needed):
        return budgets.need_table(value)._repr_html_()
    if isinstance(value, Comparison):
        return plans.comparison_table(value)._repr_html_()
    return _simulation(value)


def _plan(plan: Plan) -> str:
    return _page(*_verdict(plan, plan.verdict), [*_decision(plan), _fold(plan_report(plan, Style()))])


def _verdict(plan: Plan, verdict: str) -> tuple[str, str, str]:
    title = "nothing fits" if plan.chosen is None else describe(plan.chosen.configuration)
    return VERDICT_WORDS[plan.verdict], _COLOURS[verdict], title


def _decision(plan: Plan) -> list[str]:
    """What was asked, and what the choice takes or what is nearest to fitting."""
    parts = [_line(describe_workload(plan.request.workload))]
    budget = plan.budget
    if plan.chosen is None:
        usable = format_size(budget.usable_bytes)
        nearest = plan.rejected[0].reason if plan.rejected else "no configuration is open"
        return [*parts, _line(f"None of {plan.candidates:,} candidates fits the usable {usable}; nearest: {nearest}")]
    estimate = plan.chosen.estimate
    words = f"{format_size(estimate.total_bytes)} of {format_size(budget.usable_bytes)} usable"
    words += f", upper bound {format_size(estimate.upper_bytes)}; {accuracy_words(plan.chosen)}"
    warnings = [_line(f"! {warning}") for warning in plan.warnings]
    return [*parts, _line(words), _bar(estimate, budget), _legend(estimate.components, budget), *warnings]


def _packing(packing: Packing) -> str:
    from planner.report.packing import packing_report

    _, _, title = _verdict(packing.plan, packing.verdict)
    head = VERDICT_WORDS[packing.verdict], _COLOURS[packing.verdict], f"{counted(packing.streams, 'stream')}: {title}"
    table = plans.packing_table(packing)._repr_html_()
    return _page(*head, [*_decision(packing.plan), table, _fold(packing_report(packing, None, Style()))])


def _rehearsal(found: Rehearsal) -> str:
    from planner.report.rehearsal import rehearsal_report

    text = rehearsal_report(found, Style())
    done = found.exit_code == 0
    word = (
        "COMPLETED"
        if done
        else "OUT OF MEMORY"
        if found.ran_out
        else "NOT AS PREDICTED"
        if found.completed
        else "FAILED"
    )
    return _page(word, FITS if done else FAILS, text.split("\n", 1)[0], [_compared(found.components), _fold(text)])


def _confirmation(found: Confirmation) -> str:
    from planner.report.confirmation import confirmation_report

    word, colour = ("CONFIRMED", FITS) if found.confirmed else ("NOT CONFIRMED", FAILS)
    parts = [_line(found.summary), _compared(found.components), _fold(confirmation_report(found, Style()))]
    return _page(word, colour, describe(found.configuration), parts)


def _compared(compared: Sequence[Compared]) -> str:
    if not compared:
        return ""
    rows = tuple((one.name, one.predicted, one.found, one.difference) for one in compared)
    return Table("compared", _COMPARED, rows)._repr_html_()


def _simulation(found: Any) -> str:
    from planner.report.simulation import simulation_report, simulation_title
    from planner.simulator.simulation import Simulation

    if not isinstance(found, Simulation):
        raise TypeError(f"{type(found).__name__} shows itself as nothing but its repr")
    word, colour = ("RUNS OUT", FAILS) if found.runs_out else ("", "")
    words = f"{format_size(found.total_bytes)} in all, {format_size(found.allocated_bytes)} of it allocated"
    bar = _stacked(found.components, found.total_bytes, [])
    parts = [_line(words), bar, _legend(found.components), _fold(simulation_report(found, Style()))]
    return _page(word, colour, simulation_title(found), parts)


def _page(word: str, colour: str, title: str, parts: Sequence[str]) -> str:
    badge = (
        f'<span style="background:{colour};color:#fff;padding:1px 7px;border-radius:3px">{escape(word)}</span> '
        if word
        else ""
    )
    head = f'<div style="font-weight:bold;margin:2px 0">{badge}{escape(title)}</div>'
    return f'<div style="max-width:52em">{head}{"".join(parts)}</div>'


def _line(text: str) -> str:
    return f'<div style="margin:2px 0">{escape(text)}</div>'


def _fold(text: str) -> str:
    """The whole answer, as the command line prints it."""
    return f"<details><summary>all of it</summary><pre>{escape(text)}</pre></details>"


def _bar(estimate: Estimate, budget: Budget | None = None) -> str:
    """Components from zero; lines at the usable budget and, dashed, at the upper bound."""
    marks = [(estimate.upper_bytes, "dashed")]
    marks += [(budget.usable_bytes, "solid")] if budget else []
    return _stacked(estimate.components, max(estimate.total_bytes, *(at for at, _ in marks)), marks)


def _stacked(components: Sequence[Component], end_bytes: int, marks: Sequence[tuple[int, str]]) -> str:
    colours, at, spans = colours_of(components), 0, []
    for part in components:
        where = f"left:{at / end_bytes:.3%};width:{part.bytes / end_bytes:.3%}"
        title = escape(f"{part.name} {format_size(part.bytes)}, {part.provenance}")
        spans.append(
            f'<span title="{title}" style="position:absolute;top:3px;bottom:3px;{where};'
            f'background:{colours[part.name]}"></span>'
        )
        at += part.bytes
    for place, line in marks:
        where = f"left:calc({min(1, place / end_bytes):.3%} - 2px)"
        spans.append(
            f'<span style="position:absolute;top:0;bottom:0;{where};border-left:2px {line} currentColor"></span>'
        )
    return f'<div style="position:relative;height:22px;background:{GROUND}">{"".join(spans)}</div>'


def _legend(components: Sequence[Component], budget: Budget | None = None) -> str:
    colours = colours_of(components)
    parts = [
        f'<span style="white-space:nowrap"><span style="color:{colours[part.name]}">■</span> '
        f"{escape(f'{part.name} {format_size(part.bytes)}')}</span>"
        for part in components
    ]
    lines = "┆ upper bound" + ("" if budget is None else " · │ usable")
    return f'<div style="margin:2px 0">{" · ".join([*parts, lines])}</div>'
