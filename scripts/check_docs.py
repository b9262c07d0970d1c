#!/usr/bin/env python3
"""Check the docs.

Links lead somewhere, every page of docs/ is on a shelf of its README, commands parse and all are documented, and
`mypy --strict` takes the Python.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from planner.cli.main import cli

TOP = Path(__file__).resolve().parent.parent
PAGES = [TOP / "README.md", TOP / "CONTRIBUTING.md", TOP / "CHANGELOG.md", *sorted((TOP / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"^(?:\$ )?(sam2-plan\b[^\n]*)", re.MULTILINE)
NOT_RUN = "not in this release"
"""A page that names a command of a later release says so on the command's own line."""


def main() -> int:
    """Print each fault; exit 1 if there is any."""
    faults = [fault for page in PAGES for fault in (*dead_links(page), *bad_commands(page))]
    text = (TOP / "docs" / "cli.md").read_text()
    context = click.Context(cli, info_name="sam2-plan")
    faults += [f"docs/cli.md lacks {n}" for n in cli.list_commands(context) if f"## `sam2-plan {n}`" not in text]
    faults += unshelved(TOP / "docs")
    faults += badly_typed(PAGES)
    print("\n".join(faults) if faults else f"{len(PAGES)} pages: links, commands and Python are good")
    return 1 if faults else 0


def dead_links(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    return [f"{page.name}: no {target}" for target in targets if not (page.parent / target).exists()]


def unshelved(folder: Path) -> list[str]:
    """Pages of a folder that its README, which sorts them onto shelves, does not link to."""
    shelved = set(LINK.findall((folder / "README.md").read_text()))
    names = sorted(page.name for page in folder.glob("*.md") if page.name != "README.md")
    return [f"docs/README.md: {name} is on no shelf" for name in names if name not in shelved]


def bad_commands(page: Path) -> list[str]:
    """Commands in code blocks of a page that the program would not parse."""
    faults = []
    for block in re.findall(r"^```(?:bash|console)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in COMMAND.findall(block):
            if NOT_RUN not in line and (fault := parse_fault(line)):
                faults.append(f"{page.name}: {line}: {fault}")
    return faults


def badly_typed(pages: list[Path]) -> list[str]:
    """What mypy says of the Python of each page, its blocks one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        for page in pages:
            blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
            if blocks:
                (Path(folder) / f"page_{re.sub(r'[^a-z]', '_', page.stem.lower())}.py").write_text("\n".join(blocks))
        words = ["--config-file", str(TOP / "setup.cfg"), "--no-error-summary", "--ignore-missing-imports", folder]
        # With the settings and from the folder of the check of the program, whose cache serves again.
        done = subprocess.run([sys.executable, "-m", "mypy", *words], cwd=TOP, capture_output=True, text=True)
    return [line.replace(f"{folder}/", "docs, ") for line in (done.stdout + done.stderr).splitlines()]


def parse_fault(line: str) -> str:
    """What is wrong with a command line; empty if it parses."""
    words = _command_of(line)[1:]
    command: click.Command = cli
    context = click.Context(cli, info_name="sam2-plan")
    names = cli.list_commands(context)
    if words and words[0] in names:
        command = cli.get_command(context, words[0]) or cli
        words = words[1:]
    elif words and not words[0].startswith("-"):
        return f"no command {words[0]}"
    try:
        command.make_context(words[0] if words else "sam2-plan", words, resilient_parsing=False)
    except click.exceptions.Exit:
        return ""
    except click.ClickException as error:
        return error.format_message()
    return ""


def _command_of(line: str) -> list[str]:
    """The words of the first command of a line of shell; a file of a configuration need not be there."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(itertools.takewhile(lambda word: not set(word) <= set("|&;<>()"), lexer))
    if "--config" in words:
        place = words.index("--config")
        del words[place : place + 2]
    return words


if __name__ == "__main__":
    sys.exit(main())
