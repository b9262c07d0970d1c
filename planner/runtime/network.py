"""The official sam2 model, made for one configuration: its resolution, its precision, and tables made once.

The classes are sam2's own, built from sam2's own configuration files, so that official checkpoints load as they are.
What differs from sam2.build_sam is where tables of positions come from: sam2 makes those of 1024x1024 at construction,
on the GPU, whatever the resolution (145 MB); here each is made once, for the resolution at hand.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

import torch
from sam2.build_sam import build_sam2
from sam2.modeling.sam2_utils import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional

from planner.nouns.run import Configuration
from planner.nouns.words import Variant, Version
from planner.runtime.attention import RotaryAttention, kernel
from planner.runtime.precision import AUTOCAST, WEIGHTS
from planner.runtime.watch import SILENT, Watch, phase

CONFIG_NAMES = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
FLOAT32_PARTS = ("sam_prompt_encoder.", "mask_downsample.")
"""Kept in float32 beside low-precision weights: positions of prompts would be rounded to 1/8 of a pixel in bfloat16,
and the two parts together are 20 kB."""
CAST_WHOLE = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
"""Modules of which autocast casts weight and bias in each call (torch.amp, "CUDA Ops that can autocast to float16").

They are cast once instead, to the same bits, in half the memory and without a kernel for each call."""
VIDEO_PARTS = ("memory_attention", "memory_encoder", "obj_ptr_proj", "obj_ptr_tpos_proj", "mask_downsample")
"""Modules that images and automatic masks never run."""
LEVELS, MEAN, DEVIATION = 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""The highest level of a colour, and mean and deviation of ImageNet's (sam2/utils/misc.py, load_video_frames;
sam2/utils/transforms.py)."""
Context = Callable[[], contextlib.AbstractContextManager[Any]]


