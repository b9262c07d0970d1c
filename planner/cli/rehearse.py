"""`sam2-plan rehearse`: a plan, or any program, on torch's CUDA build and an imaginary GPU."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from planner.cli import options
from planner.cli.output import ProgressLine, echo, style_of
from planner.errors import UsageError
from planner.units import format_size

EPILOG = """\b
Examples:
  sam2-plan --vram 2GB --objects 10 -o plan.yaml && sam2-plan rehearse plan.yaml
  sam2-plan rehearse plan.yaml --vram 1.5GB --fallback
  sam2-plan rehearse plan.yaml --least
  sam2-plan rehearse --gpu "RTX 3060" -- python track.py clip.mp4
  sam2-plan rehearse --vram 4GB --capability 8.9 --least -- python deploy.py

\b
torch's own CUDA build runs unchanged on a GPU that is not there: its allocator, dispatch and choice of kernels are
real, cuDNN states its real workspaces, kernels do nothing. So bytes are true, and values are garbage: a program
whose course depends on them (printing a tensor, nonzero) needs --zero-scalars, or goes astray.

\b
A plan runs under its budget unless --vram or --gpu says otherwise, in a process of its own on frames of noise. A
command runs as it is, with its children; what it prints goes to standard error. --least runs either some ten times
more. Writes nothing but -o FILE and, the first time, the imaginary GPU's libraries into the cache folder
($XDG_CACHE_HOME or ~/.cache), which this machine's C compiler builds in seconds; what a command writes, it writes.

\b
Exit codes: 0 it completed; 1 it failed, or cannot be rehearsed here; 2 usage; 3 the plan does not fit; 5 it ran
out of memory, or took more than the plan's upper bound.
Needs Linux, a C compiler, torch's CUDA build and, for a plan, the extra: pip install "sam2-plan[run]".
"""


class _WithProgram(click.Command):
    """A command whose words behind -- are another program's, untouched."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the program aside, options of its own and all."""
        ctx.meta["program"] = ()
        if "--" in args:
            place = args.index("--")
            ctx.meta["program"] = tuple(args[place + 1 :])
            if not ctx.meta["program"]:
                raise UsageError("There is no command behind --.", "Write it there: -- python track.py")
            args = args[:place]
        return super().parse_args(ctx, args)


@click.command("rehearse", cls=_WithProgram, epilog=EPILOG)
@click.argument("plan_path", metavar="PLAN | -- COMMAND...", required=False)
@click.option("--gpu", metavar="NAME", help="the GPU, by name; for a command also several, with commas")
@click.option("--vram", metavar="SIZE", help="the GPU's memory  [default: the plan's budget; of a command 24 GB]")
@click.option("--capability", metavar="X.Y", help="its compute capability  [default: the plan's GPU's, or 8.6]")
@options.runtime(words="whose code runs a plan")
@click.option("--frames", metavar="N", help="of a plan's clip without end  [default: 60]")
@click.option("--fallback", is_flag=True, help="where a plan runs out of memory, go on with its next smaller choice")
@click.option("--least", is_flag=True, help="find the least memory in which it completes")
@click.option("--zero-scalars", is_flag=True, help="numbers that are read from the GPU one by one are 0")
@click.option("--event-lag", type=click.IntRange(0, 10**6), default=0, show_default=True, metavar="N",
              help="how often an event is not done yet: a GPU that is behind")  # fmt: skip
@click.option("-o", "--output", "path", metavar="FILE", help="save the report too, as JSON")
@options.output_format
@click.pass_context
def command(context: click.Context, /, output: str, plan_path: str | None, path: str | None, **asked: Any) -> None:
    """Run PLAN, or any COMMAND, on an imaginary GPU: torch's real memory, without a GPU."""
    program: tuple[str, ...] = context.meta["program"]
    if (plan_path is None) == (not program):
        raise UsageError(
            "There is nothing to rehearse." if plan_path is None else "A plan and a command contradict each other.",
            "Give a plan, or a command: sam2-plan rehearse --gpu NAME -- python track.py",
        )
    from planner.api import Plan
    from planner.documents import write
    from planner.rehearsing import rehearse
    from planner.report.rehearsal import rehearsal_report
    from planner.wire.text import json_text

    line = ProgressLine() if sys.stderr.isatty() else None

    def tried(memory_bytes: int, completed: bool) -> None:
        if line:
            line.show(f"least: {format_size(memory_bytes)} {'completes' if completed else 'is too little'}", False)

    try:
        found = rehearse(
            list(program) if plan_path is None else Plan.load(plan_path),
            output=_stderr(),
            tried=tried,
            **asked,
        )
    finally:
        if line:
            line.end()
    document = json_text(found.to_dict())
    if path:
        write(Path(path), document)
    echo(document if output == "json" else rehearsal_report(found, style_of(sys.stdout)))
    context.exit(found.exit_code)


def _stderr() -> Any:
    """Where a program's standard output goes: what this command prints is its answer alone."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError):  # captured, or closed
        return None
