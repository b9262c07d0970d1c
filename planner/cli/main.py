"""The `sam2-plan` command: planning itself, and the commands beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from planner import __version__
from planner.cli import options
from planner.cli.output import OutputFailure, echo, report_error, style_of, writing_document
from planner.errors import Interrupted, PlannerError, UsageError

EPILOG = """\b
Examples:
  sam2-plan --vram 2GB --task video --objects 10
  sam2-plan --gpu "RTX 3060" --task image --format json
  sam2-plan --vram 8GB --variant large --resolution 2048 -o plan.yaml

\b
Exit codes: 0 fits; 1 failed; 2 usage; 3 nothing fits; 4 fits tightly (--strict).
Writes nothing but the file of -o.
"""
COMMANDS = {
    "predict": "planner.cli.predict",
    "gpus": "planner.cli.gpus",
    "accuracy": "planner.cli.accuracy",
    "measure": "planner.cli.measure",
    "fit": "planner.cli.fit",
    "confirm": "planner.cli.confirm",
    "simulate": "planner.cli.simulate",
    "run": "planner.cli.run",
    "place": "planner.cli.place",
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is called, listed or helped."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, by name."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        command: click.Command = import_module(COMMANDS[cmd_name]).command
        return command


@click.group(cls=LazyGroup, invoke_without_command=True, epilog=EPILOG, context_settings={"max_content_width": 110})
@options.budget
@options.workload
@options.pins
@options.decision
@options.output_format
@click.version_option(__version__, "--program-version", prog_name="sam2-plan")
@click.pass_context
def cli(context: click.Context, /, output: str, path: str | None, explain: bool, exit_zero: bool, **asked: Any) -> None:
    """Which SAM 2 configuration is the best one that fits this GPU, and how sure are we?

    Without a command: plan, for a budget (--vram), a GPU by name (--gpu), or the GPU of this machine.
    """
    if context.invoked_subcommand is not None:
        given = [name for name in context.params if _given(context, name)]
        if given:
            option = next(p.opts[-1] for p in context.command.params if p.name == given[0])
            raise UsageError(
                f"{option} is an option of planning, not of {context.invoked_subcommand}.",
                f"Options of a command stand behind it; see: sam2-plan {context.invoked_subcommand} --help",
            )
        return
    import planner

    plan = planner.plan(**asked)
    if path is not None:
        plan.save(path)
    if output == "json":
        from planner.report.document import json_text

        echo(json_text(plan.to_dict()))
    else:
        from planner.report.text import plan_report

        echo(plan_report(plan, style_of(sys.stdout), explain))
    context.exit(0 if exit_zero and plan.exit_code in (3, 4) else plan.exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code of the contract and never lets an exception out."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = cli.main(args=words, prog_name="sam2-plan", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        return report_error(Interrupted("Interrupted.", "Files that were complete are kept."), writing_document(words))
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        hint = f"See: {context.command_path if context else 'sam2-plan'} --help"
        return report_error(UsageError(error.format_message(), hint), writing_document(words))
    except PlannerError as error:
        return report_error(error, writing_document(words))
    except BrokenPipeError:
        # The reader went away (a closed pager, head): nobody is left to tell.
        sys.stdout = None
        return 1
    except OSError as error:
        return report_error(OutputFailure(error), writing_document(words))
    except Exception as error:  # the last resort: a user gets a sentence, and whoever debugs it the traceback
        if os.environ.get("SAM2_PLAN_TRACEBACK"):
            raise
        message = f"This is a bug in sam2-plan {__version__}: {type(error).__name__}: {error}"
        hint = "Please report it with the command line; SAM2_PLAN_TRACEBACK=1 shows where it comes from."
        return report_error(PlannerError(message, hint), writing_document(words))


def run() -> None:
    """Entry point of the console script."""
    sys.exit(main())


def _given(context: click.Context, name: str) -> bool:
    from click.core import ParameterSource

    return context.get_parameter_source(name) not in (ParameterSource.DEFAULT, None)
