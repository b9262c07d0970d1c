"""`sam2-plan checkpoints`: the official files of weights, and how to get one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.cli import options
from planner.cli.output import ProgressLine, answer
from planner.errors import UsageError
from planner.nouns.words import VARIANTS, VERSIONS

if TYPE_CHECKING:
    from planner.api.fetching import Fetched
    from planner.catalog.checkpoints import Official

EPILOG = """\b
Examples:
  sam2-plan checkpoints
  sam2-plan checkpoints plan.yaml --download                what the plan runs with, into this folder
  sam2-plan checkpoints --variant tiny --download --to checkpoints
  sam2-plan checkpoints --variant tiny --download --from https://mirror.example/segment_anything_2

\b
A download is kept as NAME.part until it is complete and its size and SHA-256 are right. One that was cut or stopped
(Ctrl-C) is resumed by the same command. An existing file is never overwritten. --from (in the environment
SAM2_PLAN_CHECKPOINTS_FROM) is a mirror with the same folders, or the address of the file itself (.pt).

\b
Exit codes: 0 listed, or downloaded and verified; 1 the download failed (network, disk, not the official file, Ctrl-C);
2 usage, or another file is in its place; 3 the plan does not fit. Writes nothing without --download.
"""


@click.command("checkpoints", epilog=EPILOG)
@click.argument("plan_path", metavar="[PLAN]", required=False)
@click.option("--variant", type=options.Word(VARIANTS), help="list only this variant")
@click.option(
    "--version", type=options.Word(VERSIONS), help="list only this version  [default: both; with --download: 2.1]"
)
@click.option("--download", is_flag=True, help="download the file, and verify it")
@click.option("--to", "folder", metavar="DIR", help="folder to download to  [default: this folder]")
@click.option("--from", "base", metavar="URL", help="download from this mirror instead of Meta's address")
@options.output_format
def command(
    output: str,
    plan_path: str | None,
    variant: str | None,
    version: str | None,
    download: bool,
    folder: str | None,
    base: str | None,
) -> None:
    """List the official checkpoints with size, SHA-256 and address, of all variants or what PLAN needs; fetch one."""
    from planner.report.checkpoints import checkpoints_report, fetched_report

    if folder is not None and not download:
        raise UsageError("--to is where a download goes, and there is none.", "Add --download.")
    if base is not None:
        from planner.api.fetching import check_address

        check_address(base)
    found, fetched = _asked(plan_path, variant, version, download), None
    if download:
        from planner.api.fetching import fetch

        with ProgressLine() as line:
            fetched = fetch(found[0], Path(folder or "."), base=base, progress=_progress(line, found[0].name))
    answer(
        output,
        lambda: _document(found, base, fetched),
        lambda style: fetched_report(fetched, style) if fetched else checkpoints_report(found, base, style),
    )


def _document(found: Sequence[Official], base: str | None, fetched: Fetched | None) -> dict[str, Any]:
    from planner.wire.checkpoints import CHECKPOINT, CHECKPOINTS

    listed = [CHECKPOINT.write(one, address=one.address(base)) for one in found]
    return CHECKPOINTS.write(checkpoints=listed, downloaded=fetched)


def _asked(plan_path: str | None, variant: str | None, version: str | None, one: bool) -> list[Official]:
    """The files that are meant; exactly `one` for a download. Raises UsageError for none and for several."""
    from planner.catalog.checkpoints import official_checkpoints
    from planner.nouns.run import Configuration
    from planner.text.spelling import check_word

    planned: Configuration | None = None
    if plan_path is not None:
        from planner.api.plans import Plan

        plan = Plan.load(plan_path)
        if plan.chosen is None:
            plan.require()
        else:
            planned = plan.chosen.configuration
    for name, value, words in (("variant", variant, VARIANTS), ("version", version, VERSIONS)):
        if value is not None:
            check_word(value, name, words)
        if planned is not None and value not in (None, getattr(planned, name)):
            raise UsageError(f"--{name} {value} is not what {plan_path} chose.", f"Leave --{name} or the plan out.")
    if planned is not None:
        variant, version = planned.variant, planned.version
    if one and variant is not None:
        version = version or VERSIONS[0]
    meant = [
        official
        for official in official_checkpoints()
        if variant in (None, official.variant) and version in (None, official.version)
    ]
    if one and len(meant) > 1:
        raise UsageError(
            f"--download fetches one file, and {len(meant)} are meant.", "Add --variant large, or name a plan."
        )
    return meant


def _progress(line: ProgressLine, name: str) -> Callable[[str, int, int], None]:
    from planner.report.checkpoints import download_line

    began: list[tuple[float, int]] = []

    def tell(what: str, done: int, total: int) -> None:
        began[:] = began or [(time.monotonic(), done)]
        since, first = began[0]
        line.show(download_line(name, what, done, total, time.monotonic() - since, done - first), done == total)

    return tell
