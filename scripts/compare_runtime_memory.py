"""Make docs/runtime-memory.md: bytes of our runtime beside those of the stock video predictor, both simulated.

    python scripts/compare_runtime_memory.py            # all variants, some minutes
    python scripts/compare_runtime_memory.py --print    # the table only

Both sides are traces of the real code on tensors without data (planner.simulate): nothing here was measured on a GPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from planner import simulate
from planner.nouns.run import Configuration, Run, Workload
from planner.nouns.words import VARIANTS, Precision, Variant
from planner.simulator.extension import extend
from planner.simulator.settings import Conditions, trace

FRAMES = (50, 500, 5000)
OBJECTS = (1, 10)
PRECISIONS: tuple[Precision, ...] = ("autocast_bfloat16", "float16")
TARGET = Path(__file__).resolve().parent.parent / "docs" / "runtime-memory.md"
HEADER = """# Memory of the runtime beside the stock predictor

Made by `python scripts/compare_runtime_memory.py` with
{versions}:
allocated bytes at the peak (what `torch.cuda.max_memory_allocated` would say) in MB (10⁶ bytes), **simulated** for a
GPU of compute capability 8.6, video at 1024×1024, frames of 1080×1920, one box per object. Simulated means: a trace of
the real code on tensors without data, kernel workspaces included as assumed in profiles/workspaces.yaml. Nothing here
was measured on a GPU. *Stock* keeps all frames on the GPU, its default; *stock, frames on the host* is
`offload_video_to_cpu`. Our runtime needs the same for a clip without end as for a short one.

"""


def main(arguments: list[str] | None = None) -> int:
    """Simulate, and write or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", dest="only_print", help="print instead of writing the page")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    options = parser.parse_args(arguments)
    rows = list(_rows(options.variants))
    versions = ", ".join(f"{name} {version}" for name, version in rows[0][1].items())
    text = "\n".join([HEADER.format(versions=versions) + _table_head(), *(row for row, _ in rows)]) + "\n"
    if options.only_print:
        print(text)
    else:
        TARGET.write_text(text, encoding="utf-8")
        print(f"wrote {TARGET}")
    return 0


def _table_head() -> str:
    columns = ["variant", "precision", "objects", "ours, without end", "each further object"]
    columns += [f"stock, {count:,} frames" for count in FRAMES]
    columns += [f"stock, frames on the host, {count:,}" for count in FRAMES]
    return f"| {' | '.join(columns)} |\n|{' --- |' * 2}{' ---: |' * (len(columns) - 2)}"


def _rows(variants: tuple[Variant, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    for variant in variants:
        for precision in PRECISIONS:
            ours, versions = {}, {}
            for count in OBJECTS:
                print(f"{variant} {precision} {count} objects", file=sys.stderr, flush=True)
                found = simulate(variant=variant, precision=precision, objects=count, frames="unlimited")
                ours[count], versions = found.allocated_bytes, dict(found.provenance["versions"])
            further = (ours[10] - ours[1]) / 9
            for count in OBJECTS:
                cells = [variant, precision, str(count), _mb(ours[count]), f"{further / 1e6:.2f}"]
                for offload in (False, True):
                    cells += map(_mb, _stock(variant, precision, count, offload))
                yield f"| {' | '.join(cells)} |", versions


def _stock(variant: Variant, precision: Precision, objects: int, offload: bool) -> list[int]:
    """Allocated bytes at the peak for each of FRAMES, from one trace."""
    # What planner.simulate does, with the trace kept: it is the same for every length.
    configuration = Configuration(
        variant=variant,
        version="2.1",
        resolution=(1024, 1024),
        precision=precision,
        bounded_memory_bank=False,
        offload_video=offload,
    )
    run = Run(
        runtime="stock",
        configuration=configuration,
        workload=Workload(task="video", objects=objects, frames=max(FRAMES)),
    )
    traced = trace(run, Conditions())
    return [extend(traced.trace, traced.frames, frames).player.peaks.highest.allocated_bytes for frames in FRAMES]


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
