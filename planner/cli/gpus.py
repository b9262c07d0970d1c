"""`sam2-plan gpus`: the GPUs that are known by name."""

from __future__ import annotations

import sys

import click

from planner.cli import options
from planner.cli.output import echo, style_of

EPILOG = """\b
Examples:
  sam2-plan gpus
  sam2-plan gpus rtx 40
  sam2-plan gpus --format json

\b
Exit codes: 0 listed; 1 failed; 2 usage or no such GPU. Writes nothing.
"""


@click.command("gpus", epilog=EPILOG)
@click.argument("words", nargs=-1)
@options.output_format
def command(words: tuple[str, ...], output: str) -> None:
    """List the GPUs known by name, smallest first; with WORDS, those whose name has all of them."""
    from planner.catalog.gpus import search_gpus
    from planner.errors import UsageError
    from planner.report.document import gpu_document, json_text
    from planner.units import format_size

    found = search_gpus(" ".join(words))
    if not found:
        raise UsageError(f"No GPU is known as {' '.join(words)!r}.", "Try fewer words: sam2-plan gpus rtx")
    if output == "json":
        echo(json_text({"schema_version": 1, "kind": "gpus", "gpus": [gpu_document(gpu) for gpu in found]}))
        return
    rows = [["name", "memory", "capability"]]
    for gpu in found:
        capability = "?" if gpu.capability is None else f"{gpu.capability[0]}.{gpu.capability[1]}"
        rows.append([gpu.name, format_size(gpu.total_bytes), capability])
    style = style_of(sys.stdout)
    echo(style.page(style.table(rows, (1, 2), indent="")))
