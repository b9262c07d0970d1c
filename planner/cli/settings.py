"""Where options come from: the command line, then the environment, then a file, then the default.

An option --frame-size of planning is SAM2_PLAN_FRAME_SIZE in the environment and `frame-size:` in the file; an option
--wait of check is SAM2_PLAN_CHECK_WAIT, and `wait:` below `check:`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from planner.cli.completion import complete
from planner.cli.helptext import HelpContext
from planner.cli.options import notes_on_order
from planner.text.locations import user_folder
from planner.text.strict_yaml import EmptyFile, Fields, read

PREFIX = "SAM2_PLAN"
OTHERS = (f"{PREFIX}_HOME", f"{PREFIX}_TRACEBACK", f"{PREFIX}_MEMORY_CAP", f"{PREFIX}_CUDNN")
"""Variables of ours that are no options."""
DEFAULT_NAME = "config.yaml"
"""In the data folder ($SAM2_PLAN_HOME or the platform's), read where it is there and no other file is named."""
NOT_SET = ("help", "program-version", "config")
"""Options that a file cannot set."""
_CONTRADICTING = {
    "vram": ("gpu", "device", "simulate_gpu"),
    "gpu": ("vram", "device", "simulate_gpu"),
    "device": ("vram", "gpu"),
    "simulate_gpu": ("vram", "gpu"),
}
_DISTANCES = {ParameterSource.ENVIRONMENT: 1, ParameterSource.DEFAULT_MAP: 2, ParameterSource.DEFAULT: 3}
"""How far away a value comes from; the command line is nearest."""


@dataclass(slots=True)
class InForce:
    """What the command line of this process did not say itself, for messages."""

    origins: dict[str, str] = field(default_factory=dict)
    """By option: the variable or the file that it came from."""
    forms: dict[str | None, tuple[str, bool]] = field(default_factory=dict)
    """What --format and --oneline came to be, by command; of planning under None."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What the file sets, by click's names; of a command below its name."""

    def clear(self) -> None:
        """Before another command line."""
        self.origins.clear()
        self.forms.clear()
        self.defaults = {}

    @property
    def note(self) -> str:
        """A sentence for the hint of an error; empty where everything stood on the command line."""
        if not self.origins:
            return ""
        return (
            f"Not on the command line: {', '.join(f'{name} from {origin}' for name, origin in self.origins.items())}."
        )


in_force = InForce()


def settle(command: click.Command, name: str | None) -> click.Command:
    """Give each option its variable, and let the command tell where values came from. `name` is None for planning."""
    command.context_class = HelpContext
    for parameter in command.params:
        complete(parameter)
    for option in options_of(command):
        option.envvar = variable_of(option, name)
    work = command.callback
    assert work is not None

    @functools.wraps(work)
    def remembering(*arguments: Any, **options: Any) -> Any:
        context = click.get_current_context()
        given_way = _give_way(context, options)
        _remember(context, name, given_way)
        if options.get("output") == "text":
            for note in notes_on_order(options):
                click.echo(note, err=True)
        return work(*arguments, **(options | dict.fromkeys(given_way)))

    command.callback = remembering
    return command


def options_of(command: click.Command) -> Iterator[click.Option]:
    """The options of a command that the environment and a file may set."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and long_name(parameter) not in NOT_SET[:2]:
            yield parameter


def long_name(option: click.Option) -> str:
    """The option's name without its dashes: --frame-size is frame-size."""
    return max(option.opts, key=len).lstrip("-")


def variable_of(option: click.Option, command: str | None) -> str:
    """The variable of an option."""
    return _variable(long_name(option), command)


def _variable(name: str, command: str | None) -> str:
    words = (PREFIX, *([command] if command else []), name)
    return "_".join(words).upper().replace("-", "_")


def variables(context: click.Context) -> set[str]:
    """All variables that this program reads. Imports every command."""
    group = context.find_root().command
    assert isinstance(group, click.Group)
    found = {*OTHERS, *(variable_of(option, None) for option in options_of(group))}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found |= {variable_of(option, name) for option in options_of(command)} if command else set()
    return found


def load(context: click.Context, path: str | None) -> None:
    """Let the context take its defaults from a file: the one that is named, else the user's where it is there.

    Raises FileError naming line and remedy for a file that is broken, or an option or command that is not known.
    """
    if path is None:
        place = user_folder() / DEFAULT_NAME
        if not os.path.isfile(place):  # not pathlib, which raises where a home may not be looked into
            return
    else:
        place = Path(path)
    group = context.command
    assert isinstance(group, click.Group)
    try:
        data = read(place, "a configuration file")
    except EmptyFile:
        return
    if data is None:
        return
    fields = Fields(data, str(place), "the configuration")
    settings: dict[str, Any] = _settings(fields, group, None, set(group.list_commands(context)))
    for name in group.list_commands(context):
        if name not in fields or (name in _keys(group) and not isinstance(fields.any(name), Mapping)):
            continue
        if not fields.or_none(name):
            command = group.get_command(context, name)
            assert command is not None
            section = fields.fields(name)
            settings[name] = _settings(section, command, name, set())
            section.end(_keys(command))
    fields.end((*_keys(group), *group.list_commands(context)))
    context.default_map = in_force.defaults = settings
    context.meta[PREFIX] = str(place)


def _keys(command: click.Command) -> list[str]:
    return [name for option in options_of(command) if (name := long_name(option)) not in NOT_SET]


def _settings(fields: Fields, command: click.Command, name: str | None, commands: set[str]) -> dict[str, Any]:
    """Values by click's own names of the options."""
    found: dict[str, Any] = {}
    for option in options_of(command):
        key = long_name(option)
        if key in NOT_SET or option.name is None:
            continue
        for spelling in dict.fromkeys((key, key.replace("-", "_"))):
            if spelling not in fields or (spelling in commands and isinstance(fields.any(spelling), Mapping)):
                continue
            if not fields.or_none(spelling):
                found[option.name] = _value(fields, spelling, option)
    return found


def _value(fields: Fields, key: str, option: click.Option) -> Any:
    value = fields.any(key)
    if option.is_flag:
        return fields.boolean(key)
    if option.multiple:
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in items):
            raise fields.complaint(f"{key} holds something else than text and numbers", "Write a list of values.", key)
        return [str(item) for item in items]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise fields.complaint(f"{key} takes one value", f"Write it as on the command line: {key}: VALUE", key)
    return str(value)


