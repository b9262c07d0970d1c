"""`sam2-plan run` with several inputs: the call, what is seen of it meanwhile, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from planner.cli.output import ProgressLine, ProgressTable, answer, telling
from planner.errors import DeviceWarning, Interrupted

if TYPE_CHECKING:
    from planner.nouns.plan import Plan
    from planner.runs.several import RunsProgress
    from planner.runs.summary import ClipOutcome


def run_inputs(output: str, plan: Plan, sources: Sequence[str], *, watch: bool, **asked: Any) -> int:
    """Run, and print what became of all; the exit code."""
    from planner.report.runs import runs_line, runs_report, streams_table
    from planner.runs.several import run_several
    from planner.wire.runs import RUNS

    def tell(progress: RunsProgress) -> None:
        if progress.last is not None and progress.last.warning is not None:
            say(f"warning: {progress.last.warning}")
        if isinstance(line, ProgressTable):
            line.show_lines(streams_table(progress))
        else:
            line.show(runs_line(progress), progress.ended == progress.inputs)

    def ended(outcome: ClipOutcome) -> None:
        if outcome.status == "failed" and output == "text":  # else the document says it
            say(f"failed: {outcome.name}: {outcome.error}")

    try:
        with ProgressTable() if watch else ProgressLine() as line, telling(DeviceWarning):
            summary = run_several(plan, sources, progress=tell, ended=ended, **asked)
    except KeyboardInterrupt:
        hint = f"What was complete is kept in {asked['out']}; the same command goes on from there."
        raise Interrupted("Stopped at once.", hint) from None
    answer(output, lambda: RUNS.write(summary), lambda style: runs_report(summary, style))
    return summary.exit_code


def say(text: str) -> None:
    """A line on stderr, at once."""
    if ProgressLine.drawn:
        ProgressLine.drawn.clear()
    click.echo(text, err=True)
