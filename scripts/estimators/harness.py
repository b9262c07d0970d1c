"""sam2 as its README uses it: built, run for real or on fake tensors, or wrapped as one module for tools that want it.

Nothing here belongs to an estimator. What the tracing ones need before stock sam2 runs on fake tensors stands in
`fake_host` and `make_fake`, which those tools do not bring.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy
import torch

from estimators.cases import BOX, FRAME_SIZE, Case

_CONFIG_NAMES = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
_AUTOCAST = {"autocast_bfloat16": torch.bfloat16, "float16": torch.float16}
"""Low-precision weights run under autocast too: the predictor feeds float32 pictures."""


def build(case: Case, device: str = "cpu") -> Any:
    """The model of a case with random weights, through sam2's own builders."""
    from sam2.build_sam import build_sam2, build_sam2_video_predictor

    prefix = "2.1" if case.version == "2.1" else "2"
    config = f"configs/sam{prefix}/sam{prefix}_hiera_{_CONFIG_NAMES[case.variant]}.yaml"
    make = build_sam2_video_predictor if case.run == "video" else build_sam2
    model = make(config, device=device, hydra_overrides_extra=[f"++model.image_size={case.side}"])
    return model.half() if case.precision == "float16" else model


@contextlib.contextmanager
def precision_of(case: Case, device: str) -> Iterator[None]:
    """Autocast where the case has it: forced, because torch.autocast("cuda") disables itself where there is no GPU."""
    dtype = _AUTOCAST.get(case.precision)
    if dtype is None:
        yield
        return
    before = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    torch.set_autocast_enabled(device, True)
    torch.set_autocast_dtype(device, dtype)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled(device, before[0])
        torch.set_autocast_dtype(device, before[1])


def run(case: Case, model: Any, device: str = "cpu", step: Callable[[], None] | None = None) -> None:
    """The run of a case, inference only. `step` is called after every call into the predictor."""
    drive = {"encoder": _run_encoder, "image": _run_image, "video": _run_video}[case.run]
    with torch.inference_mode(), precision_of(case, device):
        drive(case, model, device, step or (lambda: None))


def _run_encoder(case: Case, model: Any, device: str, step: Callable[[], None]) -> None:
    model.forward_image(torch.rand((1, 3, case.side, case.side), device=device))


def _run_image(case: Case, model: Any, device: str, step: Callable[[], None]) -> None:
    predictor = _image_predictor(case, model)
    predictor.set_image(numpy.zeros((*FRAME_SIZE, 3), dtype=numpy.uint8))
    step()
    predictor.predict(box=numpy.array(BOX, dtype=numpy.float32), multimask_output=False)


def _run_video(case: Case, model: Any, device: str, step: Callable[[], None]) -> None:
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        for number in range(case.frames):
            Image.new("RGB", FRAME_SIZE[::-1]).save(os.path.join(folder, f"{number:05d}.jpg"))
        state = model.init_state(folder)
    step()
    model.add_new_points_or_box(state, 0, 1, box=numpy.array(BOX, dtype=numpy.float32))
    step()
    for _ in model.propagate_in_video(state):
        step()


def _image_predictor(case: Case, model: Any) -> Any:
    """SAM2ImagePredictor hard-codes the feature sizes of resolution 1024; a user of another one must set them."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    predictor = SAM2ImagePredictor(model)
    predictor._bb_feat_sizes = [(case.side // stride,) * 2 for stride in (4, 8, 16)]
    return predictor


class AsModule(torch.nn.Module):
    """The encoder or image run as one module from pixels to masks, for tools that take a module and an input size.

    The same lines as set_image and predict of SAM2ImagePredictor between the resized picture and the masks.
    """

    def __init__(self, case: Case, model: Any) -> None:
        super().__init__()
        self.case = case
        self.model = model

    def forward(self, pixels: torch.Tensor) -> Any:
        """`pixels` is 1×3×side×side."""
        output = self.model.forward_image(pixels)
        if self.case.run == "encoder":
            return output
        predictor = _image_predictor(self.case, self.model)
        _, features, _, _ = self.model._prepare_backbone_features(output)
        features[-1] = features[-1] + self.model.no_mem_embed
        sizes = predictor._bb_feat_sizes[::-1]
        maps = [
            feature.permute(1, 2, 0).view(1, -1, *size) for feature, size in zip(features[::-1], sizes, strict=True)
        ][::-1]
        predictor._features = {"image_embed": maps[-1], "high_res_feats": maps[:-1]}
        predictor._orig_hw, predictor._is_image_set = [FRAME_SIZE], True
        box = torch.tensor([BOX], device=pixels.device)
        # Past its no_grad, which would hide from a tool what autograd would keep.
        return type(predictor)._predict.__wrapped__(predictor, None, None, box, None, False)


def make_fake(model: torch.nn.Module, device: str) -> None:
    """Put fake tensors on `device` in place of all that the model holds; to be called under FakeTensorMode.

    Rotary tables are plain attributes, neither parameters nor buffers.
    """
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = torch.nn.Parameter(_like(parameter, device))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = _like(buffer, device)
        table = getattr(module, "freqs_cis", None)
        if isinstance(table, torch.Tensor):
            module.freqs_cis = _like(table, device)


def _like(tensor: torch.Tensor, device: str) -> torch.Tensor:
    return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device=device)


@contextlib.contextmanager
def fake_host(case: Case) -> Iterator[None]:
    """Replace what reads data on the host: the picture's transforms and the conversion of masks to numpy."""
    import sam2.utils.transforms

    def transformed(transforms: Any, image: Any) -> torch.Tensor:
        return torch.zeros((3, case.side, case.side))

    def numpy_of_nothing(tensor: torch.Tensor, **options: Any) -> Any:
        return numpy.zeros(tuple(tensor.shape), dtype=numpy.float32)

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sam2.utils.transforms.SAM2Transforms, "__call__", transformed))
        stack.enter_context(mock.patch.object(torch.Tensor, "numpy", numpy_of_nothing))
        yield