def _give_way(context: click.Context, options: Mapping[str, Any]) -> set[str]:
    """The ways to say a budget that yield to another one from a nearer source: they would contradict each other."""
    far = {
        name: _DISTANCES.get(context.get_parameter_source(name) or ParameterSource.COMMANDLINE, 0)
        for name in _CONTRADICTING
        if options.get(name) is not None
    }
    return {
        name
        for name, distance in far.items()
        if any(far.get(other, distance) < distance for other in _CONTRADICTING[name])
    }


def _remember(context: click.Context, command: str | None, given_way: Collection[str]) -> None:
    for option in options_of(context.command):
        if option.name in given_way:
            continue
        source = context.get_parameter_source(option.name or "")
        if source == ParameterSource.ENVIRONMENT:
            in_force.origins[f"--{long_name(option)}"] = str(option.envvar)
        elif source == ParameterSource.DEFAULT_MAP:
            in_force.origins[f"--{long_name(option)}"] = context.find_root().meta[PREFIX]
    if "output" in context.params:
        in_force.forms[command] = context.params["output"], bool(context.params.get("oneline"))


def variable_that_failed(error: click.ClickException) -> str:
    """The variable whose value click could not read; empty where the command line is to blame."""
    option = getattr(error, "param", None)
    variable = getattr(option, "envvar", None)
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None or option is None or not isinstance(variable, str) or variable not in os.environ:
        return ""
    return "" if context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE else variable


def form_of_errors(words: Sequence[str], command: str | None) -> tuple[bool, bool]:
    """Whether an error is to be a JSON document, and on one line.

    What the command line came to; where it could not be read, what it seems to say, else a variable, else the file.
    """
    if command in in_force.forms:
        form, oneline = in_force.forms[command]
    else:
        below: Mapping[str, Any] = in_force.defaults if command is None else in_force.defaults.get(command) or {}
        form = _said(words) or os.environ.get(_variable("format", command)) or below.get("output", "text")
        asked = os.environ.get(_variable("oneline", command), "").lower() in ("1", "true", "t", "yes", "y", "on")
        oneline = "--oneline" in words or asked or bool(below.get("oneline"))
    return form == "json" or oneline, oneline


def _said(words: Sequence[str]) -> str:
    """The last --format of a command line."""
    said = ""
    for word, following in pairwise([*words, ""]):
        option, equals, value = word.partition("=")
        if option == "--format":
            said = value if equals else following
    return said
