"""Rows that a collecting script of stock sam2 wrote, as measurements: one JSON object a line.

Keys: configuration {task, version, precision, size, objects, frames, frame_size, offload_video, offload_state,
points_per_batch, variant}, peak_allocated_bytes, peak_reserved_bytes, context_bytes (device memory in use before the
first tensor, of use only where alone), process_bytes, total_bytes, seconds, torch, gpu, capability, error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from planner.errors import FileError
from planner.measure.trial import FAILED, OUT_OF_MEMORY, RAN, Outcome, Trial
from planner.nouns.run import Configuration, Workload
from planner.nouns.words import TASKS, VARIANTS, Precision, Version
from planner.text.spelling import check_word

PRECISIONS: dict[str, Precision] = {
    "amp-bf16": "autocast_bfloat16",
    "amp-fp16": "autocast_float16",
    "fp32": "float32",
    "half": "float16",
}
VERSIONS: dict[str, Version] = {"2": "2.0", "2.0": "2.0", "2.1": "2.1"}
BYTES = ("peak_allocated_bytes", "peak_reserved_bytes", "context_bytes", "process_bytes", "total_bytes")
STOCK_POINTS = 64


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that cannot be true, or is none."""

    line: int
    label: str
    reason: str


def read_collected(path: Path) -> tuple[list[tuple[Trial, Outcome]], list[Refused]]:
    """The rows of a file, and those that were refused, each with its line and why.

    Raises FileError where the file cannot be read or holds no row at all.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read: {error}.", "Give a rows.jsonl.") from None
    found: dict[str, tuple[Trial, Outcome]] = {}
    refused = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        label = "?"
        try:
            row = json.loads(line)
            label = "-".join(str(value).replace(" ", "") for value in row["configuration"].values())
            trial, outcome = _trial(row["configuration"]), _outcome(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)
            refused.append(Refused(number, label, reason))
            continue
        # Of several runs of one configuration the one that was alone says most, else the last.
        known = found.get(trial.id)
        if known is None or not known[1].alone or outcome.alone:
            found[trial.id] = trial, outcome
    if not found and not refused:
        raise FileError(f"{path} holds no row.", "Give the rows.jsonl of a collection.")
    return list(found.values()), refused


def _trial(asked: Mapping[str, Any]) -> Trial:
    task, size = check_word(asked["task"], "task", TASKS), int(asked["size"])
    if size <= 0 or size % 32:
        raise ValueError(f"size is {size}, not a multiple of 32")
    objects, frames = int(asked.get("objects", 1)), int(asked.get("frames", 1))
    height, width = (int(side) for side in asked["frame_size"])
    if min(objects, frames, height, width) < 1:
        raise ValueError("objects, frames and frame_size must be positive")
    configuration = Configuration(
        variant=check_word(asked["variant"], "variant", VARIANTS),
        version=VERSIONS[str(asked["version"])],
        resolution=(size, size),
        precision=PRECISIONS[asked["precision"]],
        object_batch=int(asked.get("points_per_batch", STOCK_POINTS)) if task == "automask" else 1,
        bounded_memory_bank=False,
        offload_video=bool(asked.get("offload_video", False)),
        offload_state=bool(asked.get("offload_state", False)),
    )
    workload = Workload(task=task, objects=objects, frames=frames if task == "video" else 1, frame_size=(height, width))
    return Trial(runtime="stock", configuration=configuration, workload=workload)


def _outcome(row: Mapping[str, Any]) -> Outcome:
    versions = {"torch": row.get("torch"), "cuda": row.get("cuda"), "cudnn": _text(row.get("cudnn"))}
    capability = tuple(row["capability"]) if row.get("capability") else None
    known: dict[str, Any] = {"gpu": row.get("gpu"), "capability": capability, "versions": versions}
    if "error" in row:
        text = str(row["error"]).strip()
        last = text.splitlines()[-1] if text else "no message"
        kind = OUT_OF_MEMORY if "out of memory" in text.lower() else FAILED
        return Outcome(outcome=kind, error=last[:300], **known)
    if row.get("gpu") is None:
        raise ValueError("no GPU is named: a dry run on a CPU counts no bytes")
    sizes = {name: _size(name, row.get(name)) for name in BYTES}
    allocated, reserved = sizes["peak_allocated_bytes"], sizes["peak_reserved_bytes"]
    for less, more in (("peak_allocated_bytes", "peak_reserved_bytes"), ("peak_reserved_bytes", "total_bytes")):
        low, high = sizes[less], sizes[more]
        if low is None:
            raise ValueError(f"{less} is missing")
        if high is not None and low > high:
            raise ValueError(f"{less} {low} exceeds {more} {high}")
    alone = bool(row.get("alone", False))
    seconds = [float(value) for value in row.get("seconds") or ()]
    return Outcome(
        outcome=RAN,
        allocated_bytes=allocated,
        reserved_bytes=reserved,
        context_bytes=sizes["context_bytes"] if alone else None,
        process_bytes=sizes["process_bytes"],
        total_bytes=sizes["total_bytes"],
        phases=dict(_phases(row)),
        alone=alone,
        seconds_per_frame=round(median(seconds[2:]), 6) if len(seconds) > 2 else None,
        frames=len(seconds),
        **known,
    )


def _phases(row: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, int]]]:
    """What was allocated after loading and after the clip was read: no peak, but near one, as nothing else ran."""
    for phase, name in (("load", "weights_bytes"), ("init", "init_bytes")):
        size = _size(name, row.get(name))
        if size:
            yield phase, {"allocated_bytes": size}


def _size(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} is {value!r}")
    return int(value)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
