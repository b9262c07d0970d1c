"""The official checkpoints, and one that was fetched, for people."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from planner.catalog.checkpoints import Official
from planner.report.layout import Style
from planner.text.units import format_size

if TYPE_CHECKING:
    from planner.api.fetching import Fetched

DOWNLOAD = "sam2-plan checkpoints --variant {variant} --version {version} --download"


def checkpoints_report(found: Sequence[Official], base: str | None, style: Style) -> str:
    """The list for people: each with its size, sum, address and id."""
    lines = []
    for one in found:
        lines += [
            f"{one.variant} {one.version}  {one.name}  {format_size(one.file_bytes)} = {one.file_bytes:,} B",
            f"  {one.address(base)}",
            f"  SHA-256  {one.sha256 or f'not known: {one.sha256_source}'}",
            f"  hub      {one.hub_id}",
        ]
    best = found[0] if len(found) == 1 else next((one for one in found if one.variant == "large"), found[0])
    mirror = "" if base is None else f" --from {shlex.quote(base)}"
    lines += ["", "Fetch one:", f"  {DOWNLOAD.format(variant=best.variant, version=best.version)}{mirror}"]
    return style.page(lines)


def fetched_report(fetched: Fetched, style: Style) -> str:
    """What was fetched, and what to do with it."""
    official = fetched.official
    sums = "its SHA-256 is the published one" if official.sha256 else "its SHA-256 is not published"
    how = "ALREADY THERE" if fetched.already_there else "DONE"
    lines = [
        f"{how}  {fetched.path}: {official.variant} {official.version}, {official.file_bytes:,} bytes, {sums}",
        f"Run with it: --checkpoint {shlex.quote(str(fetched.path))}",
    ]
    return style.page(lines)


def download_line(name: str, what: str, done: int, total: int, seconds: float, here: int) -> str:
    """How far a download is, in one line; `here` bytes came in the `seconds` since it began."""
    if what == "verify":
        return f"{name}: verifying, {100 * done // max(total, 1)} %"
    speed = here / seconds if seconds > 0 else 0.0
    left = f", {(total - done) / speed:.0f} s left" if speed else ""
    rate = f", {format_size(round(speed))}/s" if speed else ""
    return f"{name}: {format_size(done)} of {format_size(total)}{rate}{left}"