class Network:
    """sam2's model on a device, with everything that depends on the resolution alone.

    `model` is a sam2.modeling.sam2_base.SAM2Base; feature maps are (height / 16, width / 16) at the coarsest.
    """

    def __init__(
        self,
        model: Any,
        configuration: Configuration,
        device: torch.device,
        *,
        contexts: Context | None = None,
        watch: Watch = SILENT,
    ) -> None:
        self.model = model
        self.watch = watch
        """Told what is done with it."""
        self.configuration = configuration
        self.device = device
        self.resolution = configuration.resolution
        height, width = configuration.resolution
        self.feature_size = (height // 16, width // 16)
        self.low_size = (height // 4, width // 4)
        """Size of the masks that the decoder makes, before they are enlarged."""
        self.dtype = WEIGHTS.get(configuration.precision, torch.float32)
        """Of the weights that are no products', and of what the parts of the network hand to each other."""
        self.kind = AUTOCAST.get(configuration.precision, self.dtype)
        """In which products are computed."""
        self.half = self.dtype is not torch.float32
        self._contexts = contexts
        self.last_pointers: tuple[Any, Tensor] | None = None
        """Positions of the pointers that were read last, after what they hang on (planner.runtime.memory)."""
        self.nothing: dict[int, tuple[Tensor, Tensor]] = {}
        """What no prompt at all is to the mask decoder, by how many objects (planner.runtime.heads)."""
        self._make_tables()

    def reconfigured(self, configuration: Configuration) -> Network:
        """The same weights under a configuration that differs in nothing the weights or tables depend on."""
        other = copy(self)
        other.configuration = configuration
        return other

    def forget_hoisted(self) -> None:
        """Let go of what is kept because it does not change between frames; it is made again when it is wanted."""
        self.last_pointers = None
        self.nothing.clear()

    # -- running --------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """No gradients, autocast as configured, the attention kernel as configured."""
        with torch.inference_mode(), contextlib.ExitStack() as stack:
            if self._contexts is not None:
                stack.enter_context(self._contexts())
            else:
                stack.enter_context(kernel(self.configuration.attention))
                dtype = AUTOCAST.get(self.configuration.precision)
                if dtype is not None:
                    stack.enter_context(torch.autocast(self.device.type, dtype))
            yield

    def cast(self, x: Tensor) -> Tensor:
        """`x` in the type of the weights; as it is under float32 and autocast."""
        return x.to(self.dtype) if self.half else x

    def lower(self, x: Tensor) -> Tensor:
        """`x` in the type of products, to which autocast would cast it in each of them that reads it."""
        return x.to(self.kind)

    @phase("output", "outputs")
    def enlarge(self, masks: Tensor, size: tuple[int, int]) -> Tensor:
        """Mask scores N×M×h×w at `size`, float32, as sam2 resizes them."""
        if masks.shape[-2:] == size:
            return masks
        return functional.interpolate(masks, size=size, mode="bilinear", align_corners=False)

    # -- tables ---------------------------------------------------------------------------------------

    def _make_tables(self) -> None:
        model, (height, width) = self.model, self.feature_size
        self.colours = colours(self.device)
        """3×3×1×1 float32."""
        prompts = model.sam_prompt_encoder
        prompts.image_embedding_size = self.feature_size
        prompts.input_image_size = self.resolution
        prompts.mask_input_size = self.low_size
        with torch.inference_mode():
            self.dense_positions = self.cast(prompts.get_dense_pe())
            """1×256×h×w: added to the image in the mask decoder."""
            if not hasattr(model, "memory_attention"):
                return
            self.image_positions = self._sine(model.image_encoder.neck.position_encoding)
            """(h·w)×1×256: added to the image in memory attention."""
            where = self._sine(model.memory_encoder.position_encoding)[:, 0]
            self.memory_positions = where + model.maskmem_tpos_enc.flip(0).reshape(-1, 1, where.shape[-1])
            """For each temporal position (planner.runtime.memory_bank) h·w×64: added to a remembered frame."""
            layer = model.memory_attention.layers[0].self_attn
            table = layer.compute_cis(end_x=width, end_y=height).to(self.device)
            for module in model.modules():
                if isinstance(module, RotaryAttention):
                    module.use_table(table)

    def _sine(self, encoding: Any) -> Tensor:
        positions = encoding._pe(1, self.device, *self.feature_size)
        encoding.cache.clear()
        return self.cast(positions.flatten(2).permute(2, 0, 1).contiguous())


def colours(device: torch.device) -> Tensor:
    """Highest level, mean and deviation of each colour, 3×3×1×1 float32.

    On the device: torch multiplies by the inverse of a number that is not (DivideKernels, div_true_kernel_cuda).
    """
    return torch.tensor([(LEVELS,) * 3, MEAN, DEVIATION])[..., None, None].to(device)


def build(configuration: Configuration) -> Any:
    """sam2's model for the variant and version, on the CPU, in float32, with sam2's own initial weights.

    Modules that only video runs are there too: the checkpoint has them.
    """
    attention = f"{RotaryAttention.__module__}.{RotaryAttention.__qualname__}"
    overrides = [
        "++model.image_encoder.neck.position_encoding.warmup_cache=false",
        "++model.memory_encoder.position_encoding.warmup_cache=false",
        # What build_sam2_video_predictor sets beside the decoder's options of build_sam2.
        "++model.binarize_mask_from_pts_for_mem_enc=true",
    ]
    for role in ("self_attention", "cross_attention"):
        overrides.append(f"++model.memory_attention.layer.{role}._target_={attention}")
        overrides.append(f"++model.memory_attention.layer.{role}.feat_sizes=[1,1]")
    name = configuration_file(configuration.variant, configuration.version)
    return build_sam2(name, device="cpu", hydra_overrides_extra=overrides)


def configuration_file(variant: Variant, version: Version) -> str:
    """sam2's own name of the configuration file of a variant and version."""
    prefix = "2.1" if version == "2.1" else "2"
    return f"configs/sam{prefix}/sam{prefix}_hiera_{CONFIG_NAMES[variant]}.yaml"


def sum_into(x: Tensor, y: Tensor) -> Tensor:
    """The sum, in x where that has its type."""
    return x.add_(y) if torch.result_type(x, y) == x.dtype else x + y


def place(model: Any, configuration: Configuration, device: torch.device, *, video: bool) -> None:
    """Move `model` to `device` in the configured precision, part by part, without what the task never runs.

    The cast happens on the host: the device never holds float32 weights that are to be low-precision.
    """
    if not video:
        for name in VIDEO_PARTS:
            if hasattr(model, name):
                delattr(model, name)
    dtype, casting = WEIGHTS.get(configuration.precision), AUTOCAST.get(configuration.precision)
    for module_name, module in model.named_modules():
        kind = casting if casting and isinstance(module, CAST_WHOLE) else dtype
        for values in (module._parameters, module._buffers):
            for name, value in values.items():
                if value is None:
                    continue
                low = kind is not None and not f"{module_name}.{name}".startswith(FLOAT32_PARTS)
                given = value.detach()
                moved = given.to(kind if low else torch.float32).to(device)
                if moved is given:
                    # It may be a page of the checkpoint's file, which others may write to.
                    moved = given.clone()
                values[name] = torch.nn.Parameter(moved, requires_grad=False) if values is module._parameters else moved
    if dtype is not None:
        _widen_norms(model)


def _widen_norms(model: Any) -> None:
    """Let LayerNorm2d add up in float32, as autocast makes it do: squares of float16 overflow from 256 on."""
    for name, module in model.named_modules():
        if isinstance(module, LayerNorm2d) and not name.startswith(FLOAT32_PARTS):
            module.forward = lambda x, norm=module: _norm_channels(norm, x)


def _norm_channels(norm: Any, x: Tensor) -> Tensor:
    shape = (x.shape[1],)
    return functional.layer_norm(x.permute(0, 2, 3, 1), shape, norm.weight, norm.bias, norm.eps).permute(0, 3, 1, 2)
