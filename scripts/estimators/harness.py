"""sam2 as its README uses it: built, run for real or on fake tensors, or wrapped as one module for tools that want it.

Nothing here belongs to an estimator. What the tracing ones need before stock sam2 runs on fake tensors stands in
`fake_host` and `make_fake`, which those tools do not bring.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import torch

from estimators.cases import BOX, FRAME_SIZE, Case
from planner.driving import stock
from planner.driving.clips import Black
from planner.driving.watch import Watch
from planner.nouns.run import Configuration, Run, Workload
from planner.runtime.replacing import replaced


def run_of(case: Case) -> Run:
    """The case as a run; the encoder alone is a part of one of an image."""
    return Run(
        runtime="stock",
        configuration=Configuration(
            variant=case.variant,
            version=case.version,
            resolution=(case.side, case.side),
            precision=case.precision,
            bounded_memory_bank=False,
        ),
        workload=Workload(task="video" if case.run == "video" else "image", frames=case.frames, frame_size=FRAME_SIZE),
    )


class Steps(Watch):
    """Calls a function wherever a section begins: between the calls into a predictor."""

    def __init__(self, step: Callable[[], None] | None) -> None:
        self._step = step

    def section(self, name: str) -> None:
        """Call it."""
        if self._step:
            self._step()


def build(case: Case, device: str = "cpu") -> Any:
    """The model of a case with random weights."""
    return stock.load(run_of(case), device, Watch())


@contextlib.contextmanager
def precision_of(case: Case, device: str) -> Iterator[None]:
    """Autocast where the case has it: forced, because torch.autocast("cuda") disables itself where there is no GPU."""
    dtype = stock.autocast_type(run_of(case))
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
    """The run of a case, inference only. `step` is called between calls into the predictor."""
    with torch.inference_mode(), precision_of(case, device):
        if case.run == "encoder":
            model.forward_image(torch.rand((1, 3, case.side, case.side), device=device))
        else:
            stock.drive(run_of(case), model, Steps(step), Black(case.frames, FRAME_SIZE), rounds=1)


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
        predictor = stock.image_predictor(self.model)
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

    with (
        replaced(sam2.utils.transforms.SAM2Transforms, __call__=transformed),
        replaced(torch.Tensor, numpy=numpy_of_nothing),
    ):
        yield
