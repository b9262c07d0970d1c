#!/usr/bin/env python3
"""Remake the generated docs: docs/cli.md and docs/python.md from the program, docs/accuracy.md from the profiles.

The JSON Schemas in planner/wire/schemas too: they follow from the declarations in planner/wire.

python scripts/make_docs.py           write them
python scripts/make_docs.py --check   exit 1 if they differ from what is committed
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from committed import is_current
from python_reference import python_reference

from planner import wire
from planner.cli.helptext import HelpContext
from planner.cli.main import CONTEXT_SETTINGS, cli
from planner.memory_model.known import assess_known
from planner.report.accuracy import accuracy_report
from planner.text.files import write
from planner.wire.shapes import Document, Either, json_schema

ROOT = Path(__file__).resolve().parent.parent
DOCS, SCHEMAS = ROOT / "docs", ROOT / "planner" / "wire" / "schemas"
MADE = "<!-- Made by scripts/make_docs.py; CI checks that it is up to date. -->"
WIDTH = 100


def cli_reference() -> str:
    """The help of every command, as the program prints it."""
    parts = [MADE, "", "# Command line", ""]
    parts += [
        "`sam2-plan` without a command plans. stdout holds the answer, stderr everything else. All commands run",
        "without a GPU, except those that run SAM 2 on the GPU of this machine or ask for its state.",
        "",
        "| exit code | meaning |",
        "|---|---|",
        "| 0 | it fits |",
        "| 1 | the environment or the program failed |",
        "| 2 | usage: a bad option, file or value |",
        "| 3 | nothing fits |",
        "| 4 | fits tightly, under `--strict` |",
        "| 5 | predicted to fit, but a run ran out of memory |",
        "",
        "With `--format json` stdout holds one JSON document whatever the exit code; an error is",
        '`{"error": {"code", "message", "hint"}}`. Schemas ship in the package, `planner/wire/schemas/`.',
        "",
    ]
    root = HelpContext(cli, info_name="sam2-plan", terminal_width=WIDTH, **CONTEXT_SETTINGS)
    parts += _section(root, cli)
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        assert command is not None
        parts += _section(HelpContext(command, info_name=name, parent=root, terminal_width=WIDTH), command)
    return "\n".join(parts)


def accuracy_page() -> str:
    """What `sam2-plan accuracy` prints, with what it means."""
    return "\n".join(
        [
            MADE,
            "",
            "# Accuracy",
            "",
            "How far predictions are off, as `sam2-plan accuracy` prints it: first figures that others measured on",
            "real GPUs, then rehearsals that nothing was fitted to, then groups. If a whole group is held out, laws",
            "have to predict where nothing was rehearsed, which they are bad at: it shows what a missing row costs.",
            "",
            "Columns: median and 95th percentile of the unsigned relative error of the total; the share of rows within",
            "2 %; the worst prediction that was too low, relative and in MiB; rows below the upper bound, with the",
            "interval of the share that these counts allow (Clopper-Pearson, 95 %); how far the bound lies above the",
            "truth in the median; the share",
            "of estimates that fail as xMem defines it (a wrong verdict for one of ten cards from 2 to 80 GB, or a run",
            "capped at the estimate that runs out; our estimate is the upper bound); and the memory conservation",
            "potential (what is left of the card if each run is capped at its estimate, minus the card where that",
            "fails). Runs are drawn over all that can be asked for, including pictures of 100 megapixels, 50 objects,",
            "math attention and passes of several objects. Laws are best at the resolutions that planning",
            "proposes, with one object per pass: the margins of the kind `usual` say so.",
            "",
            "```text",
            accuracy_report(assess_known()).rstrip(),
            "```",
            "",
            "## The simulator beside other estimators",
            "",
            "From [the whole comparison](peers.md), which also says what the table leaves out. Truth is a real run on",
            "the CPU, not on a GPU: it tests the trace, but neither the allocator nor workspaces nor the context.",
            "",
            *peers_summary(),
            "",
        ]
    )


def peers_summary() -> list[str]:
    """The first table of docs/peers.md, which scripts/compare_estimators.py makes in some ten minutes."""
    lines = (DOCS / "peers.md").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| estimator"))
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    return lines[start:end]


def schemas() -> Iterator[tuple[str, str]]:
    """Name and text of each schema: a module of planner.wire that declares a document calls it by its own name."""
    for module in pkgutil.iter_modules(wire.__path__):
        found = getattr(importlib.import_module(f"planner.wire.{module.name}"), module.name.upper(), None)
        if isinstance(found, Document | Either):
            text = json.dumps(json_schema(found), indent=1, ensure_ascii=False)
            yield f"{module.name}.schema.json", f"{text}\n"


def main() -> int:
    """Write the pages and schemas, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    stale = 0
    pages = {"cli.md": cli_reference(), "python.md": f"{MADE}\n\n{python_reference()}", "accuracy.md": accuracy_page()}
    made = [(DOCS / name, text) for name, text in pages.items()]
    made += [(SCHEMAS / name, text) for name, text in schemas()]
    for path, text in made:
        if not arguments.check:
            write(path, text)
        elif not is_current(path, text):
            stale += 1
    print("docs differ: run scripts/make_docs.py" if stale else "docs are up to date")
    return 1 if stale else 0


def _section(context: click.Context, command: click.Command) -> list[str]:
    help_text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    return [f"## `{context.command_path}`", "", "```text", help_text, "```", ""]


if __name__ == "__main__":
    sys.exit(main())
