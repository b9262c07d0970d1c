"""Drive the sam2 package's own predictors on a fake GPU, the way a user's script drives them.

Three tasks: SAM2ImagePredictor, SAM2VideoPredictor (or its batched legacy), SAM2AutomaticMaskGenerator. The
predictors' code runs unchanged from the JPEG folder to the masks, except where it would read data: a frame is
decoded once and its type and shape reused, host threads run at once, progress bars are silent.

Where the control flow depends on data, the worst case is taken: `kept_fraction` (1.0) of the automatic masks pass
each filter, and a comparison of a number read from the GPU sees zero.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy
import torch

from planner.simulator import events
from planner.simulator.torch_adapters import FakeGpu, handle_torchvision, torch_with_cuda

_CONFIG_NAMES = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
_AUTOCAST = {
    "autocast_bfloat16": torch.bfloat16,
    "autocast_float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": None,
}
"""Low-precision weights run under autocast too: the predictors feed float32 pictures and masks."""
_WEIGHTS = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_LEGACY = "sam2.sam2_video_predictor_legacy.SAM2VideoPredictor"


REPEATED = (
    r"image_encoder",
    r"memory_attention\.layers\.\d+",
    r"memory_encoder",
    r"sam_mask_decoder",
)
"""Modules of sam2 whose calls depend on nothing but the form of their arguments, once their caches are filled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StockRun:
    """What is traced. Field names as in planner.simulator.simulate."""

    task: str
    variant: str
    version: str
    side: int
    """Resolution: the stock predictors are square."""
    frames: int
    objects: int
    precision: str
    frame_size: tuple[int, int]
    offload_video: bool = False
    offload_state: bool = False
    async_loading: bool = False
    prompt: str = "box"
    """box, point or mask."""
    points_per_batch: int = 64
    points_per_side: int = 32
    extension_present: bool = False
    """Whether the compiled sam2._C is there, which fills holes in masks."""
    legacy: bool = False
    """The video predictor before 2024-12, which batches the objects."""
    rounds: int = 3
    """How often the image predictor sets an image and predicts: from the second on, old features are replaced."""


def trace_stock(run: StockRun, gpu: FakeGpu, progress: Callable[[int, int], None] | None = None) -> events.Trace:
    """Run `run` on `gpu`; the trace, with a mark where each section begins."""
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        for patch in _patches(run, gpu):
            stack.enter_context(patch)
        stack.enter_context(gpu.run())
        gpu.trace.mark("load")
        model = load(run, gpu)
        stack.enter_context(torch.inference_mode())
        stack.enter_context(gpu.autocast(_AUTOCAST[run.precision]))
        drive = {"image": _drive_image, "video": _drive_video, "automask": _drive_automask}[run.task]
        drive(run, gpu, model, progress or (lambda done, total: None))
        gpu.trace.mark("end")
        _label_model(gpu, model)
    return gpu.trace


def load(run: StockRun, gpu: FakeGpu) -> Any:
    """The predictor's model on the GPU, in the weights' precision."""
    from sam2.build_sam import build_sam2, build_sam2_video_predictor

    prefix = "2.1" if run.version == "2.1" else "2"
    config = f"configs/sam{prefix}/sam{prefix}_hiera_{_CONFIG_NAMES[run.variant]}.yaml"
    overrides = [f"++model.image_size={run.side}"]
    if run.legacy:
        overrides.append(f"++model._target_={_LEGACY}")
    build = build_sam2_video_predictor if run.task == "video" else build_sam2
    with gpu.phase_of("load"):
        model = build(config, device=gpu.device, hydra_overrides_extra=overrides)
        if run.precision in _WEIGHTS:
            model = model.to(_WEIGHTS[run.precision])
    gpu.name_modules(model)
    _label_model(gpu, model)
    _name_phases(gpu, model)
    return model


def _label_model(gpu: FakeGpu, model: torch.nn.Module) -> None:
    gpu.label([*model.parameters(), *model.buffers()], events.WEIGHTS)
    for module in model.modules():
        for name in ("cache", "freqs_cis"):
            gpu.label(getattr(module, name, None), events.TABLES)


def _name_phases(gpu: FakeGpu, model: Any) -> None:
    """Allocations inside these methods belong to the phase; the innermost wins."""
    phases: dict[str, tuple[str, str | None]] = {
        "forward_image": ("encode", None),
        "add_new_points_or_box": ("prompt", None),
        "add_new_mask": ("prompt", None),
        "propagate_in_video_preflight": ("prompt", None),
        "_get_orig_video_res_output": ("output", events.OUTPUTS),
        "_consolidate_temp_output_across_obj": ("output", events.OUTPUTS),
    }
    for name, (phase, component) in phases.items():
        if hasattr(model, name):
            setattr(model, name, _in_phase(gpu, getattr(model, name), phase, component))


def _in_phase(gpu: FakeGpu, method: Callable[..., Any], phase: str, component: str | None) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with gpu.phase_of(phase, component):
            return method(*args, **kwargs)

    return call


