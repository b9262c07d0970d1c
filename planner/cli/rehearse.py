"""`sam2-plan rehearse`: a plan, or any program, on torch's CUDA build and an imaginary GPU."""

from __future__ import annotations

import sys
from typing import Any

import click

from planner.cli import options
from planner.cli.output import ProgressLine, answer
from planner.errors import UsageError
from planner.text.units import format_size

EPILOG = """\b
Examples:
  sam2-plan --vram 2GB --objects 10 -o plan.yaml && sam2-plan rehearse plan.yaml
  sam2-plan rehearse plan.yaml --vram 1.5GB --fallback
  sam2-plan rehearse plan.yaml --least
  sam2-plan rehearse --gpu "RTX 3060" -- python track.py clip.mp4
  sam2-plan rehearse --vram 4GB --capability 8.9 --least -- python deploy.py

\b
torch's own CUDA build runs unchanged on a GPU that is not there: its allocator, dispatch and choice of kernels are
real, cuDNN states its real workspaces, and kernels do nothing. So bytes are right and values are garbage: a program
whose control flow depends on values (printing a tensor, nonzero) needs --zero-scalars.

\b
A plan runs under its budget, unless --vram or --gpu is given, in a process of its own on frames of noise. A command
runs as it is, with its child processes; its standard output goes to standard error. --least runs either some ten
times more. Writes only the file of -o and, the first time, the imaginary GPU's libraries into the cache folder
($XDG_CACHE_HOME or ~/.cache), which this machine's C compiler builds in seconds; a command may write files of its own.

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
@click.option("--gpu", metavar="NAME", help="GPU to imagine, by name; several for a command, with commas")
@click.option("--vram", metavar="SIZE", help="memory of the GPU  [default: the plan's budget; for a command 24 GB]")
@click.option(
    "--capability", metavar="X.Y", help="compute capability of the GPU  [default: that of the plan's GPU, else 8.6]"
)
@options.runtime(words="whose code runs a plan")
@options.streaming
@click.option("--frames", metavar="N", help="frames to run of a plan's clip without end  [default: 60]")
@click.option(
    "--fallback", is_flag=True, help="if a plan runs out of memory, continue with its next smaller configuration"
)
@click.option("--least", is_flag=True, help="find the least memory in which it completes")
@click.option("--zero-scalars", is_flag=True, help="make numbers 0 that are read from the GPU one by one")
@click.option("--event-lag", type=click.IntRange(0, 10**6), default=0, show_default=True, metavar="N",
              help="how often an event answers that it is not done, as on a slow GPU")  # fmt: skip
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
    from planner.api.plans import Plan
    from planner.api.rehearse import rehearse
    from planner.report.rehearsal import rehearsal_report

    with ProgressLine() as line:

        def tried(memory_bytes: int, completed: bool) -> None:
            line.show(f"least: {format_size(memory_bytes)} {'completes' if completed else 'is too little'}", False)

        found = rehearse(
            list(program) if plan_path is None else Plan.load(plan_path), output=_stderr(), tried=tried, **asked
        )
    answer(output, found.to_dict, lambda style: rehearsal_report(found, style), path)
    context.exit(found.exit_code)


def _stderr() -> Any:
    """Where a program's standard output goes: what this command prints is its answer alone."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError):  # captured, or closed
        return None
