"""Pictures as sam2 wants them: resized on the host, normalised, one at a time.

sam2 resizes frames of a video with Pillow and pictures of the image predictor with torchvision; so does this, to the
last bit at square resolutions. torchvision itself is not asked: it takes three seconds to import, and an import while
a picture is worked on leaves that work's frames, and with them its tensors, in reference cycles.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from planner.runtime.cuda import host_tensor
from planner.runtime.network import Network

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Deviations of ImageNet (sam2/utils/misc.py, load_video_frames; sam2/utils/transforms.py)."""


class Form(NamedTuple):
    """What a frame must become. Holds nothing of the network, which may be replaced while frames are made ready."""

    resolution: tuple[int, int]
    """(height, width)."""
    dtype: torch.dtype
    """The type of the weights."""
    pinned: bool
    """Whether it lies in pinned memory, if there is any, from which a GPU copies while it computes."""


def form_for(network: Network) -> Form:
    """The form in which `network` wants its frames."""
    return Form(network.resolution, network.dtype, network.device.type == "cuda")


def prepare_frame(form: Form, picture: numpy.ndarray) -> Tensor:
    """A frame of a video, H×W×3 uint8, as a 1×3×h×w tensor on the host."""
    height, width = form.resolution
    small = numpy.asarray(Image.fromarray(picture).resize((width, height)))
    frame = host_tensor((1, 3, height, width), form.dtype, pinned=form.pinned)
    for channel, values in enumerate(_normalised()):
        # Into the tensor's own type: the levels are looked up in float32 and rounded once.
        frame[0, channel].copy_(torch.from_numpy(values[small[..., channel]]))
    return frame


@lru_cache
def _normalised() -> tuple[numpy.ndarray, ...]:
    """For each channel the value of each of the 256 levels, after load_video_frames: through float64, then float32."""
    levels = torch.from_numpy(numpy.arange(256) / 255.0).to(torch.float32)
    return tuple(((levels - mean) / deviation).numpy() for mean, deviation in zip(MEAN, DEVIATION, strict=True))


def prepare_picture(network: Network, picture: numpy.ndarray) -> Tensor:
    """A picture, H×W×3 uint8, as a 1×3×h×w tensor on the device.

    As sam2.utils.transforms.SAM2Transforms makes it: ToTensor, Resize with antialias, Normalize.
    """
    values = torch.from_numpy(picture.transpose(2, 0, 1)).contiguous()[None].to(torch.float32).div(255)
    if values.shape[-2:] != network.resolution:
        values = functional.interpolate(
            values, size=network.resolution, mode="bilinear", align_corners=False, antialias=True
        )
    mean, deviation = (torch.tensor(numbers, dtype=torch.float32)[:, None, None] for numbers in (MEAN, DEVIATION))
    return network.cast(values.sub_(mean).div_(deviation)).to(network.device)
