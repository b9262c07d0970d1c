"""The sam2 package's own predictors, driven the way its README and a user's script drive them. Nowhere else.

    model = load(run, "cuda", watch)
    with computing(run, "cuda"):
        drive(run, model, watch, Noise(frames, size))

Three tasks: SAM2ImagePredictor, SAM2VideoPredictor (or its batched legacy), SAM2AutomaticMaskGenerator. What they are
told of, and in which phase they are, is said here once, whether a GPU's counters listen or a trace does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import torch

from planner.driving import prompts
from planner.driving.calls import ROUNDS, autocast_context, tell_of_methods, within
from planner.driving.clips import Black
from planner.driving.watch import Watch
from planner.nouns.run import ComponentName, PhaseName, Run
from planner.runtime.network import configuration_file
from planner.runtime.precision import AUTOCAST, WEIGHTS

LEGACY = "sam2.sam2_video_predictor_legacy.SAM2VideoPredictor"
PHASES: dict[str, tuple[PhaseName, ComponentName | None]] = {
    "forward_image": ("encode", None),
    "add_new_points_or_box": ("prompt", None),
    "add_new_mask": ("prompt", None),
    "propagate_in_video_preflight": ("prompt", None),
    "_get_orig_video_res_output": ("output", "outputs"),
}
"""Methods of sam2's models that are a phase each."""
DETAILS: dict[str, tuple[PhaseName, ComponentName | None]] = {
    "_consolidate_temp_output_across_obj": ("output", "outputs"),
}
"""And those that only a trace takes for one: profiles have been cut without them."""


def load(run: Run, device: str, watch: Watch, checkpoint: str | Path | None = None) -> Any:
    """The predictor's model on `device`, in the weights' precision. Without a checkpoint its weights are random."""
    from sam2.build_sam import build_sam2, build_sam2_video_predictor

    configuration = run.configuration
    overrides = [f"++model.image_size={configuration.resolution[0]}"]
    if run.sam2.legacy:
        overrides.append(f"++model._target_={LEGACY}")
    build = build_sam2_video_predictor if run.workload.task == "video" else build_sam2
    with watch.phase("load"):
        model = build(
            configuration_file(configuration.variant, configuration.version),
            None if checkpoint is None else str(checkpoint),
            device=device,
            hydra_overrides_extra=overrides,
        )
        if configuration.precision in WEIGHTS:
            model = model.to(WEIGHTS[configuration.precision])
    watch.model(model)
    tell_of_methods(model, watch.phase, PHASES)
    tell_of_methods(model, watch.detail, DETAILS)
    return model


def autocast_type(run: Run) -> torch.dtype | None:
    """What the predictors are to run under: theirs is no choice of precision, so a user's script makes it.

    Low-precision weights run under autocast too: the predictors feed float32 pictures and masks.
    """
    return {**AUTOCAST, **WEIGHTS}.get(run.configuration.precision)


@contextlib.contextmanager
def computing(run: Run, device: str) -> Iterator[None]:
    """No gradients, and autocast as configured."""
    with autocast_context(autocast_type(run), device):
        yield


def drive(run: Run, model: Any, watch: Watch, clip: Black, *, rounds: int = ROUNDS, **options: Any) -> None:
    """Do what `run` says with a loaded model, on the pictures of `clip`.

    `rounds`: of a picture, how often it is set and prompted. `options`: further ones of SAM2AutomaticMaskGenerator.
    """
    task = run.workload.task
    if task == "image":
        _drive_image(run, model, watch, clip, rounds)
    elif task == "video":
        _drive_video(run, model, watch, clip)
    else:
        _drive_automask(run, model, watch, clip, options)


def image_predictor(model: Any) -> Any:
    """SAM2ImagePredictor, which has the feature sizes of resolution 1024; a user of another one must set them."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    return _fitted(SAM2ImagePredictor(model))


def mask_generator(model: Any, **options: Any) -> Any:
    """SAM2AutomaticMaskGenerator, at the model's own resolution."""
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

    generator = SAM2AutomaticMaskGenerator(model, **options)
    _fitted(generator.predictor)
    return generator


