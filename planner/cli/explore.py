"""`sam2-plan explore`: a plan changed with the arrow keys."""

from __future__ import annotations

import shutil
import sys
from typing import Any

import click

from planner.cli import options
from planner.cli.output import answer
from planner.errors import EnvironmentFailure, UsageError

EPILOG = """\b
Examples:
  sam2-plan explore --vram 8GB
  sam2-plan explore --gpu "RTX 3060" --task image
  sam2-plan explore --vram 4GB --objects 10 --frames 2000

\b
It begins at the best plan. Up and down go through variant, resolution, precision, objects, frames and budget; left and
right change them; the bar and the verdict follow. Enter prints the command that plans what is shown (json: the plan);
q leaves without. Needs the extra explore, and a terminal.

\b
Exit codes: 0 printed or left; 1 failed; 2 usage, no terminal, or one that is too small. Writes nothing.
"""


@click.command("explore", epilog=EPILOG)
@options.budget
@options.workload
@options.torch
@options.output_format
def command(output: str, **asked: Any) -> None:
    """Change a plan with the arrow keys, and see at once whether it fits."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError(
            "explore needs a terminal for its keys and its screen; this is a pipe or a file.",
            "Plan without it (sam2-plan --vram 8GB), or make a page with sliders (--report FILE).",
        )
    try:
        from planner.cli.explorer import Explorer, too_small
    except ImportError as error:
        raise EnvironmentFailure(
            f"explore needs Textual: {error}.", 'Install it with: pip install "sam2-plan[explore]"'
        ) from None
    words = too_small(*shutil.get_terminal_size())
    if words is not None:
        raise UsageError(words, "Enlarge it; or plan without it: sam2-plan --vram 8GB")
    from planner.cli.exploration import Exploration

    found = Explorer(Exploration(asked)).run()
    if found is not None:
        plan = found.plan
        answer(output, plan.to_dict, lambda _: found.command + "\n")
