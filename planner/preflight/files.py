"""The checkpoint and the input: there, readable, and what the plan takes them for."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from planner.catalog.checkpoints import (
    HEX_DIGITS,
    HUB_ID,
    local_path,
    official_sums,
    sum_of_all,
)
from planner.catalog.weight_files import parts_of
from planner.catalog.weights import accept, missing
from planner.errors import EXIT_FAILED, EXIT_USAGE, FileError, PlannerError, UsageError
from planner.nouns.official import official_hub_id, official_name
from planner.nouns.run import Configuration, Workload
from planner.preflight.checks import FAIL, PASS, SKIP, WARN, Check
from planner.sources.probe import Probe, probe_clip, probe_picture
from planner.text.units import counted, format_resolution

_SUM = re.compile(rf"[0-9a-f]{{{HEX_DIGITS}}}", re.ASCII)

Progress = Callable[[int, int], None]


def parse_sum(text: str) -> str:
    """A SHA-256 in hexadecimal, lower case. Raises UsageError for anything else."""
    lowered = text.strip().lower()
    if not _SUM.fullmatch(lowered):
        raise UsageError(f"{text[:80]!r} is not a SHA-256.", f"Give {HEX_DIGITS} hexadecimal digits: sha256sum FILE")
    return lowered


def check_checkpoint(
    configuration: Configuration,
    checkpoint: str | None,
    wanted: str | None,
    progress: Progress | None = None,
    here: bool = True,
    video: bool = True,
) -> Check:
    """Whether the file is there, is what was asked for by its sum, and holds the plan's variant and version.

    `wanted` is the SHA-256 it must have; of None the official one, and another file of the same kind is a warning.
    `here`: the plan will run on this machine, so what fetching takes must be installed. `video`: it tracks, which takes
    weights of its own.
    """
    if checkpoint is None:
        return Check(name="checkpoint", status=SKIP, found="none is named (--checkpoint)")
    path = local_path(configuration, checkpoint)
    if os.path.isfile(path):  # not pathlib, which raises where a folder may not be looked into
        return _file(configuration, path, wanted, progress, video)
    if HUB_ID.fullmatch(checkpoint):
        return _on_hub(configuration, checkpoint, wanted, progress, here, video)
    error = missing(configuration, path)
    return _failed(error.message[:1].lower() + error.message[1:].rstrip("."), error.hint.rstrip("."))


def _file(
    configuration: Configuration, path: Path, wanted: str | None, progress: Progress | None, video: bool
) -> Check:
    """A file, by its sum and else by its content."""
    try:
        parts = parts_of(path)
        found = sum_of_all(parts, progress)
    except FileError as error:
        return _bad("checkpoint", error)
    official = official_sums().get((configuration.variant, configuration.version))
    figures = {
        "sha256": found,
        "wanted_sha256": wanted or official,
        "file_bytes": sum(part.stat().st_size for part in parts),
    }
    if wanted is not None and found != wanted:
        action = "Take the file that was meant; it may have been cut short or exchanged"
        return _failed(f"{path} has the SHA-256 {found}, not {wanted}", action, figures)
    if found == official:
        return Check(name="checkpoint", status=PASS, found=f"{path} is {official_name(configuration)}", figures=figures)
    return _by_content(configuration, path, found, wanted is not None, figures, video)


def _by_content(
    configuration: Configuration, path: Path, found: str, accepted: bool, figures: Mapping[str, object], video: bool
) -> Check:
    """A file that is not the official one: what the run will say of it."""
    try:
        found_weights = accept(path, configuration, video=video)
    except FileError as error:
        return _failed(error.message.rstrip("."), error.hint.rstrip("."), figures)
    shape = f" ({found_weights.shape})" if found_weights.shape else ""
    what = f"{path} holds {configuration.variant} {configuration.version}{shape}"
    if accepted:
        return Check(name="checkpoint", status=PASS, found=f"{what} and has the SHA-256 asked for", figures=figures)
    return Check(
        name="checkpoint",
        status=WARN,
        found=f"{what}, but is not the official file (SHA-256 {found[:12]}...)",
        action=f"If it is your own, pin it: --sha256 {found}",
        figures=figures,
    )


def _on_hub(
    configuration: Configuration,
    checkpoint: str,
    wanted: str | None,
    progress: Progress | None,
    here: bool,
    video: bool,
) -> Check:
    """An id on the hub: a file where it was fetched before, else what fetching it will take."""
    official = official_hub_id(configuration)
    if checkpoint != official:
        planned = f"{configuration.variant} {configuration.version}"
        return _failed(f"{checkpoint} is not {planned}, which the plan is for", f"Give {official}, or a file")
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        found = f"{checkpoint} is on the hub, and fetching it needs the package huggingface_hub"
        action = f'Run pip install "sam2-plan[run]", or give the path of {official_name(configuration)}'
        return Check(name="checkpoint", status=FAIL if here else WARN, found=found, action=action)
    cached = try_to_load_from_cache(checkpoint, official_name(configuration))
    if isinstance(cached, str):
        return _file(configuration, Path(cached), wanted, progress, video)
    unseen = "" if wanted is None else "; its SHA-256 cannot be compared before"
    return Check(
        name="checkpoint",
        status=WARN,
        found=f"{checkpoint} is not in the hub's cache: it will be fetched when the plan runs{unseen}",
        action="Fetch it beforehand, or give a file",
    )


def _failed(found: str, action: str, figures: Mapping[str, object] | None = None) -> Check:
    """Not the checkpoint that the plan asks for."""
    return Check(
        name="checkpoint", status=FAIL, found=found, action=action, exit_code=EXIT_USAGE, figures=figures or {}
    )


def check_input(workload: Workload, source: str | None) -> tuple[Check, Probe | None]:
    """Whether the input can be read, and has the size and length that the plan is for."""
    if source is None:
        return Check(name="input", status=SKIP, found="none is named (--input)"), None
    try:
        probe = probe_clip(source) if workload.task == "video" else probe_picture(source)
    except PlannerError as error:
        return _bad("input", error), None
    return _compared(workload, source, probe), probe


def _compared(workload: Workload, source: str, probe: Probe) -> Check:
    figures = {
        "size": list(probe.size),
        "planned_size": list(workload.frame_size),
        "frames": probe.length,
        "planned_frames": workload.frames,
    }
    length = "without end" if probe.length is None else counted(probe.length, "frame")
    what = f"{source}: {format_resolution(probe.size)}" + (f", {length}" if workload.task == "video" else "")
    notes, actions = list(probe.warnings), []
    if probe.size[0] * probe.size[1] > workload.frame_size[0] * workload.frame_size[1]:
        notes.append(f"larger than the {format_resolution(workload.frame_size)} of the plan")
        actions.append(f"--frame-size {format_resolution(probe.size)}")
    if workload.frames is not None and (probe.length is None or probe.length > workload.frames):
        notes.append(f"longer than the {counted(workload.frames, 'frame')} of the plan")
        actions.append(f"--frames {probe.length or 'unlimited'}")
    if notes:
        found = f"{what}; {'; '.join(note.rstrip('.') for note in notes)}"
        action = f"Plan with {' '.join(actions)}" if actions else "See that this is meant"
        return Check(name="input", status=WARN, found=found, action=action, figures=figures)
    return Check(name="input", status=PASS, found=what, figures=figures)


def _bad(name: str, error: PlannerError) -> Check:
    code = EXIT_USAGE if error.exit_code == EXIT_USAGE else EXIT_FAILED
    found, action = error.message.rstrip("."), error.hint.rstrip(".") or None
    return Check(name=name, status=FAIL, found=found, action=action, exit_code=code)