def _fitted(predictor: Any) -> Any:
    predictor._bb_feat_sizes = [(predictor.model.image_size // stride,) * 2 for stride in (4, 8, 16)]
    return predictor


def _tell_of_masks(predictor: Any, watch: Watch) -> None:
    transforms = predictor._transforms
    transforms.postprocess_masks = within(watch.detail, "output", "outputs", transforms.postprocess_masks)


def _drive_image(run: Run, model: Any, watch: Watch, clip: Black, rounds: int) -> None:
    """Set an image and predict, `rounds` times."""
    predictor = image_predictor(model)
    _tell_of_masks(predictor, watch)
    with watch.phase("output"):
        for number in range(rounds):
            picture = clip.picture(number)
            watch.section(f"round {number}")
            with watch.detail("encode"):
                predictor.set_image(picture)
                watch.holds("image features", predictor._features)
            with watch.phase("prompt"):
                predictor.predict(**_image_prompt(run), multimask_output=False)
            watch.tick()
            watch.progress(number + 1, rounds)


def _image_prompt(run: Run) -> dict[str, Any]:
    objects, boxes = run.workload.objects, prompts.boxes(run)
    if run.prompt == "point":
        labels = numpy.ones((objects, 1), dtype=numpy.int32)
        return dict(point_coords=prompts.points(run)[:, None], point_labels=labels)
    if run.prompt == "mask":
        side = run.configuration.resolution[0] // 4
        low = numpy.zeros((objects, side, side), dtype=numpy.float32)
        return dict(box=boxes, mask_input=low[:, None] if objects > 1 else low)
    return dict(box=boxes if objects > 1 else boxes[0])


def _drive_automask(run: Run, model: Any, watch: Watch, clip: Black, options: dict[str, Any]) -> None:
    """All masks of one image."""
    generator = mask_generator(
        model,
        points_per_batch=run.configuration.object_batch,
        min_mask_region_area=1 if run.sam2.extension_present else 0,
        **options,
    )
    _tell_of_masks(generator.predictor, watch)
    batches = -(-len(generator.point_grids[0]) // run.configuration.object_batch)
    original, done = generator._process_batch, 0

    def process_batch(*args: Any, **kwargs: Any) -> Any:
        nonlocal done
        watch.section(f"batch {done}")
        watch.holds("image features", generator.predictor._features)
        with watch.detail("prompt"):
            data = original(*args, **kwargs)
        done += 1
        watch.progress(done, batches)
        watch.holds("outputs", dict(data.items()))
        return data

    generator._process_batch = process_batch
    watch.section("image")
    with watch.phase("output"):
        generator.generate(clip.picture(0))
        watch.tick()


def _drive_video(run: Run, model: Any, watch: Watch, clip: Black) -> None:
    """Load a clip, prompt the objects on its first frame, and propagate through all."""
    configuration = run.configuration
    with clip.folder() as folder:
        watch.section("init")
        with watch.phase("init"):
            state = model.init_state(
                folder,
                offload_video_to_cpu=configuration.offload_video,
                offload_state_to_cpu=configuration.offload_state,
                async_loading_frames=run.sam2.async_loading,
            )
        images = state["images"]
        watch.holds("frames", getattr(images, "images", images))
        watch.holds("image features", state["cached_features"])
        with watch.phase("track"):
            _prompt(run, model, state, watch)
            watch.section("propagate")
            # The caller's variable keeps the previous frame's masks until the next ones are there.
            for output in model.propagate_in_video(state):
                frame = output[0]
                watch.holds("outputs", output[2])
                watch.holds("image features", state["cached_features"])
                _tell_of_bank(state, frame, watch)
                watch.section(f"frame {frame + 1}")
                watch.tick()
                watch.progress(frame + 1, clip.frames)


def _prompt(run: Run, model: Any, state: dict[str, Any], watch: Watch) -> None:
    boxes, points = prompts.boxes(run), prompts.points(run)
    for number in range(run.workload.objects):
        watch.section(f"prompt {number}")
        if run.prompt == "mask":
            mask = numpy.zeros(run.workload.frame_size, dtype=numpy.bool_)
            model.add_new_mask(state, 0, number, mask=mask)
        elif run.prompt == "point":
            model.add_new_points_or_box(state, 0, number, points=points[number : number + 1], labels=[1])
        else:
            model.add_new_points_or_box(state, 0, number, box=boxes[number])


def _tell_of_bank(state: dict[str, Any], frame: int, watch: Watch) -> None:
    outputs = [state["output_dict"]] if "output_dict" in state else state["output_dict_per_obj"].values()
    for output in outputs:
        for kind in ("cond_frame_outputs", "non_cond_frame_outputs"):
            watch.holds("memory bank", output[kind].get(frame))
    for kind in ("point_inputs_per_obj", "mask_inputs_per_obj", "constants"):
        watch.holds("memory bank", state[kind])
