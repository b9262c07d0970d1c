"""Loose values, checked, as a request or as a configuration and a workload."""

from __future__ import annotations

from planner.errors import UsageError
from planner.nouns.request import Gpu, Pins, Request
from planner.nouns.run import Configuration, Workload, bounds_memory
from planner.nouns.words import (
    ALL_VARIANTS,
    ATTENTIONS,
    PRECISIONS,
    PREFERENCES,
    RUNTIMES,
    TASKS,
    VARIANTS,
    VERSIONS,
    Attention,
    Precision,
    Preference,
    Runtime,
    Task,
    Variant,
    Version,
)
from planner.text.spelling import check_word
from planner.text.units import (
    parse_count,
    parse_frame_size,
    parse_frames,
    parse_resolution,
)

DEFAULT_FRAME_SIZE = (1080, 1920)
"""Assumed where no frame size is given, and said to be."""
MAXIMUM_TOP = 1000
MAXIMUM_STREAMS = 10_000


def bounded_memory_bank_of(runtime: Runtime | None, bounded: bool = True) -> bool:
    """The memory bank that goes with a runtime. Raises UsageError for an unknown runtime, or a contradiction."""
    if runtime is None:
        return bounded
    check_word(runtime, "runtime", RUNTIMES)
    if runtime == "ultralytics":  # which prunes unless it is told not to
        return bounded
    bounds = bounds_memory(runtime)
    if bounds and not bounded:
        raise UsageError(
            f"The runtime {runtime} and an unbounded memory bank contradict each other.",
            "Only stock, transformers and Ultralytics keep everything: leave one of the two out.",
        )
    return bounds


def object_batch_of(
    runtime: Runtime | None, task: Task, objects: int | str, object_batch: int | str | None
) -> int | str | None:
    """Objects of one pass as said; where nobody says it, Ultralytics takes all together."""
    return objects if runtime == "ultralytics" and object_batch is None and task != "automask" else object_batch


def configuration_and_workload(
    *,
    variant: Variant,
    resolution: tuple[int, int] | str | int | None,
    task: Task,
    version: Version,
    precision: Precision,
    attention: Attention,
    objects: int | str,
    frames: int | str | None,
    frame_size: tuple[int, int] | str | None,
    object_batch: int | str | None,
    bounded_memory_bank: bool,
    **switches: bool,
) -> tuple[Configuration, Workload]:
    """Checked nouns of loose values; `switches` as in Configuration. Raises UsageError naming the value.

    variant: one of ALL_VARIANTS. resolution: of None that of its checkpoint.
    """
    from planner.catalog.runtimes import resolution_of  # a plan needs none of it

    check_word(variant, "variant", ALL_VARIANTS)
    size = resolution_of(variant, resolution)
    request = request_of(
        task=task, objects=objects, frames=frames, frame_size=frame_size, variant=None, version=version,
        resolution=None, precision=precision, attention=attention,
    )  # fmt: skip
    pins = request.pins
    batch = 64 if task == "automask" else 1
    if object_batch is not None:
        batch = parse_count(object_batch, "objects per pass")
    assert pins.version is not None
    assert pins.precision is not None
    configuration = Configuration(
        variant=variant,
        version=pins.version,
        resolution=size,
        precision=pins.precision,
        attention=pins.attention or "auto",
        object_batch=batch,
        bounded_memory_bank=bounded_memory_bank,
        **switches,
    )
    return configuration, request.workload


def request_of(
    *,
    task: Task,
    objects: int | str,
    frames: int | str | None,
    frame_size: tuple[int, int] | str | None,
    variant: Variant | None,
    version: Version | None,
    resolution: tuple[int, int] | str | int | None,
    precision: Precision | None,
    attention: Attention | None,
    prefer: Preference = "quality",
    streams: int | str = 1,
) -> Request:
    """A checked request of loose values, as plan takes them. Raises UsageError naming the value."""
    pins = _pins(variant, version, resolution, precision, attention)
    check_word(task, "task", TASKS)
    check_word(prefer, "preference", PREFERENCES)
    count = parse_count(objects, "objects")
    if task == "automask" and count != 1:
        raise UsageError(f"{count} objects cannot be asked for: automask finds them itself.", "Leave objects out.")
    if task != "video" and frames is not None:
        raise UsageError(f"frames={frames} is for videos; the task is {task}.", "Leave frames out, or use video.")
    size = DEFAULT_FRAME_SIZE
    if frame_size is not None:
        size = parse_frame_size("x".join(map(str, frame_size)) if isinstance(frame_size, tuple | list) else frame_size)
    workload = Workload(
        task=task,
        objects=count,
        frames=parse_frames(frames) if task == "video" else 1,
        frame_size=size,
        streams=_streams(streams, task),
    )
    return Request(workload=workload, pins=pins, prefer=prefer, frame_size_assumed=frame_size is None)


def _streams(streams: int | str, task: Task) -> int:
    """How many clips one process tracks at once."""
    count = parse_count(streams, "streams")
    if count > MAXIMUM_STREAMS:
        raise UsageError(f"{count} streams cannot be planned for.", f"Give a number from 1 to {MAXIMUM_STREAMS:,}.")
    if count > 1 and task != "video":
        raise UsageError(
            f"{count} streams in one process are for videos; the task is {task}.",
            "Leave --shared out: pictures are taken one after the other, so that one process needs no more for many.",
        )
    return count


def _pins(
    variant: Variant | None,
    version: Version | None,
    resolution: tuple[int, int] | str | int | None,
    precision: Precision | None,
    attention: Attention | None,
) -> Pins:
    words: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
        ("variant", variant, VARIANTS),
        ("version", version, VERSIONS),
        ("precision", precision, PRECISIONS),
        ("attention", attention, ATTENTIONS),
    )
    for what, word, known in words:
        if word is not None:
            check_word(word, what, known)
    if attention in ("flash", "cudnn") and precision == "float32":
        raise UsageError(
            f"{attention} attention and {precision} contradict each other: the kernel runs in half precision only.",
            "Use an autocast or half precision, or attention efficient, math or auto.",
        )
    if isinstance(resolution, tuple | list):
        resolution = "x".join(map(str, resolution))
    return Pins(
        variant=variant,
        version=version,
        resolution=None if resolution is None else parse_resolution(resolution),
        precision=precision,
        attention=attention,
    )


def named_gpu(name: str | None) -> Gpu | None:
    """The GPU of that name; None of None. Raises UsageError for a name that is not known."""
    if name is None:
        return None
    from planner.catalog.gpus import find_gpu

    return find_gpu(name).gpu


def check_top(top: int) -> None:
    """Raises UsageError for a number of entries that cannot be kept."""
    if isinstance(top, bool) or not 0 <= top <= MAXIMUM_TOP:
        raise UsageError(f"{top} alternatives cannot be kept.", f"Give a number from 0 to {MAXIMUM_TOP}.")


def check_exact(exact: bool, torch: str | None, runtime: Runtime = "own") -> None:
    """Raises UsageError for an exact answer about what is not installed here, or not ours."""
    if exact and torch is not None:
        raise UsageError(
            "exact runs the torch that is installed; torch names the rules of another.", "Leave one of the two out."
        )
    if exact and runtime != "own":
        raise UsageError(
            "Exact predictions are of the runtime own.",
            "Ask for it, or see: sam2-plan simulate --runtime stock, sam2-plan rehearse PLAN --runtime stock",
        )
