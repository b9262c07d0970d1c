"""`sam2-plan gpus`: the GPUs that are known by name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from planner.cli import options
from planner.cli.output import echo, style_of

if TYPE_CHECKING:
    from planner.catalog.gpu_cards import KnownCard
    from planner.domain import Gpu

MARKS = {"reported": "", "rule": "~", "unified": "u"}
LEGEND = "~ by a rule, from the size it is sold with; u: shared with the host, less what the firmware keeps"
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
    """List the GPUs known by name, smallest first; with WORDS, those whose name has all of them.

    Memory is what the driver reports (nvidia-smi's memory.total), with ECC as the card is delivered.
    """
    from planner.catalog.gpus import card_of, find_gpu, search_gpus
    from planner.catalog.torch_builds import planned_build, why_no_code
    from planner.units import format_size

    found = search_gpus(" ".join(words))
    if not found:
        found = [find_gpu(" ".join(words)).gpu]  # which knows, or says what is near and what is not NVIDIA's
    sources = [source_of(card_of(gpu), gpu) for gpu in found]
    if output == "json":
        from planner.wire.gpus import GPUS, LISTED_GPU
        from planner.wire.text import json_text

        listed = [LISTED_GPU.write(gpu, memory_source=source) for gpu, source in zip(found, sources, strict=True)]
        echo(json_text(GPUS.write(gpus=listed)))
        return
    rows, unable = [["name", "memory", "MiB", "", "capability"]], False
    for gpu, source in zip(found, sources, strict=True):
        capability = "?" if gpu.capability is None else f"{gpu.capability[0]}.{gpu.capability[1]}"
        old = gpu.capability is not None and why_no_code(gpu.capability) is not None
        unable = unable or old
        mib = f"{gpu.total_bytes // 2**20}"
        rows.append([gpu.name, format_size(gpu.total_bytes), mib, MARKS[source], f"{capability}{'*' if old else ' '}"])
    style = style_of(sys.stdout)
    lines = style.table(rows, (1, 2, 4), indent="")
    lines += [LEGEND] if set(sources) - {"reported"} else []
    lines += [f"* {planned_build()} has no code for it"] if unable else []
    echo(style.page(lines))


def source_of(card: KnownCard | None, gpu: Gpu) -> str:
    """Where the memory of a listed GPU is from: what its driver reports, shares with the host, or a rule."""
    if card is not None and card.unified:
        return "unified"
    whole = card is not None and card.gpu == gpu
    return "reported" if not whole or (card is not None and card.listings) else "rule"
