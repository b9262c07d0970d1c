"""`sam2-plan run --on ray`: the options of a fleet, and its call."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from planner.cli.options import Word
from planner.cli.output import answer, say
from planner.cli.running import failures_told, show, working
from planner.errors import UsageError
from planner.nouns.words import SHARES

if TYPE_CHECKING:
    from planner.fleet.progress import FleetProgress
    from planner.nouns.plan import Plan

OPTIONS = ("address", "card", "share", "workers")
"""What only a fleet takes."""


def fleet_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options, for the command that they belong to."""
    for option in reversed(
        (
            click.option("--on", "engine", type=Word(("ray",)), help="run on a Ray cluster; needs the extra ray"),
            click.option("--address", metavar="HOST:PORT", help="Ray cluster  [default: RAY_ADDRESS, this machine]"),
            # Not called gpu, which would be a budget, and against --device.
            click.option("--gpu", "card", metavar="NAME|SIZE", help="GPU of the cluster  [default: the plan's]"),
            click.option(
                "--share", type=Word(SHARES), default="bound", help="GPU memory of a worker  [default: bound]"
            ),
            click.option("--workers", type=int, metavar="N", help="how many workers  [default: all that find room]"),
        )
    ):
        function = option(function)
    return function


def taken(asked: dict[str, Any]) -> dict[str, Any]:
    """The fleet's options, taken out of what was asked; empty without --on.

    Raises UsageError for one on the command line without it; from elsewhere it may be there for another command.
    """
    engine, found = asked.pop("engine"), {name: asked.pop(name) for name in OPTIONS}
    if engine is not None:
        if engine != "ray":
            raise UsageError(
                f"{engine!r} runs no fleet.", "Give --on ray; sam2-plan place writes jobs for other schedulers."
            )
        return {"gpu": found.pop("card"), **found}
    context = click.get_current_context()
    for name in OPTIONS:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            word = "gpu" if name == "card" else name
            raise UsageError(f"--{word} is for a cluster.", "Add --on ray, or leave it out.")
    return {}


def run_fleet(
    output: str,
    plan: Plan,
    sources: Sequence[str],
    fleet: Mapping[str, Any],
    *,
    streams: int | None,
    watch: bool,
    **asked: Any,
) -> int:
    """Run, and print what became of all; the exit code."""
    if streams is not None:
        raise UsageError("--streams is for one process; a worker of a fleet does one input at a time.", "Leave it out.")
    from planner.fleet.fleet import run_on_ray
    from planner.report.fleet import fleet_line, fleet_table
    from planner.report.runs import runs_report
    from planner.wire.runs import RUNS

    def tell(progress: FleetProgress) -> None:
        show(line, lambda: fleet_line(progress), lambda: fleet_table(progress))

    # Ray prints what it finds about nodes and workers to stdout, which is for the answer; its own logs keep it.
    with (
        working(asked["out"], watch) as line,
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        summary = run_on_ray(
            plan,
            sources,
            progress=tell if watch or line.terminal else None,
            ended=failures_told(output),
            note=lambda text: say(f"warning: {text}"),
            **fleet,
            **asked,
        )
    answer(output, lambda: RUNS.write(summary), lambda style: runs_report(summary, style))
    return summary.exit_code
