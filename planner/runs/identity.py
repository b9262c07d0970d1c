"""What makes two runs the same: then one goes on where the other stopped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planner.catalog.checkpoints import OF_TRANSFORMERS, local_path
from planner.catalog.weight_files import parts_of
from planner.errors import UsageError
from planner.runs.job import Job
from planner.wire.parts import CONFIGURATION

SAMPLE_BYTES = 2**20
"""Bytes of a file's beginning and end: enough to tell two files of one size apart, without reading gigabytes."""
NAMES = {
    "task": "the plan's task",
    "configuration": "the plan's configuration",
    "fallback": "--fallback",
    "weights": "the weights",
    "device": "--device",
    "input": "INPUT",
    "prompts": "the prompts",
    "reverse": "--reverse",
    "frames": "--frames",
    "multimask": "--multimask",
    "start": "--start",
    "points_per_side": "--points-per-side",
    "crop_layers": "--crop-layers",
    "save": "--save",
    "part_frames": "the length of a part",
}


def identity_of(job: Job) -> dict[str, Any]:
    """Plain data that two jobs share if, and only if, they write the same files. Paths count by what lies there."""
    chosen = job.plan.chosen
    assert chosen is not None
    rungs = [CONFIGURATION.write(choice.configuration) for choice in job.plan.alternatives]
    return {
        "task": job.task,
        "configuration": CONFIGURATION.write(chosen.configuration),
        "fallback": rungs if job.weights.fallback else None,
        "weights": _weights(job),
        "device": job.weights.device,
        "input": _source(job),
        "prompts": [_prompt(prompt) for prompt in job.prompts],
        "reverse": job.reverse,
        "frames": job.limit,
        "multimask": job.multimask,
        "start": job.start,
        "points_per_side": job.points_per_side,
        "crop_layers": job.crop_layers,
        "save": list(job.saves),
        "part_frames": job.part_frames,
    }


def require_same(found: Mapping[str, Any], wanted: Mapping[str, Any], out: Path) -> None:
    """Raise UsageError that names what differs between the run in a folder and the one that is asked for."""
    differing = [name for name in NAMES if found.get(name) != wanted[name]]
    if not differing:
        return
    details = "; ".join(f"{NAMES[name]}{_difference(found.get(name), wanted[name])}" for name in differing)
    raise UsageError(
        f"{out} holds another run: what differs is {details}.",
        "Give another folder, or --overwrite to delete that run and start again.",
    )


def _difference(found: object, wanted: object) -> str:
    """What differs; short values are shown."""
    if isinstance(found, (dict, list)) and isinstance(wanted, (dict, list)) and not _short(found, wanted):
        return ""
    return f" ({_text(found)} there, {_text(wanted)} now)"


def _short(*values: object) -> bool:
    return all(len(_text(value)) <= 60 for value in values)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return str(value.get("name", "other"))
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else str(value)


def _weights(job: Job) -> dict[str, Any]:
    checkpoint = job.weights.checkpoint
    if checkpoint is None:
        return {"name": f"random, seed {job.weights.seed}"}
    path = Path(checkpoint)
    if not path.exists():
        return {"name": checkpoint}
    assert job.plan.chosen is not None
    meant = local_path(job.plan.chosen.configuration, path)
    if meant.name in OF_TRANSFORMERS:
        # Its own files, not the first and last beside them: two trainings differ in nothing else.
        return {"name": path.resolve().name, "files": [_digest(part) for part in parts_of(meant)]}
    return _digest(path)


def _source(job: Job) -> dict[str, Any]:
    if isinstance(job.source, (str, os.PathLike)):
        path = Path(job.source)
        if path.exists():
            return _digest(path)
        return {"name": str(job.source)}
    array = job.picture
    if array is not None:
        return {"name": "a picture", "digest": hashlib.sha256(array.tobytes()).hexdigest()}
    frames = job.frames
    assert frames is not None
    return {"name": frames.name, "frames": frames.length, "size": list(frames.size)}


def _prompt(prompt: Any) -> dict[str, Any]:
    mask = prompt.mask
    return {
        "frame": int(prompt.frame),
        "object": int(prompt.object),
        "points": None if prompt.points is None else [[float(v) for v in point] for point in prompt.points],
        "labels": None if prompt.labels is None else [int(label) for label in prompt.labels],
        "box": None if prompt.box is None else [float(side) for side in prompt.box],
        "mask": None if mask is None else hashlib.sha256(repr(mask.shape).encode() + mask.tobytes()).hexdigest(),
        **({"end": True} if getattr(prompt, "end", False) else {}),
    }


def _digest(path: Path) -> dict[str, Any]:
    """Name, size and a digest of a file's two ends; of a folder, of its files' names, sizes and ends."""
    if not path.is_dir():
        size, digest = _ends(path)
        return {"name": path.name, "bytes": size, "digest": digest}
    whole, size = hashlib.sha256(), 0
    files = sorted(child for child in path.iterdir() if child.is_file())
    for number, child in enumerate(files):
        # Reading the ends of ten thousand pictures would take longer than it is worth.
        some = _ends(child) if number in (0, len(files) - 1) else (child.stat().st_size, "")
        whole.update(f"{child.name}\0{some}\0".encode("utf-8", "surrogateescape"))
        size += some[0]
    return {"name": path.resolve().name, "bytes": size, "digest": whole.hexdigest()}


def _ends(path: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(SAMPLE_BYTES))
        size = file.seek(0, os.SEEK_END)
        file.seek(max(SAMPLE_BYTES, size - SAMPLE_BYTES))
        digest.update(file.read())
    return size, digest.hexdigest()
