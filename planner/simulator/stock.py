"""Drive the sam2 package's own predictors on a fake GPU, the way a user's script drives them.

Three tasks: SAM2ImagePredictor, SAM2VideoPredictor (or its batched legacy), SAM2AutomaticMaskGenerator. The
predictors' code runs unchanged from the JPEG folder to the masks, except where it would read data: a frame is
decoded once and its type and shape reused, host threads run at once, progress bars are silent.

Where the control flow depends on data, the worst case is taken: `kept_fraction` (1.0) of the automatic masks pass
each filter, and a comparison of a number read from the GPU sees zero.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from planner.runtime.network import AUTOCAST, WEIGHTS, configuration_file
from planner.simulator import events
from planner.simulator.stock_host import patches
from planner.simulator.stock_tasks import drive_automask, drive_image, drive_video
from planner.simulator.torch_adapters import FakeGpu

_AUTOCAST = {**AUTOCAST, **WEIGHTS}
"""Low-precision weights run under autocast too: the predictors feed float32 pictures and masks."""
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
    position_tables: str = "built"
    """When the tables of positions are made that sam2 keeps: built (with the model: sam2 since December 2024), used (at
    their first use: before) or none (forks that keep none)."""
    rounds: int = 3
    """How often the image predictor sets an image and predicts: from the second on, old features are replaced."""


def trace_stock(run: StockRun, gpu: FakeGpu, progress: Callable[[int, int], None] | None = None) -> events.Trace:
    """Run `run` on `gpu`; the trace, with a mark where each section begins."""
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        for patch in patches(run, gpu):
            stack.enter_context(patch)
        stack.enter_context(gpu.run())
        gpu.trace.mark("load")
        model = load(run, gpu)
        stack.enter_context(torch.inference_mode())
        stack.enter_context(gpu.autocast(_AUTOCAST.get(run.precision)))
        drive = {"image": drive_image, "video": drive_video, "automask": drive_automask}[run.task]
        drive(run, gpu, model, progress or (lambda done, total: None))
        gpu.trace.mark("end")
        _label_model(gpu, model)
    return gpu.trace


def load(run: StockRun, gpu: FakeGpu) -> Any:
    """The predictor's model on the GPU, in the weights' precision."""
    from sam2.build_sam import build_sam2, build_sam2_video_predictor

    config = configuration_file(run.variant, run.version)
    overrides = [f"++model.image_size={run.side}"]
    if run.legacy:
        overrides.append(f"++model._target_={_LEGACY}")
    build = build_sam2_video_predictor if run.task == "video" else build_sam2
    with gpu.phase_of("load"):
        model = build(config, device=gpu.device, hydra_overrides_extra=overrides)
        if run.precision in WEIGHTS:
            model = model.to(WEIGHTS[run.precision])
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
            setattr(model, name, gpu.in_phase(getattr(model, name), phase, component))


def versions() -> dict[str, str]:
    """Of the packages whose code a trace depends on."""
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "torchvision", "sam2")}
