"""`sam2-plan check`: the pre-flight of a saved plan."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.cli import options
from planner.cli.output import ProgressLine, echo, report_error, style_of
from planner.errors import EXIT_FAILED, PlannerError, UsageError
from planner.nouns.words import Form
from planner.report.layout import Style

if TYPE_CHECKING:
    from planner.preflight.checks import Check, Preflight

FORMS: tuple[Form, ...] = ("text", "json", "markdown", "sarif", "junit")
ENDINGS: dict[str, Form] = {".txt": "text", ".json": "json", ".md": "markdown", ".sarif": "sarif", ".xml": "junit"}
EPILOG = """\b
Examples:
  sam2-plan check plan.yaml                                     on this machine, as it is now
  sam2-plan check plan.yaml --vram 2GB                          against a budget, on any machine
  sam2-plan check plan.yaml --input clip.mp4 --checkpoint sam2.1_hiera_large.pt --out masks --wait 60s
  sam2-plan check plan.yaml --vram 8GB --policy policy.yaml -o check.sarif -o check.xml --format markdown

\b
Checks the free memory (and who holds the rest); whether GPU, driver, torch and sam2 are those of the plan; the hash
of the checkpoint; size and length of the input; room for outputs; host memory; and the rules of a policy. Each check
passes, warns, fails, or is skipped with the reason, and says what to do.

\b
Exit codes: 0 the plan holds; 1 the environment fails (no GPU, a package, the disk, host memory); 2 usage, a broken
plan or policy, a checkpoint or input that is not what it should be; 3 it does not fit the memory, the GPU or the
policy; 4 warnings, under --strict. If several checks fail, 3 goes before 2 before 1.
Writes only the files of -o, whatever was found. If one cannot be written, stderr says so, and exit code 0 becomes 1.
Changes nothing on the GPU.
"""


@click.command("check", epilog=EPILOG)
@click.argument("plan_path", metavar="PLAN")
@options.target
@click.option("--input", "source", metavar="INPUT", help="what the plan will run on: its size and length are read")
@click.option("--checkpoint", metavar="PATH|ID", help="the weights it will run with")
@click.option("--sha256", metavar="HEX", help="SHA-256 that the checkpoint must have  [default: the official one]")
@click.option("--out", metavar="DIR", help="folder that the outputs will be written to")
@click.option("--save", metavar="LIST", help="which outputs will be saved there, as for run")
@click.option("--wait", metavar="DURATION", help="how long to wait for memory to be freed: 60s, 5m")
@click.option("--policy", metavar="FILE", help="rules that the plan must keep (YAML)")
@click.option("--strict", is_flag=True, help="exit 4 where there are warnings")
@click.option("--exit-zero", is_flag=True, help="exit 0 whatever was found; errors keep their exit code")
@click.option("--not-fit-exit-code", metavar="N", help="exit code to use instead of 3, from 0 to 255")
@click.option(
    "-o",
    "--output",
    "paths",
    metavar="FILE",
    multiple=True,
    help=f"save the report, in the format of its ending: {', '.join(ENDINGS)} (repeatable)",
)
@click.option("--oneline", is_flag=True, help="print the report as JSON too, on the last line of stdout")
@options.form(FORMS, "what stdout holds; json is one document, for errors too")
def command(
    output: Form, plan_path: str, paths: tuple[str, ...], oneline: bool, save: str | None, exit_zero: bool,
    not_fit_exit_code: str | None, **asked: Any,
) -> None:  # fmt: skip
    """Check whether the saved PLAN holds on this machine now, or for a budget, and under a policy."""
    from planner.api.check import check
    from planner.api.plans import Plan
    from planner.text.files import write

    forms = [(Path(path), _form_of(path)) for path in paths]
    not_fit = _exit_code(not_fit_exit_code)
    plan = Plan.load(plan_path)
    with ProgressLine() as line:
        found = check(
            plan, name=plan_path, saves=options.words_of(save), waiting=_waiting(line), hashing=_hashing(line), **asked
        )
    code = _code(found, not_fit, exit_zero)
    unwritten = []
    for path, form in forms:
        try:
            write(path, _text(found, form, code, Style()))
        except PlannerError as error:  # one report that cannot be kept must not cost the others and the verdict
            unwritten.append(error)
    echo(_text(found, output, code, style_of(sys.stdout), oneline))
    for failure in unwritten:
        report_error(failure, document=False)
    click.get_current_context().exit(code or (EXIT_FAILED if unwritten else 0))


def _text(found: Preflight, form: Form, code: int, style: Style, oneline: bool = False) -> str:
    """The report in a form; with `oneline` a line of JSON ends it, or is all of it."""
    from planner.preflight.checks import preflight_document
    from planner.report.junit import preflight_junit
    from planner.report.markdown import preflight_markdown
    from planner.report.preflight import preflight_report
    from planner.report.sarif import preflight_sarif
    from planner.wire.text import json_text, one_line

    render: dict[Form, Callable[[], str]] = {
        "text": lambda: preflight_report(found, style),
        "json": lambda: json_text(preflight_document(found, code)),
        "markdown": lambda: preflight_markdown(found),
        "sarif": lambda: json_text(preflight_sarif(found, code)),
        "junit": lambda: preflight_junit(found),
    }
    last = one_line(preflight_document(found, code)) if oneline else ""
    text = "" if oneline and form == "json" else render[form]()
    # What a file name holds that is no text must not stop the report.
    return (text + last).encode("utf-8", "replace").decode("utf-8")


def _code(found: Preflight, not_fit: int, exit_zero: bool) -> int:
    if exit_zero:
        return 0
    return not_fit if found.exit_code == 3 else found.exit_code


def _form_of(path: str) -> Form:
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        forms = ", ".join(f"{end} ({form})" for end, form in ENDINGS.items())
        raise UsageError(f"{path!r} does not say which form it is to have.", f"End it in one of: {forms}.")
    return ENDINGS[ending]


def _exit_code(text: str | None) -> int:
    if text is None:
        return 3
    if not (text.isascii() and text.isdecimal() and int(text[:4]) <= 255 and len(text) <= 3):
        raise UsageError(f"{text[:40]!r} is not an exit code.", "Give a whole number from 0 to 255.")
    return int(text)


def _waiting(line: ProgressLine) -> Callable[[Check, float, float], None]:
    from planner.text.units import format_size

    def tell(memory: Check, waited: float, seconds: float) -> None:
        short = format_size(memory.figures["short_by_bytes"])
        line.show(f"waiting for {short} more of the GPU's memory: {waited:.0f} s of {seconds:.0f} s")

    return tell


def _hashing(line: ProgressLine) -> Callable[[int, int], None]:
    return lambda done, total: line.show(f"hashing the checkpoint: {done / max(total, 1):.0%}", done >= total)
