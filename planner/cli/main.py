"""The `sam2-plan` command: planning itself, and the commands beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.cli import options, settings
from planner.cli.helptext import in_order, write_commands
from planner.cli.looks import Saved
from planner.cli.output import OutputFailure, answer, open_what_is_closed, report_error
from planner.errors import EXIT_USAGE, EnvironmentFailure, Interrupted, PlannerError, UsageError
from planner.report.layout import Style
from planner.version import __version__

if TYPE_CHECKING:
    from planner.tables.table import Table

CONTEXT_SETTINGS: dict[str, Any] = {"max_content_width": 110, "help_option_names": ["-h", "--help"]}
EPILOG = """\b
Examples:
  sam2-plan --vram 2GB --task video --objects 10
  sam2-plan --gpu "RTX 3060" --task image --format json
  sam2-plan --vram 8GB --variant large --resolution 2048 -o plan.yaml
  sam2-plan --vram 8GB,24GB --streams 6        several streams, each a process, on two GPUs

\b
An option comes from the command line, else from the environment (SAM2_PLAN_VRAM; for a command SAM2_PLAN_CHECK_WAIT),
else from a file (--config, $SAM2_PLAN_CONFIG, or config.yaml in the data folder), else it has its default.

\b
Exit codes: 0 fits; 1 failed; 2 usage; 3 nothing fits; 4 fits tightly (--strict).
Writes only the files of -o, --report and --plot; --exact also keeps its findings in the cache folder ($XDG_CACHE_HOME).
"""
COMMANDS = {
    "check": "planner.cli.check",
    "compare": "planner.cli.compare",
    "report": "planner.cli.report",
    "explore": "planner.cli.explore",
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

VERSION_HINT = "It pins the version of the checkpoints: 2.0 or 2.1. This program's own version: sam2-plan -V"
MEANT = {
    "version": "sam2-plan -V",
    "help": "sam2-plan --help",
    "plan": "sam2-plan, which plans without a command",
    "list": "sam2-plan gpus",
    "track": "sam2-plan run",
    "segment": "sam2-plan run",
    "download": "sam2-plan checkpoints --download",
    "diff": "sam2-plan compare",
    "info": "sam2-plan doctor",
}
"""What people call commands in other programs."""


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is called, listed or helped."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in order of use."""
        return in_order(COMMANDS)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command, or a UsageError with what may have been meant."""
        name = args[0]
        if name in COMMANDS or name.startswith("-"):
            return super().resolve_command(ctx, args)
        from difflib import get_close_matches

        near = get_close_matches(name.lower(), [*COMMANDS, *MEANT], n=1, cutoff=0.7)
        meant = f"Did you mean: {MEANT.get(near[0], f'sam2-plan {near[0]}')}? " if near else ""
        raise UsageError(f"No such command {name!r}.", f"{meant}See: sam2-plan --help")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them without importing any."""
        write_commands(formatter, COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        return _command(cmd_name) if cmd_name in COMMANDS else None


@cache
def _command(name: str) -> click.Command:
    from importlib import import_module

    return settings.settle(import_module(COMMANDS[name]).command, name)


def _configured(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    if not {"-h", "--help"} & set(context.obj or ()):  # help is what somebody with a broken file needs
        settings.load(context, path)
    return path


@click.group(cls=LazyGroup, invoke_without_command=True, epilog=EPILOG, context_settings=CONTEXT_SETTINGS)
@options.budget
@options.packing
@options.workload
@options.pins
@options.torch
@options.runtimes
@options.decision
@options.table_format
@click.option(
    "--config",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    envvar="SAM2_PLAN_CONFIG",
    callback=_configured,
    help="read options from a YAML file  [default: config.yaml in the data folder, if it exists]",
)
@click.version_option(
    __version__, "-V", "--program-version", prog_name="sam2-plan", help="show this program's version and exit"
)
@click.pass_context
def cli(
    context: click.Context,
    /,
    output: str,
    path: str | None,
    report_path: str | None,
    plot_path: str | None,
    exit_zero: bool,
    **asked: Any,
) -> None:
    """Which SAM 2 configuration is the best one that fits this GPU, and how sure is that?

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

    saved = Saved(path, report_path, plot_path)
    saved.check()
    if options.asks_for_several(asked):
        if asked.pop("exact"):
            raise UsageError(
                "--exact is for a plan of one process on one GPU.",
                "Plan for one; on others of its kind each process takes the same.",
            )
        if asked.pop("runtimes"):
            raise UsageError("--runtime is for a plan of one process.", "Plan for one to compare it with others.")
        from planner.cli.packing import pack_streams

        code = pack_streams(asked, output, saved)
        context.exit(0 if exit_zero and code in (3, 4) else code)
    del asked["gpus"], asked["shared"]
    asked["streams"] = asked["streams"] or 1
    plan = _exact_plan(asked) if asked["exact"] else planner.plan(**asked)
    if path is not None:
        plan.save(path)
    if saved.shown:
        from planner.page.answers import answer_of

        saved.show(answer_of(plan, "plan" if path is None else Path(path).name))

    def text(style: Style) -> str:
        from planner.report.text import plan_report

        return plan_report(plan, style, path)

    def table() -> Table:
        from planner.tables.plans import plan_table

        return plan_table(plan)

    answer(output, plan.to_dict, text, table=table)
    context.exit(0 if exit_zero and plan.exit_code in (3, 4) else plan.exit_code)


def _exact_plan(asked: dict[str, Any]) -> Any:
    import planner
    from planner.cli.exact import telling_progress

    with telling_progress() as progress:
        return planner.plan(**asked, progress=progress)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code of the contract and never lets an exception out."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    settings.in_force.clear()
    open_what_is_closed()
    if words == ["--version"]:  # everywhere else that is the program's
        click.echo("--version 2.0|2.1 pins the version of the checkpoints; -V is this program's:", err=True)
        words = ["-V"]
    elif _version_lacks_value(words):  # click would take the option that follows for it
        return _report(UsageError("--version lacks its value.", VERSION_HINT), words)
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


def _version_lacks_value(words: Sequence[str]) -> bool:
    own = words[: words.index("--")] if "--" in words else words
    return any(one == "--version" and following[:1] in ("", "-") for one, following in pairwise([*own, ""]))


def run() -> None:
    """Entry point of the console script."""
    sys.exit(main())


settings.settle(cli, None)


def _given(context: click.Context, option: click.Option) -> bool:
    """Whether it stands on the command line; a variable or a file may well speak of planning too."""
    from click.core import ParameterSource

    return option.name != "config" and context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
