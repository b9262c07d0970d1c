"""Ultralytics' SAM 2, driven the way its documentation drives it. Nowhere else.

    prepare(run)
    model = load(run, "cuda", watch)
    with computing(run, "cuda"):
        drive(run, model, watch, Noise(frames, size))

Three tasks: pictures with prompts (SAM2Predictor: set_image, then the prompts), video (SAM2VideoPredictor, streaming
its results, the prompts on the first frame), and a picture without prompts, which is every mask of it. Models are built
by Ultralytics' own functions; without a checkpoint their weights are random, and nothing is downloaded.

What is found depends on values, which random weights have none of that mean anything. So every prompted object counts
as seen, the worst case; of all masks of a picture the filters decide.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image

from planner.catalog.ultralytics import checkpoint_name, why_not
from planner.driving import prompts
from planner.driving.calls import ROUNDS, Methods, tell_of_methods
from planner.driving.calls import autocast_type as autocast_type
from planner.driving.calls import computing as computing
from planner.driving.clips import Black
from planner.driving.watch import Watch
from planner.errors import EnvironmentFailure, UsageError
from planner.nouns.run import Run
from planner.runtime.replacing import replaced

ENVIRONMENT = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
"""Read when Ultralytics is imported: it is to ask for nothing from the network, and to install nothing."""
FIRST_VERSION = "8.3.230"
"""The oldest release that this was tried with."""
MODEL_PHASES: Methods = {"forward_image": ("encode", None)}
PICTURE_PHASES: Methods = {
    "preprocess": ("encode", "current frame"),
    "prompt_inference": ("prompt", None),
    "postprocess": ("output", "outputs"),
}
VIDEO_PHASES: Methods = {
    "preprocess": ("encode", "current frame"),
    "add_new_prompts": ("prompt", None),
    "_consolidate_temp_output_across_obj": ("prompt", None),
    "postprocess": ("output", "outputs"),
}
"""Methods of Ultralytics' classes that are a phase each."""


def prepare(run: Run) -> None:
    """Import what the run needs.

    Raises EnvironmentFailure without Ultralytics, or with one that has no SAM 2 or cannot do what is asked; UsageError
    for what none can.
    """
    reason = why_not(run)
    if reason is not None:
        raise UsageError(*reason)
    sam = _sam()
    prunes = hasattr(sam.SAM2VideoPredictor, "_prune_non_cond_memory")
    if run.workload.task == "video" and run.configuration.bounded_memory_bank and not prunes:
        raise EnvironmentFailure(
            f"Ultralytics {_version()} keeps every frame of a video: it does not prune its memory bank.",
            "Install a newer one, or say keep_all.",
        )


def load(run: Run, device: str, watch: Watch, checkpoint: str | Path | None = None) -> Any:
    """The predictor, its model on `device` in the weights' precision. Without a checkpoint its weights are random.

    checkpoint: a file whose name ends as Ultralytics names them. Raises EnvironmentFailure and UsageError as prepare
    does, UsageError also for a file of another name.
    """
    prepare(run)
    sam, named = _sam(), checkpoint_name(run)
    if checkpoint is not None and not str(checkpoint).endswith(named):
        raise UsageError(
            f"Ultralytics takes the model from the name of its checkpoint, and {Path(checkpoint).name} is not {named}.",
            f"Name the file {named}.",
        )
    make = sam.SAM2VideoPredictor if run.workload.task == "video" else sam.SAM2Predictor
    with watch.phase("load"), contextlib.ExitStack() as stack:
        if checkpoint is None:
            stack.enter_context(_without_file(sam.build))
        predictor = make(overrides=_overrides(run, device, str(checkpoint or named)))
        predictor.setup_model(verbose=False)
    if run.workload.task == "video" and not run.configuration.bounded_memory_bank:
        predictor.clear_non_cond_mem = False
    watch.model(predictor.model)
    tell_of_methods(predictor.model, watch.phase, MODEL_PHASES)
    tell_of_methods(predictor, watch.phase, VIDEO_PHASES if run.workload.task == "video" else PICTURE_PHASES)
    if run.workload.task != "automask":
        _count_all_as_seen(run, predictor)
    return predictor


@contextlib.contextmanager
def _without_file(build: Any) -> Iterator[None]:
    """Within the block Ultralytics builds models without reading weights, although it is given the name of a file."""
    for name in ("attempt_download_asset", "torch_load", "SAM2Model"):
        if not hasattr(build, name):
            raise EnvironmentFailure(
                f"Ultralytics {_version()} builds its models in another way than is known here: it has no {name}.",
                f"Install one from {FIRST_VERSION} on.",
            )
    with (
        replaced(build, attempt_download_asset=lambda name: os.devnull, torch_load=lambda file: {"model": {}}),
        replaced(build.SAM2Model, load_state_dict=lambda model, state: None),
    ):
        yield


def drive(run: Run, model: Any, watch: Watch, clip: Black, *, rounds: int = ROUNDS, tracked: int | None = None) -> None:
    """Do what `run` says with a loaded predictor, on the pictures of `clip`.

    `rounds`: of a picture, how often it is set and prompted. `tracked`: how many frames of the clip are tracked; None:
    all.
    """
    if run.workload.task == "image":
        _drive_image(run, model, watch, clip, rounds)
    elif run.workload.task == "video":
        _drive_video(run, model, watch, clip, tracked or clip.frames)
    else:
        _drive_automask(run, model, watch, clip)