# -- the three tasks ----------------------------------------------------------------------------------


def _drive_image(run: StockRun, gpu: FakeGpu, model: Any, progress: Callable[[int, int], None]) -> None:
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
    transforms.postprocess_masks = _in_phase(gpu, transforms.postprocess_masks, "output", events.OUTPUTS)


def _drive_automask(run: StockRun, gpu: FakeGpu, model: Any, progress: Callable[[int, int], None]) -> None:
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


def _drive_video(run: StockRun, gpu: FakeGpu, model: Any, progress: Callable[[int, int], None]) -> None:
    gpu.trace.mark("init")
    with _frame_folder(run) as folder, gpu.phase_of("init"):
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


# -- the host side ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _frame_folder(run: StockRun) -> Iterator[str]:
    """A folder with as many JPEG names as the clip has frames; only the first holds a picture."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        for number in range(run.frames):
            with open(os.path.join(folder, f"{number:05d}.jpg"), "wb") as file:
                if number == 0:
                    Image.new("RGB", run.frame_size[::-1]).save(file, "JPEG")
        yield folder


def _patches(run: StockRun, gpu: FakeGpu) -> Iterator[contextlib.AbstractContextManager[Any]]:
    """What is replaced in sam2: what asks for a GPU, reads data, or talks."""
    import sam2.automatic_mask_generator
    import sam2.modeling.position_encoding
    import sam2.modeling.sam.transformer
    import sam2.sam2_video_predictor
    import sam2.sam2_video_predictor_legacy
    import sam2.utils.misc

    handle_torchvision()
    if gpu.device == "cuda":
        for module in (sam2.modeling.position_encoding, sam2.modeling.sam.transformer):
            yield mock.patch.object(module, "torch", torch_with_cuda())
    for module in (sam2.utils.misc, sam2.sam2_video_predictor, sam2.sam2_video_predictor_legacy):
        yield mock.patch.object(module, "tqdm", lambda values, **options: values)
    yield mock.patch.object(sam2.utils.misc, "Thread", _ThreadAtOnce)
    yield mock.patch.object(sam2.utils.misc, "_load_img_as_tensor", _decode_once(sam2.utils.misc._load_img_as_tensor))
    yield mock.patch.object(sam2.automatic_mask_generator, "rle_to_mask", _rle_to_mask)
    yield mock.patch.object(sam2.automatic_mask_generator, "mask_to_rle_pytorch", _mask_to_rle)
    components = _connected_components if run.extension_present else _no_connected_components
    yield mock.patch.object(sam2.utils.misc, "get_connected_components", components)


class _ThreadAtOnce:
    """A thread that has finished when it is started: all frames are there before the first is tracked."""

    def __init__(self, target: Callable[[], None], daemon: bool = True) -> None:
        self._target = target

    def start(self) -> None:
        self._target()


def _decode_once(original: Callable[..., Any]) -> Callable[..., Any]:
    """sam2's own decoding of one frame, whose type and shape stand for all."""
    first: list[Any] = []

    def load_image(path: str, side: int) -> Any:
        if not first:
            first.extend(original(path, side))
        return first[0].clone(), first[1], first[2]

    return load_image


_RUNS_PER_COLUMN = 2
"""Assumed of automatic masks: a column enters and leaves a mask once. Data decide; at 2 the positions of the changes
take a hundredth of what the masks themselves take."""


def _mask_to_rle(masks: torch.Tensor) -> list[dict[str, Any]]:
    """sam2.utils.amg.mask_to_rle_pytorch up to the positions of changes; its loop over masks makes only small tensors.

    `masks` is N×H×W bool.
    """
    count, height, width = masks.shape
    flat = masks.permute(0, 2, 1).flatten(1)
    changes = flat[:, 1:] ^ flat[:, :-1]
    positions = torch.empty((count * width * _RUNS_PER_COLUMN, 2), dtype=torch.int64, device=masks.device)
    del changes, positions
    return [{"size": [height, width], "counts": [height * width]} for _ in range(count)]


def _rle_to_mask(rle: dict[str, Any]) -> numpy.ndarray:
    """A host mask of the right shape that takes no memory."""
    return numpy.broadcast_to(numpy.zeros((), dtype=numpy.bool_), tuple(rle["size"]))


def _no_connected_components(mask: torch.Tensor) -> Any:
    raise ImportError("sam2._C is not there")


def _connected_components(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What sam2/csrc/connected_components.cu allocates: labels, counts while counting, final counts; int32 each."""
    values = mask.to(torch.uint8).contiguous()
    labels = torch.zeros(values.shape, dtype=torch.int32, device=values.device)
    counting = torch.zeros_like(labels)
    counts = torch.zeros_like(labels)
    del counting
    return labels, counts


def versions() -> dict[str, str]:
    """Of the packages whose code a trace depends on."""
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "torchvision", "sam2")}
