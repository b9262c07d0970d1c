"""The process that runs one trial: `python -m planner.measure.child`, a trial as JSON on stdin, the outcome on stdout.

What is out of memory or fails is an outcome; only what kills the process leaves none.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from unittest import mock

import numpy
import torch

from planner.commands import describe
from planner.measure.gauge import Gauge
from planner.measure.trial import EXCERPT, FAILED, LOST, LOST_WORDS, OUT_OF_MEMORY, RAN, Outcome, Trial
from planner.runtime.cuda import out_of_memory
from planner.runtime.driver import Driver
from planner.runtime.limiting import hold, uuid_of
from planner.words import RunOutcome

ROUNDS = 3
"""How often a picture is segmented: from the second on, old features are replaced."""
SMALL = 8
"""Frames are noise at an eighth of each side, enlarged: no file is large, and pictures do not compress to nothing."""


def main() -> None:
    """Run what stdin says."""
    # Told by the parent: it may be gone before this process has imported torch.
    parent = int(sys.argv[1]) if len(sys.argv) > 1 else os.getppid()
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    trial = Trial.from_dict(json.load(sys.stdin))
    answer = sys.stdout
    # What libraries print belongs to nobody; the last line of stdout is the outcome.
    with contextlib.redirect_stdout(io.StringIO()):
        outcome = run(trial)
    answer.write(json.dumps(asdict(outcome)) + "\n")


def _end_with_parent(parent: int) -> None:
    """A sweep that was killed must not leave a GPU in use for nobody, nor the next sweep think it is not alone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def run(trial: Trial) -> Outcome:
    """Run a trial in this process."""
    try:
        device = torch.device(trial.device)
        facts = _facts(device)
        gauge = Gauge(trial.device)
    except Exception as error:
        return Outcome(outcome=_kind(error), error=_excerpt(error))
    driver = Driver(facts["uuid"])
    try:
        if trial.cap_bytes is not None and gauge.on_gpu:
            gauge.hold = partial(_cap, trial.cap_bytes, gauge, driver)
            gauge.hold()
        (_run_own if trial.runtime == "own" else _run_stock)(trial, gauge)
    except Exception as error:
        return Outcome(
            outcome=_kind(error), error=_excerpt(error), phase=gauge.phase, **_figures(gauge, driver), **facts
        )
    return Outcome(outcome=RAN, **_figures(gauge, driver), **facts)


def _figures(gauge: Gauge, driver: Driver) -> dict[str, Any]:
    alone = driver.alone() if gauge.on_gpu else None
    return {
        "allocated_bytes": gauge.peak("allocated_bytes"),
        "reserved_bytes": gauge.peak("reserved_bytes"),
        # Where others are there too, what is in use beyond the allocator is theirs as well.
        "context_bytes": gauge.context_bytes() if alone else None,
        "process_bytes": driver.process_bytes() if gauge.on_gpu else None,
        "phases": gauge.phases if gauge.on_gpu else {},
        "alone": alone,
        "seconds_per_frame": gauge.seconds_per_frame(),
        "frames": len(gauge.seconds),
        "retries": gauge.retries(),
        "kernels_per_frame": gauge.kernels_per_frame(),
        "imaginary": gauge.imaginary,
        "steps": tuple(gauge.steps),
        "versions": _versions(driver),
    }


def _facts(device: torch.device) -> dict[str, Any]:
    if device.type != "cuda":
        return {"gpu": None, "uuid": None, "capability": None, "total_bytes": None}
    torch.zeros(1, device=device)
    properties = torch.cuda.get_device_properties(device)
    return {
        "gpu": properties.name,
        "uuid": uuid_of(device),
        "capability": (properties.major, properties.minor),
        "total_bytes": int(properties.total_memory),
    }


def _versions(driver: Driver) -> dict[str, str | None]:
    backend: Any = torch.backends.cudnn
    cudnn = backend.version() if backend.is_available() else None
    try:
        sam2 = version("sam2")
    except PackageNotFoundError:
        sam2 = None
    return {
        # As the package is installed: torch itself adds what CUDA it was built with.
        "torch": version("torch"),
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),
        "driver": driver.version(),
        "sam2": sam2,
    }


def _cap(cap_bytes: int, gauge: Gauge, driver: Driver) -> None:
    """Hold the allocator to what the cap leaves beside the context. Raises OutOfMemory where that is nothing.

    Where the driver does not say what this process takes, all that is in use counts, others' memory too: not knowing
    is no reason to take more.
    """
    hold(gauge.device, cap_bytes, driver.process_bytes(), gauge.context_bytes() or 0)


def _kind(error: Exception) -> RunOutcome:
    short = isinstance(error, RuntimeError) and out_of_memory(error) is not None
    if short or getattr(error, "code", "") == "out_of_memory":
        return OUT_OF_MEMORY
    return LOST if any(words in str(error) for words in LOST_WORDS) else FAILED


def _excerpt(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:EXCERPT]


def _frames(trial: Trial) -> int:
    return trial.workload.frames or trial.frames


