"""Pictures as sam2 wants them: resized on the host, normalised, one at a time.

sam2 resizes frames of a video with Pillow and pictures of the image predictor with torchvision; so does this, to the
last bit at square resolutions. torchvision itself is not asked: it takes three seconds to import, and an import while
a picture is worked on leaves that work's frames, and with them its tensors, in reference cycles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from planner.runtime.cuda import host_tensor
from planner.runtime.network import Network, colours


class Form(NamedTuple):
    """What a frame must become. Holds nothing of the network, which may be replaced while frames are made ready."""

    resolution: tuple[int, int]
    """(height, width)."""
    pinned: bool
    """Whether it lies in pinned memory, if there is any, from which a GPU copies while it computes."""


def form_for(network: Network) -> Form:
    """The form in which `network` wants its frames."""
    return Form(network.resolution, network.device.type == "cuda")


def prepare_frame(form: Form, picture: numpy.ndarray) -> Tensor:
    """A frame of a video, H×W×3 uint8, at the network's resolution: h×w×3 uint8 on the host.

    Whole levels are a quarter of the bytes to copy, and the device has numbers of them sooner than a host thread, which
    would keep the one that asks for kernels waiting.
    """
    height, width = form.resolution
    if picture.shape[:2] != form.resolution:
        picture = numpy.asarray(Image.fromarray(picture).resize((width, height)))
    frame = host_tensor((height, width, 3), torch.uint8, pinned=form.pinned)
    frame.numpy()[:] = picture
    return frame


def normalised(network: Network, frame: Tensor) -> Tensor:
    """A frame that prepare_frame made, on the device, as numbers: 1×3×h×w in the type of products.

    As load_video_frames, to the last bit of float32: its 256 levels divided by 255 in float64 and rounded are the same
    as divided in float32 (tests/runtime/test_equal_to_stock.py).
    """
    most, mean, deviation = network.colours
    values = frame.permute(2, 0, 1)[None].to(torch.float32, memory_format=torch.contiguous_format)
    return network.lower(values.div_(most).sub_(mean).div_(deviation))


def prepare_picture(network: Network, picture: numpy.ndarray) -> Tensor:
    """A picture, H×W×3 uint8, as a 1×3×h×w tensor on the device.

    As sam2.utils.transforms.SAM2Transforms makes it: ToTensor, Resize with antialias, Normalize.
    """
    values = torch.from_numpy(picture.transpose(2, 0, 1)).contiguous()[None].to(torch.float32).div(255)
    if values.shape[-2:] != network.resolution:
        values = functional.interpolate(
            values, size=network.resolution, mode="bilinear", align_corners=False, antialias=True
        )
    _, mean, deviation = colours(torch.device("cpu"))
    return network.lower(values.sub_(mean).div_(deviation)).to(network.device)
