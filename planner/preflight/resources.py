"""Room for the outputs on the disk, and for weights and offloads in the host's memory."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from planner.catalog import load_catalog
from planner.memory_model.host import host_components
from planner.nouns.machine import Machine
from planner.nouns.run import Configuration, Workload, runtime_of
from planner.nouns.words import Save
from planner.outputs.layout import EARLY_ENDS, PART_FRAMES
from planner.preflight.checks import FAIL, PASS, SKIP, WARN, Check
from planner.text.units import format_size

PNG_BITS, OVERLAY_BITS = 0.4, 1.0
"""Bits that an output takes per pixel of the source, rounded up: 0.35 and 0.83 as measured on a clip of 960x540 with
three objects and random weights, whose ragged masks compress worse than trained ones (docs/log.md)."""
NPZ_BITS, COCO_BITS = 0.4, 1.0
"""Likewise, of each object: 0.31 and 0.92 as measured."""
FIRST_PART_FRAMES = EARLY_ENDS[0]
"""A run is done in parts; the first must be possible."""


def check_disk(workload: Workload, out: str | None, saves: Sequence[Save]) -> Check:
    """Whether the folder can be made and written to, and has room for what the run will write there."""
    if out is None:
        return Check(name="disk", status=SKIP, found="no folder for the outputs is named (--out)")
    folder = Path(out)
    # os.path, because pathlib raises where a folder may not be looked into.
    if os.path.lexists(folder) and not os.path.isdir(folder):
        return _no_folder(f"{folder} is there, and is no folder", "Give another --out, or move it away")
    parent = folder if os.path.isdir(folder) else folder.parent
    if not os.path.isdir(parent):
        return _no_folder(
            f"there is no folder {parent} that this user can see", f"Make it: mkdir -p {shlex.quote(str(parent))}"
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        return _no_folder(f"{parent} cannot be written to", "Choose a folder that this user may write to")
    try:
        free = shutil.disk_usage(parent).free
    except OSError as error:
        return _no_folder(f"{parent}: {error.strerror or error}", "Check the path")
    each = output_bytes(workload, saves)
    figures = {"free_bytes": free, "bytes_per_frame": each, "frames": workload.frames}
    room = f"{format_size(free)} free at {parent}"
    if workload.frames is None:
        return _endless(each, free, room, figures)
    need = each * workload.frames
    if need > free:
        return Check(
            name="disk",
            status=FAIL,
            found=f"the outputs may take {format_size(need)}, {format_size(need - free)} more than the {room}",
            action="Free some space, or save less (--save coco)",
            figures=figures,
        )
    return Check(name="disk", status=PASS, found=f"the outputs may take {format_size(need)}; {room}", figures=figures)


def _endless(each: int, free: int, room: str, figures: dict[str, int | None]) -> Check:
    frames = free // each
    found = f"the outputs may take {format_size(each * 1000)} per 1,000 frames; {room}, enough for {frames:,} frames"
    if frames < PART_FRAMES:
        # Fewer than the first part has would leave nothing behind; a run that ends after a few frames leaves those.
        status = FAIL if frames < FIRST_PART_FRAMES else WARN
        return Check(name="disk", status=status, found=found, action="Free some space, or save less", figures=figures)
    return Check(name="disk", status=PASS, found=found, figures=figures)


def _no_folder(found: str, action: str) -> Check:
    return Check(name="disk", status=FAIL, found=found, action=action)


def output_bytes(workload: Workload, saves: Sequence[Save]) -> int:
    """Bytes that one frame may leave on the disk; an allowance, not a prediction.

    `saves` as `sam2-plan run --save` takes them. While a run goes on, the overlay's parts lie beside
    the video that they are joined to, and so do those of the COCO document: both count twice.
    """
    objects = workload.objects
    bits = {"png": PNG_BITS, "npz": NPZ_BITS * objects, "overlay": 2 * OVERLAY_BITS, "coco": 2 * COCO_BITS * objects}
    pixels = workload.frame_size[0] * workload.frame_size[1]
    return max(1, round(pixels * sum(bits[save] for save in saves) / 8))


def check_host(configuration: Configuration, workload: Workload, machine: Machine) -> Check:
    """Whether the host has memory for what the run holds there: the rule and the figures of planning."""
    components = host_components(configuration, workload, runtime_of(configuration), load_catalog()) or ()
    need = {part.name: part.bytes for part in components}
    usable = machine.host_usable_bytes
    figures = {"need_bytes": sum(need.values()), "usable_bytes": usable, "parts": dict(need)}
    parts = ", ".join(f"{name} {format_size(size)}" for name, size in need.items())
    total = sum(need.values())
    what = f"the host needs some {format_size(total)} ({parts})"
    if usable is None:
        return Check(name="host memory", status=SKIP, found=f"{what}; what is free is not known", figures=figures)
    free = f"{format_size(usable)} available"
    if machine.host_limit_bytes is not None and usable == machine.host_limit_bytes:
        free += " under the limit of a control group"
    if total > usable:
        return Check(
            name="host memory",
            status=FAIL,
            found=f"{what}, {format_size(total - usable)} more than the {free}",
            action=f"Free host memory, raise its limit{_less_on_host(need)}",
            figures=figures,
        )
    return Check(name="host memory", status=PASS, found=f"{what}; {free}", figures=figures)


def _less_on_host(need: Mapping[str, int]) -> str:
    """What makes the largest part smaller, where a plan can."""
    largest = max(need, key=lambda name: need[name])
    if largest == "memory bank":
        return ", or take a configuration whose memory bank stays on the GPU"
    return ", or take a smaller variant" if largest == "weights being loaded" else ""
