"""Which configurations a sweep runs: presets, or the ranges of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from planner.catalog.runtimes import check_run, resolution_of
from planner.errors import FileError, UsageError
from planner.measure.trial import Trial
from planner.nouns.run import SWITCHES, Configuration, Transformers, Workload, bounds_memory, native_resolution
from planner.nouns.words import (
    ALL_VARIANTS,
    DRIVEN_RUNTIMES,
    OTHER_MODELS,
    OTHER_RUNTIMES,
    PRECISIONS,
    PROCESSING_DEVICES,
    TASKS,
    VARIANTS,
    VERSIONS,
    DrivenRuntime,
    Precision,
)
from planner.text.spelling import check_word
from planner.text.strict_yaml import Fields, read
from planner.text.units import format_resolution, parse_count, parse_frame_size, parse_frames, parse_resolution

STOCK_POINTS = 64
MOST_TRIALS = 5000
WIDTHS = ("autocast_bfloat16", "float32", "float16")
FULL_HD = (1080, 1920)
STOCK_FRAMES = 24
OF_VIDEO = ("offload_video", "offload_state")
"""Switches that make no difference to a picture."""
WAYS = ("streaming", "keep_all")
"""Switches of transformers and of Ultralytics; see planner.simulate."""
_USUAL_PRECISIONS: Mapping[str, Precision] = {"transformers": "bfloat16", "ultralytics": "float32"}
Ranges = Mapping[str, Sequence[Any]]

_QUICK: tuple[Ranges, ...] = (
    {"task": ["image", "video"], "variant": ["tiny", "large"], "precision": ["autocast_bfloat16"]},
    {"task": ["video"], "variant": ["tiny"], "objects": [8]},
    {"task": ["image"], "variant": ["base_plus"], "resolution": [(512, 512)], "precision": ["float16"]},
)
_STANDARD: tuple[Ranges, ...] = (
    *_QUICK,
    {"task": ["image", "video"], "variant": VARIANTS, "precision": WIDTHS},
    {"task": ["image", "video"], "variant": ["tiny", "large"], "resolution": [(512, 512), (768, 768), (2048, 2048)]},
    {"task": ["video"], "variant": VARIANTS, "objects": [4]},
    {"task": ["automask"], "variant": ["tiny", "large"]},
)
_FULL: tuple[Ranges, ...] = (
    *_STANDARD,
    {
        "task": ["image", "video"],
        "variant": VARIANTS,
        "precision": WIDTHS,
        "resolution": [(side, side) for side in (512, 640, 768, 896, 1280, 1536, 2048)],
    },
    {"task": ["video"], "variant": VARIANTS, "objects": [2, 10, 30], "offload_state": [False, True]},
    {"task": ["video", "image"], "variant": ["small"], "frame_size": [(480, 854), (2160, 3840)]},
    {"task": ["automask"], "variant": VARIANTS, "precision": WIDTHS, "object_batch": [64, 16]},
    {"task": ["image"], "variant": VARIANTS, "version": ["2.0"]},
)
PRESETS = {"quick": _QUICK, "standard": _STANDARD, "full": _FULL}
"""Ranges whose products are run, cheap and telling ones first; what a range leaves out has one usual value."""


def preset(name: str, runtime: str, device: str = "cuda") -> list[Trial]:
    """The trials of a preset, each once, without those that transformers or Ultralytics cannot do.

    Raises UsageError for an unknown one.
    """
    check_word(name, "preset", tuple(PRESETS))
    strict = runtime not in OTHER_RUNTIMES
    return _once(trial for ranges in PRESETS[name] for trial in trials(ranges, runtime, device, strict=strict))


def sweep_file(path: Path, runtime: str, device: str = "cuda") -> list[Trial]:
    """The trials of a YAML file: a mapping of ranges, or a list of such. Raises FileError naming line and remedy."""
    value = read(path)
    entries = value if isinstance(value, list) else [value]
    found = _once(
        trial for entry in entries for trial in trials(_ranges(Fields(entry, str(path), "a sweep")), runtime, device)
    )
    if not found:
        raise FileError(f"{path}: there is nothing to run.", "Give at least one range, such as variant: [tiny].")
    return found


def trials(ranges: Ranges, runtime: str, device: str = "cuda", *, strict: bool = True) -> Iterator[Trial]:
    """The product of ranges. Raises UsageError for what the runtime cannot run, or leaves it out if not strict."""
    known = check_word(runtime, "runtime", DRIVEN_RUNTIMES)
    usual: dict[str, Sequence[Any]] = {
        "task": ["video"],
        "variant": ["tiny"],
        "version": ["2.1"],
        "resolution": [None],  # its checkpoint's
        "precision": [_USUAL_PRECISIONS.get(known, "autocast_bfloat16")],
        "objects": [1],
        "frames": [None if runtime == "own" else STOCK_FRAMES],
        "frame_size": [FULL_HD],
        "object_batch": [None],
        **{name: [False] for name in (*SWITCHES, *WAYS)},
        "processing_device": ["cuda"],
    }
    names = list(usual)
    for values in product(*(ranges.get(name, usual[name]) for name in names)):
        try:
            trial = _trial(dict(zip(names, values, strict=True)), known, device)
            check_run(trial)
        except UsageError:
            if strict:
                raise
        else:
            yield trial


def _trial(asked: Mapping[str, Any], runtime: DrivenRuntime, device: str) -> Trial:
    task, batch = asked["task"], asked["object_batch"]
    height, width = resolution_of(asked["variant"], asked["resolution"])
    if runtime == "stock":
        if height != width:
            raise UsageError(f"The stock predictors cannot run at {height}x{width}.", "Give squares, or --runtime own.")
        if batch not in (None, 1) and task != "automask":
            raise UsageError(f"The stock predictors have no object_batch of {batch}.", "Leave it out.")
        if task == "video" and asked["frames"] is None:
            raise UsageError("The stock predictors keep every frame: a clip without end ends badly.", "Give frames.")
    if runtime == "ultralytics" and task != "automask":
        batch = batch or asked["objects"]  # all go together: check_run refuses another number
    moot = () if task == "video" else OF_VIDEO
    switched: dict[str, Any] = {name: asked[name] and name not in moot for name in SWITCHES}
    configuration = Configuration(
        variant=asked["variant"],
        version=asked["version"],
        resolution=(height, width),
        precision=asked["precision"],
        object_batch=batch or (STOCK_POINTS if task == "automask" else 1),
        bounded_memory_bank=bounds_memory(runtime, asked["keep_all"]),
        **switched,
    )
    workload = Workload(
        task=task,
        objects=1 if task == "automask" else asked["objects"],
        frames=asked["frames"] if task == "video" else 1,
        frame_size=asked["frame_size"],
    )
    video = task == "video"
    ways = Transformers(
        streaming=asked["streaming"] and video, processing_device=asked["processing_device"] if video else "cuda"
    )
    return Trial(runtime=runtime, configuration=configuration, workload=workload, transformers=ways, device=device)


def _once(found: Iterator[Trial]) -> list[Trial]:
    known: dict[str, Trial] = {}
    for trial in found:
        known.setdefault(trial.id, trial)
        if len(known) > MOST_TRIALS:
            raise UsageError(f"The ranges give more than {MOST_TRIALS} configurations.", "Narrow them.")
    return list(known.values())


def _ranges(fields: Fields) -> dict[str, Sequence[Any]]:
    words: dict[str, tuple[str, ...]] = {
        "task": TASKS,
        "variant": ALL_VARIANTS,
        "version": VERSIONS,
        "precision": PRECISIONS,
        "processing_device": PROCESSING_DEVICES,
    }
    parsed: dict[str, Callable[[str], Any]] = {
        "resolution": _resolution,
        "objects": lambda text: parse_count(text, "objects"),
        "frames": parse_frames,
        "frame_size": parse_frame_size,
        "object_batch": lambda text: parse_count(text, "objects per pass"),
    }
    found: dict[str, Sequence[Any]] = {}
    for name in (*words, *parsed, *SWITCHES, *WAYS):
        if name not in fields:
            continue
        values = fields.items(name)
        if not values:
            raise fields.complaint(f"{name} is empty", "Give at least one value.", name)
        if name in words:
            unknown = next((value for value in values if str(value) not in words[name]), None)
            if unknown is not None:
                raise fields.complaint(f"{name} holds {unknown!r}", f"Use: {', '.join(words[name])}.", name)
            found[name] = [str(value) for value in values]
        elif name in parsed:
            try:
                found[name] = [parsed[name](_text(value)) for value in values]
            except UsageError as error:
                raise fields.complaint(f"{name}: {error.message}", error.hint, name) from None
        else:
            if any(not isinstance(value, bool) for value in values):
                raise fields.complaint(f"{name} holds something else than true and false", "Correct it.", name)
            found[name] = values
    fields.end()
    return found


def _resolution(text: str) -> tuple[int, int]:
    """Any that some variant has: whose it is, is known when they are put together."""
    for variant in OTHER_MODELS:
        own = native_resolution(variant)
        if text in (str(own[0]), format_resolution(own)):
            return own
    return parse_resolution(text)


def _text(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)