def _drive_image(run: Run, predictor: Any, watch: Watch, clip: Black, rounds: int) -> None:
    """Set a picture, predict, and forget it; the results are kept until the next ones are there."""
    results = None
    with watch.phase("output"):
        for number in range(rounds):
            watch.section(f"round {number}")
            with watch.phase("encode"):
                predictor.set_image(clip.picture(number))
            watch.holds("image features", predictor.features)
            results = predictor(**_prompts(run))
            predictor.reset_image()
            watch.tick()
            watch.progress(number + 1, rounds)
    del results


def _drive_automask(run: Run, predictor: Any, watch: Watch, clip: Black) -> None:
    """All masks of one picture: what no prompt means."""
    watch.section("image")
    with watch.phase("output"):
        predictor(source=clip.picture(0), points_batch_size=run.configuration.object_batch)
        watch.tick()
        watch.progress(1, 1)


def _drive_video(run: Run, predictor: Any, watch: Watch, clip: Black, frames: int) -> None:
    """Track what is prompted on the first frame; the caller's variable keeps a frame's result until the next one's."""
    with clip.video() as source, watch.phase("track"):
        results = predictor(source=source, stream=True, **_prompts(run))
        watch.section("propagate")
        for number, result in enumerate(results):
            _tell_of_bank(predictor.inference_state, watch)
            watch.holds("outputs", (result.masks.data, result.boxes.data))
            watch.section(f"frame {number + 1}")
            watch.tick()
            watch.progress(number + 1, frames)
            if number + 1 == frames:
                break
        results.close()


def _tell_of_bank(state: dict[str, Any], watch: Watch) -> None:
    for kind in ("output_dict", "constants", "point_inputs_per_obj", "mask_inputs_per_obj"):
        watch.holds("memory bank", state[kind])


def _prompts(run: Run) -> dict[str, Any]:
    """As Ultralytics takes them: in pixels of the source, one for each object."""
    if run.prompt == "point":
        return {"points": prompts.points(run).tolist(), "labels": [1] * run.workload.objects}
    if run.prompt == "mask":
        return {"masks": numpy.zeros((run.workload.objects, *run.workload.frame_size), dtype=numpy.uint8)}
    return {"bboxes": prompts.boxes(run).tolist()}


class Seen:
    """Scores of masks, each of which passes whatever threshold it is compared with."""

    def __init__(self, scores: torch.Tensor) -> None:
        self._scores = scores

    def __gt__(self, threshold: float) -> torch.Tensor:
        """Where they pass: all places, as the positions that a mask of bools would come to."""
        return torch.arange(len(self._scores), device=self._scores.device)

    def __getitem__(self, index: Any) -> torch.Tensor:
        return self._scores[index]


def _count_all_as_seen(run: Run, predictor: Any) -> None:
    judge: Callable[..., Any] = predictor.postprocess
    track: Callable[..., Any] = predictor.inference

    def postprocess(found: tuple[torch.Tensor, ...], *rest: Any) -> Any:
        return judge((found[0], Seen(found[1])), *rest)

    def inference(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
        masks, scores = track(*args, **kwargs)
        if len(masks) < run.workload.objects:
            masks = _masks_of_frame(predictor)
            scores = masks.new_ones(len(masks))
        return masks, scores

    predictor.postprocess = postprocess
    if run.workload.task == "video":
        predictor.inference = inference


def _masks_of_frame(predictor: Any) -> torch.Tensor:
    """Of all objects: releases of 2025 leave out blank ones, by a copy of the others, before they are judged."""
    outputs, frame = predictor.inference_state["output_dict"], predictor.dataset.frame
    current = outputs["cond_frame_outputs"].get(frame) or outputs["non_cond_frame_outputs"][frame]
    masks: torch.Tensor = current["pred_masks"].flatten(0, 1).clone()
    return masks


def _overrides(run: Run, device: str, weights: str) -> dict[str, Any]:
    """Settings of the predictor: nothing is saved or printed, and half as the release calls it."""
    half: dict[str, Any] = {}
    if run.configuration.precision == "float16":
        half = {"quantize": 16} if hasattr(_settings(), "quantize") else {"half": True}
    index = device if ":" in device or device == "cpu" else f"{device}:0"
    side = run.configuration.resolution[0]
    return {"model": weights, "imgsz": side, "device": index, "save": False, "verbose": False, **half}


def _sam() -> Any:
    """ultralytics.models.sam, imported so that it asks for nothing. Raises EnvironmentFailure."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        with _elsewhere_unchanged():
            from ultralytics.models import sam
            from ultralytics.models.sam import build  # noqa: F401  (imported late by Ultralytics itself)
    except ImportError as error:
        raise EnvironmentFailure(
            f"The runtime ultralytics runs Ultralytics' package, which is missing: {error}.",
            'Install it with: pip install "sam2-plan[ultralytics]"',
        ) from error
    if not hasattr(sam, "SAM2VideoPredictor"):
        raise EnvironmentFailure(
            f"Ultralytics {_version()} has no SAM2VideoPredictor.", "Install a newer one: pip install -U ultralytics."
        )
    return sam


@contextlib.contextmanager
def _elsewhere_unchanged() -> Iterator[None]:
    """Importing Ultralytics puts functions of its own into Pillow and torch, for all of the process.

    ultralytics/utils/patches.py: the one for pictures wants to install a package for every file that is none.
    """
    opens, saves = Image.open, torch.save
    try:
        yield
    finally:
        Image.open, torch.save = opens, saves


def _version() -> str:
    import ultralytics

    return str(ultralytics.__version__)


def _settings() -> Any:
    from ultralytics.utils import DEFAULT_CFG

    return DEFAULT_CFG
