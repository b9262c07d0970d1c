"""The `sam2-plan` command: planning itself, and the commands beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import click

from planner import __version__
from planner.cli import options, settings
from planner.cli.output import OutputFailure, echo, report_error, style_of
from planner.domain import EXIT_USAGE
from planner.errors import EnvironmentFailure, Interrupted, PlannerError, UsageError

EPILOG = """\b
Examples:
  sam2-plan --vram 2GB --task video --objects 10
  sam2-plan --gpu "RTX 3060" --task image --format json
  sam2-plan --vram 8GB --variant large --resolution 2048 -o plan.yaml
  sam2-plan --vram 8GB,24GB --streams 6        several streams, each a process, on two GPUs

\b
Options come from the command line, else the environment (SAM2_PLAN_VRAM; of a command SAM2_PLAN_CHECK_WAIT), else a
file (--config, $SAM2_PLAN_CONFIG, or config.yaml in the data folder), else their defaults.

\b
Exit codes: 0 fits; 1 failed; 2 usage; 3 nothing fits; 4 fits tightly (--strict).
Writes nothing but the file of -o.
"""
COMMANDS = {
    "check": "planner.cli.check",
    "compare": "planner.cli.compare",
    "doctor": "planner.cli.doctor",
    "limits": "planner.cli.limits",
    "need": "planner.cli.need",
    "predict": "planner.cli.predict",
    "gpus": "planner.cli.gpus",
    "checkpoints": "planner.cli.checkpoints",
    "accuracy": "planner.cli.accuracy",
    "measure": "planner.cli.measure",
    "fit": "planner.cli.fit",
    "confirm": "planner.cli.confirm",
    "pick": "planner.cli.pick",
    "simulate": "planner.cli.simulate",
    "run": "planner.cli.run",
    "place": "planner.cli.place",
    "rehearse": "planner.cli.rehearse",
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is called, listed or helped."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, by name."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        return _command(cmd_name) if cmd_name in COMMANDS else None


@cache
def _command(name: str) -> click.Command:
    from importlib import import_module

    return settings.settle(import_module(COMMANDS[name]).command, name)


def _configured(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    if "--help" not in (context.obj or ()):  # help is what somebody with a broken file needs
        settings.load(context, path)
    return path


@click.group(cls=LazyGroup, invoke_without_command=True, epilog=EPILOG, context_settings={"max_content_width": 110})
@options.budget
@options.packing
@options.workload
@options.pins
@options.decision
@options.output_format
@click.option(
    "--config",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    envvar="SAM2_PLAN_CONFIG",
    callback=_configured,
    help="options from a YAML file  [default: config.yaml in the data folder, where it is there]",
)
@click.version_option(__version__, "--program-version", prog_name="sam2-plan")
@click.pass_context
def cli(context: click.Context, /, output: str, path: str | None, exit_zero: bool, **asked: Any) -> None:
    """Which SAM 2 configuration is the best one that fits this GPU, and how sure are we?

    Without a command: plan, for a budget (--vram), a GPU by name (--gpu), or the GPU of this machine.
    """
    if context.invoked_subcommand is not None:
        given = [option for option in settings.options_of(context.command) if _given(context, option)]
        if given:
            option = f"--{settings.long_name(given[0])}"
            raise UsageError(
                f"{option} is an option of planning, not of {context.invoked_subcommand}.",
                f"Options of a command stand behind it; see: sam2-plan {context.invoked_subcommand} --help",
            )
        return
    import planner

    if options.asks_for_several(asked):
        from planner.cli.packing import answer

        code = answer(asked, output, path)
        context.exit(0 if exit_zero and code in (3, 4) else code)
    del asked["gpus"], asked["streams"]
    plan = planner.plan(**asked)
    if path is not None:
        plan.save(path)
    if output == "json":
        from planner.report.document import json_text

        echo(json_text(plan.to_dict()))
    else:
        from planner.report.text import plan_report

        echo(plan_report(plan, style_of(sys.stdout)))
    context.exit(0 if exit_zero and plan.exit_code in (3, 4) else plan.exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code of the contract and never lets an exception out."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    settings.in_force.clear()
    try:
        code = cli.main(args=words, prog_name="sam2-plan", standalone_mode=False, obj=tuple(words))
        return code if isinstance(code, int) else 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _report(Interrupted("Interrupted.", "Files that were complete are kept."), words)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        hint = f"See: {context.command_path if context else 'sam2-plan'} --help"
        variable = settings.variable_that_failed(error)
        return _report(
            UsageError(error.format_message(), f"It comes from {variable}. {hint}" if variable else hint), words
        )
    except PlannerError as error:
        if settings.in_force.note and error.exit_code == EXIT_USAGE:
            error.hint = f"{error.hint.rstrip('.')}. {settings.in_force.note}".removeprefix(". ")
        return _report(error, words)
    except BrokenPipeError:
        # The reader went away (a closed pager, head): nobody is left to tell.
        sys.stdout = None
        return 1
    except OSError as error:
        if error.filename is None:
            return _report(OutputFailure(error), words)
        message = f"{error.filename}: {error.strerror or error}."
        return _report(EnvironmentFailure(message, "Check the path and its permissions."), words)
    except Exception as error:  # the last resort: a user gets a sentence, and whoever debugs it the traceback
        if os.environ.get("SAM2_PLAN_TRACEBACK"):
            raise
        message = f"This is a bug in sam2-plan {__version__}: {type(error).__name__}: {error}"
        hint = "Please report it with the command line; SAM2_PLAN_TRACEBACK=1 shows where it comes from."
        return _report(PlannerError(message, hint), words)


def _report(error: PlannerError, words: Sequence[str]) -> int:
    """Print an error in the form that was asked for, on the command line or elsewhere; returns its exit code."""
    words = words[: words.index("--")] if "--" in words else words  # behind it are another program's
    command = next((word for word in words if word in COMMANDS), None)
    document, oneline = settings.form_of_errors(words, command)
    return report_error(error, document, oneline=oneline)


def run() -> None:
    """Entry point of the console script."""
    sys.exit(main())


settings.settle(cli, None)


def _given(context: click.Context, option: click.Option) -> bool:
    """Whether it stands on the command line; a variable or a file may well speak of planning too."""
    from click.core import ParameterSource

    return option.name != "config" and context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
