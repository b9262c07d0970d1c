#!/usr/bin/env python3
"""Ask cuDNN for the workspaces of SAM 2's convolutions and write profiles/convolutions.tsv.

    python scripts/make_convolutions.py                     traces them and asks the installed torch's cuDNN
    python scripts/make_convolutions.py --cudnn LIBCUDNN    asks another cuDNN (9.8 or later) of those in the table

Rows of other versions of cuDNN stay. Needs no GPU, but a C compiler (for cublasLt's stand-in), torch and sam2.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from planner.nouns.words import VARIANTS
from planner.simulator.convolutions.asking import Child, NoAnswer, cublaslt_of
from planner.simulator.convolutions.convolution import CUDNN, Convolution, kernel_of
from planner.simulator.convolutions.devices import device_json
from planner.simulator.convolutions.stand_in import stand_in
from planner.simulator.convolutions.table import FILE, KEY, UNKNOWN, Key, Table, column_of, convolution_of, key_of
from planner.simulator.settings import checked, conditions_of, run_of, trace
from planner.simulator.torch_convolutions import installed_cudnn
from planner.simulator.workspaces import workspaces_for

CAPABILITIES = ((7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0))
DTYPES = (("bfloat16", True), ("float16", True), ("float32", True), ("float32", False))
RESOLUTIONS = (512, 1024, 2048)
RUNS: tuple[dict[str, Any], ...] = (
    {"task": "image"},
    {"task": "image", "prompt": "mask"},
    {"task": "image", "objects": 8},
    {"task": "automask"},
    {"task": "automask", "stock": False, "object_batch": 1},
    {"task": "video", "frames": 3, "prompt": "mask"},
    {"task": "video", "frames": 3, "objects": 8, "legacy": True},
    {"task": "video", "frames": 3, "objects": 8, "stock": False, "object_batch": 8},
)
COMMENT = """\
# Bytes of workspace of SAM 2's convolutions by cuDNN's heuristics, made by scripts/make_convolutions.py without a GPU:
# cuDNN was asked for a described one (planner/simulator/convolutions/), the first configuration that torch would run.
# A 1x1 convolution that cuDNN gives to cublasLt is counted without cublasLt's own workspace, which only a GPU can tell.
# exact: float32 with torch.backends.cudnn.allow_tf32 off. -: not given to cuDNN, or no answer (9.10 crashes for 10.0).
# Traced: every variant and task at 512, 1024 and 2048, up to 8 objects at once, 64 points. All numbers are bytes.
"""


def traced() -> list[Convolution]:
    """Every distinct convolution of the runs."""
    found: dict[Convolution, None] = {}
    for variant in VARIANTS:
        for resolution in RESOLUTIONS:
            for run in RUNS if variant == "tiny" else RUNS[:1]:  # variants differ in the trunk and the neck only
                asked = checked(_defaults() | run | {"variant": variant, "resolution": resolution})
                found.update(dict.fromkeys(trace(run_of(asked), conditions_of(asked)).convolutions.known()))
                print(f"{variant} {resolution} {run}: {len(found)} convolutions", file=sys.stderr)
    return list(found)


def _defaults() -> dict[str, Any]:
    import inspect

    from planner.simulator import simulate

    return {name: parameter.default for name, parameter in inspect.signature(simulate).parameters.items()}


def asked(library: Path, torch: str, convolutions: Iterable[Convolution]) -> Iterator[tuple[int, Key, list[str]]]:
    """Rows: the version of cuDNN, the key, the cells."""
    cublaslt = cublaslt_of(library)
    made = stand_in(cublaslt.name) if cublaslt else None
    if made is None:
        sys.exit("There is no cublasLt beside this cuDNN, or no C compiler to make its stand-in with.")
    rows: dict[Key, Convolution] = {}
    for convolution in convolutions:
        rows.setdefault(key_of(convolution), convolution)
    cells: dict[Key, list[str]] = {key: [] for key in rows}
    version = 0
    for capability in CAPABILITIES:
        device = device_json(capability, workspaces_for(capability, torch).multiprocessors.count)
        with Child(library, device, cublaslt=made) as child:
            for key, convolution in rows.items():
                for dtype, tf32 in DTYPES:
                    question = dataclasses.replace(convolution, dtype=dtype, tf32=tf32)
                    cells[key].append(_cell(child, question, capability))
            try:
                version = child.version()
            except NoAnswer as error:
                print(f"{capability}: {error}", file=sys.stderr)
    for key in rows:
        if set(cells[key]) != {UNKNOWN}:
            yield version, key, cells[key]


def _cell(child: Child, question: Convolution, capability: tuple[int, int]) -> str:
    if kernel_of(question, capability) != CUDNN:
        return UNKNOWN
    try:
        found = child.workspace_bytes(question)
    except NoAnswer:
        return UNKNOWN
    return UNKNOWN if found is None else str(found)


def main() -> int:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cudnn", type=Path, help="a libcudnn.so.9 to ask instead of the installed torch's")
    arguments = parser.parse_args()
    old = Table() if FILE.exists() else None
    installed = installed_cudnn()
    library = arguments.cudnn or (installed.library if installed else None)
    if library is None:
        sys.exit("The installed torch has no cuDNN: name one with --cudnn.")
    convolutions = [convolution_of(key) for key in old.convolutions()] if arguments.cudnn and old else traced()
    rows = sorted(asked(library, "2.14", convolutions))
    columns = [column_of(dtype, tf32, capability) for capability in CAPABILITIES for dtype, tf32 in DTYPES]
    if old is not None:
        version = rows[0][0]
        rows += [(other, *row) for other in old.versions() if other != version for row in old.rows(other)]
    lines = ["\t".join((*KEY, *columns)), *("\t".join((str(v), *key, *cells)) for v, key, cells in sorted(rows))]
    FILE.write_text(COMMENT + "\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
