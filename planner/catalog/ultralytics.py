"""What Ultralytics' SAM 2 predictors take, and what they cannot do. Says so without importing them."""

from __future__ import annotations

from planner.nouns.run import Run
from planner.nouns.words import Precision, Variant

LETTERS: dict[Variant, str] = {"tiny": "t", "small": "s", "base_plus": "b", "large": "l"}
"""How Ultralytics' file names say the variant."""
MULTIPLE = 32
"""Pixels that a side is a multiple of. Ultralytics rounds up to 16 (SAM2Predictor.stride) and then fails where that is
not one of 32: its trunk's encoding of positions comes in windows of 8 features, of 4 pixels each."""
PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "autocast_bfloat16", "autocast_float16")
"""Those that can be asked for: half is float16, and autocast is the caller's."""


def checkpoint_name(run: Run) -> str:
    """The file name of the run's weights, such as "sam2.1_t.pt". It decides which model is built."""
    version = "" if run.configuration.version == "2.0" else "." + run.configuration.version.split(".")[1]
    return f"sam2{version}_{LETTERS[run.configuration.variant]}.pt"


def why_not(run: Run) -> tuple[str, str] | None:
    """Why Ultralytics cannot run this, and what to ask for instead; None where it can."""
    configuration, workload = run.configuration, run.workload
    height, width = configuration.resolution
    if configuration.precision not in PRECISIONS:
        return (
            f"Ultralytics cannot run in {configuration.precision}: its half precision is float16.",
            "Ask for float16, float32 or autocast_bfloat16.",
        )
    if height != width:
        return (
            f"Ultralytics runs SAM 2 at squares only (imgsz), and {height}x{width} is none.",
            f"Ask for {max(height, width)}, or for the runtime own.",
        )
    if height % MULTIPLE:
        return (
            f"Ultralytics' SAM 2 needs sides that are multiples of {MULTIPLE}, and {height} is none.",
            f"Ask for {-(-height // MULTIPLE) * MULTIPLE}.",
        )
    if workload.task != "automask" and configuration.object_batch != workload.objects:
        return (
            f"Ultralytics runs all objects at once: {workload.objects}, not {configuration.object_batch} by "
            f"{configuration.object_batch}.",
            "Leave object_batch out.",
        )
    if configuration.offload_state or configuration.offload_video:
        return (
            "Ultralytics keeps its memory bank on the GPU, and no frames at all: there is nothing to offload.",
            "Leave offload_video and offload_state out.",
        )
    if run.prompt == "mask" and workload.task != "video":
        return (
            "Masks refine pictures at Ultralytics' own low resolution, which is not covered.",
            "Ask for the prompt box or point.",
        )
    if not configuration.bounded_memory_bank and workload.task == "video" and workload.frames is None:
        return (
            "Without pruning Ultralytics keeps every frame: a clip without end has no peak.",
            "Give a number of frames, or leave keep_all out.",
        )
    return None
