"""What the shell completes: files, folders, GPUs and words, by what the help calls a value."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from planner.cli.options import Word

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

FILES = ("FILE", "PLAN", "PLAN...", "[PLAN]", "PLAN | -- COMMAND...", "INPUT", "INPUT...", "PATH", "PATH|ID")
FOLDERS = ("DIR",)
MOST_GPUS = 100


class FileName(click.types.StringParamType):
    """Text that names a file: completed as one, and checked by whoever reads it."""

    def __init__(self, kind: str = "file") -> None:
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Leave it to the shell, which knows its files."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type=self.kind)]


class GpuName(click.types.StringParamType):
    """Text that names a GPU, or several with commas."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The known names that go on from what was typed, the brand left out where it was."""
        from click.shell_completion import CompletionItem

        before, comma, typed = incomplete.rpartition(",")
        return [CompletionItem(_escaped(before + comma + name)) for name in _names(typed.lstrip())]


def complete(parameter: click.Parameter) -> None:
    """Let the shell complete the values of an option or argument that takes any text."""
    if type(parameter.type) is not click.types.StringParamType:
        return
    metavar = parameter.metavar or ""
    words = [word for word in metavar.split("|") if word.isalpha() and word.islower()]
    if metavar in FILES:
        parameter.type = FileName()
    elif metavar in FOLDERS:
        parameter.type = FileName("dir")
    elif parameter.name in ("gpu", "card"):
        parameter.type = GpuName()
    elif words:
        parameter.type = Word(tuple(words))


def _names(typed: str) -> list[str]:
    from planner.catalog.gpus import find_gpu, known_gpus
    from planner.errors import UsageError

    found: dict[str, None] = {}
    for gpu in known_gpus():
        place = f" {gpu.name.lower()}".find(f" {typed.lower()}")
        if place < 0:
            continue
        try:
            find_gpu(gpu.name[place:])
        except UsageError:  # what was left out was more than the brand
            continue
        found[gpu.name[place:]] = None
    return list(found)[:MOST_GPUS]


def _escaped(name: str) -> Any:
    """With blanks as bash wants them, which puts a completion on the line as it stands; inside quotes it is right."""
    words = os.environ.get("COMP_WORDS", "")
    quoted = words.count('"') % 2 or words.count("'") % 2
    bash = os.environ.get("_SAM2_PLAN_COMPLETE", "").startswith("bash")
    return name.replace(" ", "\\ ") if bash and not quoted else name
