#!/usr/bin/env python3
"""Record the allocator logs under tests/data/: torch's own history of runs on an imaginary GPU.

    python scripts/make_history_examples.py [NAME ...]

Needs a CUDA build of torch, sam2 and a C compiler; no GPU. The format is the one that planner/simulator/history.py
describes. Addresses are moved so that the first segment begins at FIRST_ADDRESS.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from planner.domain import Configuration, Workload
from planner.nouns.run import Run

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data"
FIRST_ADDRESS = 1 << 40
CAPABILITY = (8, 6)
MIB = 1 << 20
RUNS: dict[str, dict[str, Any]] = {
    "image": {"task": "image"},
    "video": {"task": "video", "frames": 10, "objects": 2},
    "expandable": {"task": "image", "expandable_segments": True},
    # Segments of the first picture, cached, are in the way of the second: they are given back, and the request retried.
    "retries": {"task": "image", "resolutions": (512, 1024), "limit_bytes": 590 * MIB},
}
"""By name: what is run, with the stock predictors of sam2, tiny at RESOLUTION."""
RESOLUTION = 512
FRAME_SIZE = (480, 854)


def main() -> int:
    """Record every run that is named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *RUNS], help="which logs; all of them if none is named")
    parser.add_argument("--within", metavar="FILE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.within:
        record(RUNS[arguments.names[0]], Path(arguments.within))
        return 0
    from planner.rehearsal.machine import imaginary_gpu
    from planner.rehearsal.stage import Stage

    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or RUNS:
        with tempfile.TemporaryDirectory() as folder, Stage([imaginary_gpu(capability=CAPABILITY)]) as stage:
            file = Path(folder) / "log.json"
            environment = stage.environment()
            if RUNS[name].get("expandable_segments"):
                environment["PYTORCH_CUDA_ALLOC_CONF"] = environment["PYTORCH_ALLOC_CONF"] = "expandable_segments:True"
            subprocess.run([sys.executable, __file__, name, "--within", str(file)], env=environment, check=True)
            log = json.loads(file.read_text(encoding="utf-8"))
        (FOLDER / f"history-{name}.json.gz").write_bytes(packed(log))
        print(f"{name}: {len(log['events']):,} entries")
    return 0


def packed(log: dict[str, Any]) -> bytes:
    """A log as it stands on disk; the same bytes whenever it is made."""
    return gzip.compress(json.dumps(log).encode(), compresslevel=9, mtime=0)


def record(run: dict[str, Any], file: Path) -> None:
    """Within a process on the stage: run, and write the log."""
    import torch

    torch.cuda.init()  # type: ignore[no-untyped-call]
    if "limit_bytes" in run:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(run["limit_bytes"] / total, 0)
    torch.cuda.memory._record_memory_history("all", context=None, max_entries=10**8)
    drive(run)
    torch.cuda.synchronize()
    entries = torch.cuda.memory._snapshot()["device_traces"][0]
    events = [[entry["action"], entry.get("addr", 0), entry["size"]] for entry in entries if entry["action"] != "oom"]
    first = min(address for _, address, _ in events if address)
    stats = torch.cuda.memory_stats()
    log = {
        "events": [
            [action, address - first + FIRST_ADDRESS if address else 0, size] for action, address, size in events
        ],
        "peak_allocated_bytes": stats["allocated_bytes.all.peak"],
        "peak_reserved_bytes": stats["reserved_bytes.all.peak"],
        "torch": torch.__version__,
        "gpu": f"imaginary, compute capability {CAPABILITY[0]}.{CAPABILITY[1]}",
        "configuration": {"resolution": RESOLUTION, **run, "retries": stats["num_alloc_retries"]},
        "allocator_settings": {"expandable_segments": bool(run.get("expandable_segments"))},
    }
    file.write_text(json.dumps(log), encoding="utf-8")


def drive(run: dict[str, Any]) -> None:
    """What a script does with sam2: one picture three times, at each resolution, or a clip."""
    from planner.driving import stock
    from planner.driving.clips import Black
    from planner.driving.watch import Watch

    frames, objects = run.get("frames", 1), run.get("objects", 1)
    for side in run.get("resolutions", (RESOLUTION,)):
        asked = Run(
            runtime="stock",
            configuration=Configuration(
                variant="tiny",
                version="2.1",
                resolution=(side, side),
                precision="autocast_bfloat16",
                bounded_memory_bank=False,
            ),
            workload=Workload(task=run["task"], objects=objects, frames=frames, frame_size=FRAME_SIZE),
        )
        with stock.computing(asked, "cuda"):
            model = stock.load(asked, "cuda", Watch())
            stock.drive(asked, model, Watch(), Black(frames, FRAME_SIZE))
            del model
            gc.collect()


if __name__ == "__main__":
    sys.exit(main())
