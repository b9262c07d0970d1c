#!/usr/bin/env python3
"""Several clips in one process beside several processes, rehearsed in one run: bytes on the GPU, and the prediction.

    python scripts/benchmark_streams.py [--variant large] [--streams 6] [--json]

Each row is a session on torch's own CUDA build and an imaginary GPU (docs/rehearsing.md), whose context is assumed. Of
processes the bytes are those of one, so many times: they share nothing. The prediction is that of planning.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from planner.measure.trial import RAN, Trial, run_trial
from planner.memory_model.current import known_model
from planner.nouns.run import Configuration, Workload
from planner.rehearsal.machine import imaginary_gpu
from planner.rehearsal.stage import Stage
from planner.text.units import format_size


def main() -> int:
    """Print a table, or a document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", default="large")
    parser.add_argument("--precision", default="float16")
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--objects", type=int, default=1)
    parser.add_argument("--object-batch", type=int, default=1)
    parser.add_argument("--streams", type=int, default=6)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--gpu", default="RTX 3090")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [_row(options, streams) for streams in (1, options.streams)]
    one, shared = rows
    found = {
        "variant": options.variant,
        "streams": options.streams,
        "processes_bytes": options.streams * one["total_bytes"],
        "shared_bytes": shared["total_bytes"],
        "ratio": round(options.streams * one["total_bytes"] / shared["total_bytes"], 2),
        "per_stream_bytes": (shared["allocated_bytes"] - one["allocated_bytes"]) // (options.streams - 1),
        "rows": rows,
    }
    if options.json:
        print(json.dumps(found))
        return 0
    print("| clips in one process | allocated | reserved | context | total | predicted total | its bound |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        sizes = ("allocated", "reserved", "context", "total", "predicted", "bound")
        print(f"| {row['streams']} | " + " | ".join(format_size(row[f"{name}_bytes"]) for name in sizes) + " |")
    print(
        f"\n{options.streams} processes take {format_size(found['processes_bytes'])}, one for all of them "
        f"{format_size(found['shared_bytes'])}: {found['ratio']} times less; each further clip adds "
        f"{format_size(found['per_stream_bytes'])} of tensors."
    )
    return 0


def _row(options: argparse.Namespace, streams: int) -> dict[str, Any]:
    card = imaginary_gpu(options.gpu)
    trial = Trial(
        runtime="own",
        configuration=Configuration(
            variant=options.variant,
            version="2.1",
            resolution=(options.resolution, options.resolution),
            precision=options.precision,
            object_batch=options.object_batch,
        ),
        workload=Workload(task="video", objects=options.objects, frames=None, streams=streams),
        frames=options.frames,
    )
    with Stage([card], zero_scalars=True) as stage:
        outcome = run_trial(trial, environment=stage.environment())
    if outcome.outcome != RAN or outcome.reserved_bytes is None:
        sys.exit(f"{streams} streams: {outcome.outcome}, {outcome.error}")
    predicted = known_model().on(card.name).estimate(trial.configuration, trial.workload, card.capability, "own")
    return {
        "streams": streams,
        "allocated_bytes": outcome.allocated_bytes,
        "reserved_bytes": outcome.reserved_bytes,
        "context_bytes": card.context_bytes,
        "total_bytes": outcome.reserved_bytes + card.context_bytes,
        "predicted_bytes": predicted.total_bytes,
        "predicted_allocated_bytes": predicted.allocated_bytes,
        "bound_bytes": predicted.upper_bytes,
    }


if __name__ == "__main__":
    sys.exit(main())