def picture(size: tuple[int, int], number: int) -> numpy.ndarray:
    """Noise, H×W×3 uint8, another for each number."""
    from PIL import Image

    height, width = size
    small = (max(1, height // SMALL), max(1, width // SMALL), 3)
    noise = numpy.random.default_rng(number).integers(0, 255, small, dtype=numpy.uint8)
    return numpy.asarray(Image.fromarray(noise).resize((width, height)))


def _boxes(trial: Trial) -> numpy.ndarray:
    """N×4 boxes in source pixels, one for each object."""
    height, width = trial.workload.frame_size
    corners = numpy.array([width * 0.3, height * 0.3, width * 0.6, height * 0.6], dtype=numpy.float32)
    return corners + numpy.arange(trial.workload.objects, dtype=numpy.float32)[:, None] % 32


def _run_own(trial: Trial, gauge: Gauge) -> None:
    """What planner.load makes of the configuration."""
    import planner
    from planner.runtime import automatic, segmentation, tracker
    from planner.runtime.network import Network

    places: list[tuple[Any, str, str]] = [(module, "encode", "encode") for module in (tracker, segmentation)]
    places += [(module, "predict", "prompt") for module in (segmentation, automatic)]
    places += [(tracker.Tracker, "prompt", "prompt"), (Network, "enlarge", "output")]
    with contextlib.ExitStack() as stack:
        for owner, name, phase in places:
            stack.enter_context(mock.patch.object(owner, name, gauge.within(phase, getattr(owner, name))))
        with gauge.of("load"):
            session = planner.load(
                trial.configuration if trial.plan is None else planner.Plan.load(trial.plan),
                checkpoint=trial.checkpoint,
                random_weights=trial.checkpoint is None,
                device=trial.device,
                fallback=trial.plan is not None,
                task=trial.workload.task,
            )
        task, size = trial.workload.task, trial.workload.frame_size
        with gauge.of("track" if task == "video" else "output"):
            if task == "video":
                clip = (picture(size, number) for number in range(_frames(trial)))
                prompts = [
                    {"frame": 0, "object": number + 1, "box": box.tolist()} for number, box in enumerate(_boxes(trial))
                ]
                for _ in session.track(clip, prompts):
                    gauge.tick()
            elif task == "image":
                for number in range(ROUNDS):
                    session.segment(picture(size, number), boxes=_boxes(trial).tolist())
                    gauge.tick()
            else:
                session.automask(picture(size, 0), pred_iou_threshold=0.0, stability_threshold=0.0)
                gauge.tick()
        gauge.steps = [describe(step.configuration) for step in session.steps]


def _run_stock(trial: Trial, gauge: Gauge) -> None:
    """What the sam2 package's own predictors make of it, as its README drives them."""
    from planner.runtime.network import AUTOCAST, WEIGHTS

    dtype = {**AUTOCAST, **WEIGHTS}.get(trial.configuration.precision)
    with (
        torch.inference_mode(),
        torch.autocast(gauge.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None),
    ):
        {"video": _stock_video, "image": _stock_image, "automask": _stock_automask}[trial.workload.task](trial, gauge)


def _stock_model(trial: Trial, gauge: Gauge) -> Any:
    from sam2.build_sam import build_sam2, build_sam2_video_predictor

    from planner.runtime.network import WEIGHTS, configuration_file

    configuration = trial.configuration
    build = build_sam2_video_predictor if trial.workload.task == "video" else build_sam2
    with gauge.of("load"):
        model = build(
            configuration_file(configuration.variant, configuration.version),
            trial.checkpoint,
            device=trial.device,
            hydra_overrides_extra=[f"++model.image_size={configuration.resolution[0]}"],
        )
        if configuration.precision in WEIGHTS:
            model = model.to(WEIGHTS[configuration.precision])
    for name, phase in (
        ("forward_image", "encode"),
        ("add_new_points_or_box", "prompt"),
        ("propagate_in_video_preflight", "prompt"),
        ("_get_orig_video_res_output", "output"),
    ):
        if hasattr(model, name):
            setattr(model, name, gauge.within(phase, getattr(model, name)))
    return model


def _stock_video(trial: Trial, gauge: Gauge) -> None:
    from PIL import Image

    model = _stock_model(trial, gauge)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(_frames(trial)):
            Image.fromarray(picture(trial.workload.frame_size, number)).save(Path(folder) / f"{number:05d}.jpg")
        with gauge.of("init"):
            state = model.init_state(
                folder,
                offload_video_to_cpu=trial.configuration.offload_video,
                offload_state_to_cpu=trial.configuration.offload_state,
            )
        with gauge.of("track"):
            for number, box in enumerate(_boxes(trial)):
                model.add_new_points_or_box(state, 0, number + 1, box=box)
            for _ in model.propagate_in_video(state):
                gauge.tick()


def _stock_image(trial: Trial, gauge: Gauge) -> None:
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    predictor = SAM2ImagePredictor(_stock_model(trial, gauge))
    side = trial.configuration.resolution[0]
    predictor._bb_feat_sizes = [(side // stride, side // stride) for stride in (4, 8, 16)]
    with gauge.of("output"):
        for number in range(ROUNDS):
            predictor.set_image(picture(trial.workload.frame_size, number))
            with gauge.of("prompt"):
                predictor.predict(box=_boxes(trial), multimask_output=False)
            gauge.tick()


def _stock_automask(trial: Trial, gauge: Gauge) -> None:
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

    generator = SAM2AutomaticMaskGenerator(
        _stock_model(trial, gauge), points_per_batch=trial.configuration.object_batch
    )
    side = trial.configuration.resolution[0]
    generator.predictor._bb_feat_sizes = [(side // stride, side // stride) for stride in (4, 8, 16)]
    with gauge.of("output"):
        generator.generate(picture(trial.workload.frame_size, 0))
        gauge.tick()


if __name__ == "__main__":
    main()
