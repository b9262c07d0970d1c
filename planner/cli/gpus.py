"""`sam2-plan gpus`: the GPUs that are known by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from planner.cli import options
from planner.cli.output import answer
from planner.nouns.words import MemorySource
from planner.report.layout import Style

if TYPE_CHECKING:
    from planner.catalog.gpu_cards import KnownCard
    from planner.nouns.request import Gpu
    from planner.tables.table import Table

    Listed = tuple[Gpu, MemorySource]

MARKS: dict[MemorySource, str] = {"reported": "", "rule": "~", "unified": "u"}
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
@options.table_format
def command(words: tuple[str, ...], output: str) -> None:
    """List the GPUs known by name, smallest first; with WORDS, those with all of these words in their name.

    Memory is what the driver reports (memory.total of nvidia-smi), with ECC as the card is delivered.
    """
    from planner.catalog.gpus import card_of, find_gpu, search_gpus

    found = search_gpus(" ".join(words))
    if not found:
        found = [find_gpu(" ".join(words)).gpu]  # which knows, or says what is near and what is not NVIDIA's
    sources = [source_of(card_of(gpu), gpu) for gpu in found]
    listed = list(zip(found, sources, strict=True))
    answer(output, lambda: _document(listed), lambda style: _text(listed, style), table=lambda: _table(listed))


def _document(listed: Sequence[Listed]) -> dict[str, Any]:
    from planner.wire.gpus import GPUS, LISTED_GPU

    return GPUS.write(gpus=[LISTED_GPU.write(gpu, memory_source=source) for gpu, source in listed])


def _table(listed: Sequence[Listed]) -> Table:
    from planner.tables.budgets import gpus_table

    return gpus_table(listed)


def _text(listed: Sequence[Listed], style: Style) -> str:
    from planner.catalog.torch_builds import planned_build, why_no_code
    from planner.text.units import format_size

    rows, unable = [["name", "memory", "MiB", "", "capability"]], False
    for gpu, source in listed:
        capability = "?" if gpu.capability is None else f"{gpu.capability[0]}.{gpu.capability[1]}"
        old = gpu.capability is not None and why_no_code(gpu.capability) is not None
        unable = unable or old
        mib = f"{gpu.total_bytes // 2**20}"
        rows.append([gpu.name, format_size(gpu.total_bytes), mib, MARKS[source], f"{capability}{'*' if old else ' '}"])
    lines = style.table(rows, (1, 2, 4), indent="")
    lines += [LEGEND] if {source for _, source in listed} - {"reported"} else []
    lines += [f"* {planned_build()} has no code for it"] if unable else []
    return style.page(lines)


def source_of(card: KnownCard | None, gpu: Gpu) -> MemorySource:
    """Where the memory of a listed GPU is from: what its driver reports, shares with the host, or a rule."""
    if card is not None and card.unified:
        return "unified"
    whole = card is not None and card.gpu == gpu
    return "reported" if not whole or (card is not None and card.listings) else "rule"
