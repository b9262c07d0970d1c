"""`sam2-plan report`: plans as a page to look at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.cli import options
from planner.cli.output import answer
from planner.errors import UsageError

if TYPE_CHECKING:
    from planner.page.answers import Answer

EPILOG = """\b
Examples:
  sam2-plan --vram 6GB -o plan.yaml && sam2-plan report plan.yaml
  sam2-plan report small.yaml large.yaml -o both.html
  sam2-plan rehearse plan.yaml --format json > found.json; sam2-plan report plan.yaml found.json
  sam2-plan --vram 8GB,24GB --streams 6 --report packing.html

\b
PLAN is a plan, or what rehearse, confirm and planning for several streams print as JSON. The page is one file that
needs no network and no Python: open it in a browser, print it, send it. Its address carries what was changed on it.

\b
Exit codes: 0 written, whatever the verdict; 1 it cannot be written; 2 usage, or a file that is none of these.
Writes only the file of -o.
"""


@click.command("report", epilog=EPILOG)
@click.argument("paths", metavar="PLAN...", nargs=-1, required=True)
@click.option(
    "-o", "--output", "path", metavar="FILE", default="report.html", show_default=True, help="where the page is written"
)
@options.output_format
def command(output: str, paths: tuple[str, ...], path: str) -> None:
    """Write plans as one HTML page: decision, memory, all candidates, and sliders that price again."""
    from planner.page.answers import read_answer

    answers = [read_answer(Path(one)) for one in paths]
    size = keep_page(answers, path, paths)
    answer(output, lambda: _document(answers, path, size), lambda style: style.page([_said(answers, path, size)]))


def keep_page(answers: Sequence[Answer], path: str, beside: Sequence[str | None]) -> int:
    """Write a page, and return its bytes. Raises UsageError where it would take the place of a file beside it."""
    from planner.page.html import page
    from planner.text.files import write

    if any(one is not None and os.path.realpath(one) == os.path.realpath(path) for one in beside):
        raise UsageError(f"The page would take the place of {path}.", "Give it a name of its own, such as report.html.")
    text = page(answers)
    write(Path(path), text)
    return len(text.encode())


def _document(answers: Sequence[Answer], path: str, size: int) -> dict[str, Any]:
    from planner.wire.report import REPORT, SHOWN

    shown = [
        SHOWN.write(name=one.name, kind=one.document["kind"], verdict=one.document.get("verdict")) for one in answers
    ]
    return REPORT.write(path=path, bytes=size, answers=shown)


def _said(answers: Sequence[Answer], path: str, size: int) -> str:
    from planner.text.units import counted, format_size

    plans = sum(one.plan is not None for one in answers)
    found = len(answers) - plans
    beside = f" and {counted(found, 'run')} beside" if found else ""
    return f"{path}: {counted(plans, 'plan')}{beside}, {format_size(size)}; open it in a browser"
