"""A pre-flight as Markdown, for the summary page of a pipeline."""

from __future__ import annotations

from planner.nouns.words import CheckStatus
from planner.preflight.checks import FAIL, PASS, SKIP, WARN, Preflight
from planner.report.preflight import summary
from planner.tables.table import escaped, markdown_lines
from planner.text.units import format_size

ICONS: dict[CheckStatus, str] = {PASS: "✅", WARN: "⚠️", FAIL: "❌", SKIP: "⏭️"}


def preflight_markdown(found: Preflight) -> str:
    """A heading, a table of the checks, and the bytes by component in a fold."""
    lines = [f"### {ICONS[found.status]} {escaped(summary(found))}", ""]
    lines += markdown_lines(["", "check", "found", "what to do"], [
        [ICONS[check.status], _code(check.name), escaped(check.found), escaped(check.action or "")]
        for check in found.checks
    ])  # fmt: skip
    if found.policy:
        lines += ["", f"Policy {_code(found.policy)} ({found.policy_mode})."]
    if found.estimate:
        rows = [[escaped(part.name), format_size(part.bytes), part.provenance] for part in found.estimate.components]
        rows.append(["**total**", f"**{format_size(found.estimate.total_bytes)}**", ""])
        rows.append(["upper bound", format_size(found.estimate.upper_bytes), ""])
        rows.append(["the least it completes in", format_size(found.estimate.least_bytes), ""])
        lines += ["", "<details><summary>Predicted memory</summary>", ""]
        lines += [*markdown_lines(["component", "bytes", "origin"], rows), "", "</details>"]
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """A name as code; backticks, which would end it, become apostrophes."""
    return f"`{' '.join(text.replace('`', chr(39)).replace('|', chr(92) + '|').split())}`"
