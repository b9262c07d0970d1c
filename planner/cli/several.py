"""`sam2-plan run` with several inputs: the call, what is seen of it meanwhile, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from planner.cli.output import answer, say, telling
from planner.cli.running import failures_told, show, working
from planner.errors import DeviceWarning

if TYPE_CHECKING:
    from planner.nouns.plan import Plan
    from planner.runs.several import RunsProgress


def run_inputs(output: str, plan: Plan, sources: Sequence[str], *, watch: bool, **asked: Any) -> int:
    """Run, and print what became of all; the exit code."""
    from planner.report.runs import runs_line, runs_report, streams_table
    from planner.runs.several import run_several
    from planner.wire.runs import RUNS

    def tell(progress: RunsProgress) -> None:
        if progress.last is not None and progress.last.warning is not None:
            say(f"warning: {progress.last.warning}")
        done = progress.ended == progress.inputs
        show(line, lambda: runs_line(progress), lambda: streams_table(progress), done)

    with working(asked["out"], watch) as line, telling(DeviceWarning):
        summary = run_several(plan, sources, progress=tell, ended=failures_told(output), **asked)
    answer(output, lambda: RUNS.write(summary), lambda style: runs_report(summary, style))
    return summary.exit_code
