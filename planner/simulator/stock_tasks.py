"""What a user's script does with sam2's predictors, task by task."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy

from planner.simulator import events
from planner.simulator.stock_host import frame_folder
from planner.simulator.torch_adapters import FakeGpu

if TYPE_CHECKING:
    from planner.simulator.stock import StockRun


def drive_image(run: StockRun, gpu: FakeGpu, model: Any, progress: Callable[[int, int], None]) -> None:
    """Set an image and predict, `run.rounds` times."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    predictor = SAM2ImagePredictor(model)
    _fit_image_predictor(predictor, run, gpu)
    picture = numpy.zeros((*run.frame_size, 3), dtype=numpy.uint8)
    for number in range(run.rounds):
        gpu.trace.mark(f"round {number}")
        with gpu.phase_of("encode"):
            predictor.set_image(picture)
            gpu.label(predictor._features, events.FEATURES)
        with gpu.phase_of("prompt"):
            predictor.predict(**_image_prompt(run), multimask_output=False)
        progress(number + 1, run.rounds)


def _image_prompt(run: StockRun) -> dict[str, Any]:
    boxes, points = _boxes_and_points(run)
    if run.prompt == "point":
        labels = numpy.ones((run.objects, 1), dtype=numpy.int32)
        return dict(point_coords=points[:, None], point_labels=labels)
    if run.prompt == "mask":
        low = numpy.zeros((run.objects, run.side // 4, run.side // 4), dtype=numpy.float32)
        return dict(box=boxes, mask_input=low[:, None] if run.objects > 1 else low)
    return dict(box=boxes if run.objects > 1 else boxes[0])


def _boxes_and_points(run: StockRun) -> tuple[numpy.ndarray, numpy.ndarray]:
    height, width = run.frame_size
    box = numpy.array([width * 0.3, height * 0.3, width * 0.6, height * 0.6], dtype=numpy.float32)
    boxes = numpy.repeat(box[None], run.objects, axis=0)
    return boxes, boxes[:, :2]


def _fit_image_predictor(predictor: Any, run: StockRun, gpu: FakeGpu) -> None:
    """SAM2ImagePredictor hard-codes the feature sizes of resolution 1024; a user of another one must set them."""
    predictor._bb_feat_sizes = [(run.side // stride,) * 2 for stride in (4, 8, 16)]
    transforms = predictor._transforms
    # nn.Module finds a method of the instance before that of its class.
    transforms.postprocess_masks = gpu.in_phase(transforms.postprocess_masks, "output", events.OUTPUTS)


def drive_automask(run: StockRun, gpu: FakeGpu, model: Any, progress: Callable[[int, int], None]) -> None:
    """All masks of one image."""
    from sam2 import automatic_mask_generator

    generator = automatic_mask_generator.SAM2AutomaticMaskGenerator(
        model,
        points_per_batch=run.points_per_batch,
        points_per_side=run.points_per_side,
        min_mask_region_area=1 if run.extension_present else 0,
    )
    _fit_image_predictor(generator.predictor, run, gpu)
    batches = -(-(run.points_per_side**2) // run.points_per_batch)
    original, done = generator._process_batch, 0

    def process_batch(*args: Any, **kwargs: Any) -> Any:
        nonlocal done
        gpu.trace.mark(f"batch {done}")
        gpu.label(generator.predictor._features, events.FEATURES)
        with gpu.phase_of("prompt"):
            data = original(*args, **kwargs)
        done += 1
        progress(done, batches)
        gpu.label(dict(data.items()), events.OUTPUTS)
        return data

    generator._process_batch = process_batch
    gpu.trace.mark("image")
    with gpu.phase_of("encode"), gpu.phase_of("output"):
        generator.generate(numpy.zeros((*run.frame_size, 3), dtype=numpy.uint8))


def drive_video(run: StockRun, gpu: FakeGpu, model: Any, progress: Callable[[int, int], None]) -> None:
    """Load a clip, prompt the objects on its first frame, and propagate through all."""
    gpu.trace.mark("init")
    with frame_folder(run) as folder, gpu.phase_of("init"):
        state = model.init_state(
            folder,
            offload_video_to_cpu=run.offload_video,
            offload_state_to_cpu=run.offload_state,
            async_loading_frames=run.async_loading,
        )
    images = state["images"]
    gpu.label(getattr(images, "images", images), events.FRAMES)
    gpu.label(state["cached_features"], events.FEATURES)
    boxes, points = _boxes_and_points(run)
    for number in range(run.objects):
        gpu.trace.mark(f"prompt {number}")
        if run.prompt == "mask":
            model.add_new_mask(state, 0, number, mask=numpy.zeros(run.frame_size, dtype=numpy.bool_))
        elif run.prompt == "point":
            model.add_new_points_or_box(state, 0, number, points=points[number : number + 1], labels=[1])
        else:
            model.add_new_points_or_box(state, 0, number, box=boxes[number])
    gpu.trace.mark("propagate")
    gpu.phase = "track"
    # The caller's variable keeps the previous frame's masks until the next ones are there.
    for output in model.propagate_in_video(state):
        frame = output[0]
        gpu.label(output[2], events.OUTPUTS)
        gpu.label(state["cached_features"], events.FEATURES)
        _label_bank(gpu, state, frame)
        gpu.trace.mark(f"frame {frame + 1}")
        progress(frame + 1, run.frames)


def _label_bank(gpu: FakeGpu, state: dict[str, Any], frame: int) -> None:
    outputs = [state["output_dict"]] if "output_dict" in state else state["output_dict_per_obj"].values()
    for output in outputs:
        for kind in ("cond_frame_outputs", "non_cond_frame_outputs"):
            gpu.label(output[kind].get(frame), events.MEMORY_BANK)
    for kind in ("point_inputs_per_obj", "mask_inputs_per_obj", "constants"):
        gpu.label(state[kind], events.MEMORY_BANK)
