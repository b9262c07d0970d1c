"""What transformers and Ultralytics can be asked for: what they refuse, or have no way to do."""

from __future__ import annotations

from planner.catalog.ultralytics import why_not
from planner.errors import UsageError
from planner.nouns.run import Run, Transformers, native_resolution
from planner.nouns.words import OTHER_MODELS, OTHER_RUNTIMES, Runtime, Variant, Version
from planner.text.units import format_resolution, parse_resolution

MODEL_NAMES: dict[Variant, str] = {"edgetam": "EdgeTAM", "sam3_tracker": "SAM 3's tracker"}


def resolution_of(variant: Variant, given: tuple[int, int] | str | int | None) -> tuple[int, int]:
    """The resolution that was asked for of a variant; of None its own.

    Raises UsageError for what is none, and of OTHER_MODELS for any but their own, which need be no multiple of 32.
    """
    own = native_resolution(variant)
    text = "x".join(map(str, given)) if isinstance(given, tuple | list) else str(given)
    if given is None or text.replace(" ", "") in (str(own[0]), format_resolution(own)):
        return own
    if variant in OTHER_MODELS:
        raise UsageError(
            f"{MODEL_NAMES[variant]} runs at {format_resolution(own)}, not at {text[:60]}.", "Leave the resolution out."
        )
    return parse_resolution(text if isinstance(given, tuple | list) else given)


def check_model(variant: Variant, runtime: Runtime, version: Version) -> None:
    """Raises UsageError for a model beside SAM 2 that the runtime does not have, or for a version of it."""
    if variant not in OTHER_MODELS:
        return
    if runtime != "transformers":
        raise UsageError(
            f"{MODEL_NAMES[variant]} ({variant}) is run by transformers alone; the runtime is {runtime}.",
            "Ask for the runtime transformers, or for a variant of SAM 2.",
        )
    if version != "2.1":
        raise UsageError(f"{MODEL_NAMES[variant]} has no version {version}.", "Leave the version out.")


def check_run(run: Run) -> None:
    """Raises UsageError for a run that its runtime cannot do, and names the value and the remedy."""
    check_model(run.configuration.variant, run.runtime, run.configuration.version)
    check_ways(run)
    if run.runtime not in OTHER_RUNTIMES:
        return
    if run.configuration.attention != "auto":
        raise UsageError(
            f"The runtime {run.runtime} has no choice of attention, such as {run.configuration.attention}.",
            "Leave attention auto.",
        )
    found = _why_not_transformers(run) if run.runtime == "transformers" else why_not(run)
    if found is not None:
        raise UsageError(*found)


def check_keep_all(keep_all: bool, runtime: Runtime) -> None:
    """Raises UsageError for an option of Ultralytics on another runtime."""
    if keep_all and runtime != "ultralytics":
        raise UsageError(
            f"keep_all is an option of Ultralytics (clear_non_cond_mem=False); the runtime is {runtime}.",
            "Leave it out: stock and transformers keep everything, the runtime own never does.",
        )


def check_ways(run: Run) -> None:
    """Raises UsageError for options of transformers that another runtime does not have, or that contradict."""
    if run.runtime != "transformers" and run.transformers != Transformers():
        raise UsageError(
            f"streaming and processing_device are options of transformers; the runtime is {run.runtime}.",
            "Leave them out, or ask for the runtime transformers.",
        )
    if run.transformers.streaming and run.workload.task != "video":
        raise UsageError(f"Only a video streams; the task is {run.workload.task}.", "Leave streaming out.")
    if run.transformers.streaming and run.transformers.processing_device == "cpu":
        raise UsageError(
            "processing_device is for a clip that is given as a whole; streaming, frames are prepared one by one.",
            "Leave one of the two out.",
        )


def _why_not_transformers(run: Run) -> tuple[str, str] | None:
    configuration, workload = run.configuration, run.workload
    if workload.task == "automask":
        return (
            "transformers makes automatic masks in a pipeline of its own, which is not covered.",
            "Ask for image or video, or for the runtime own, stock or ultralytics.",
        )
    if configuration.resolution != (own := native_resolution(configuration.variant)):
        return (
            f"transformers runs {MODEL_NAMES.get(configuration.variant, 'SAM 2')} at {format_resolution(own)}, not at "
            f"{format_resolution(configuration.resolution)}.",
            "Leave the resolution out, or ask for the runtime own, which runs any.",
        )
    if workload.task == "video" and workload.frames is None:
        return (
            "transformers keeps state of every frame: a clip without end has no peak.",
            "Give a number of frames, or ask for the runtime own.",
        )
    if configuration.object_batch != 1:
        return "transformers has no object_batch: objects go one by one.", "Leave it out."
    return None
