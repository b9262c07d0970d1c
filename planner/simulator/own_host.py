"""The host's side of a run of our own runtime: what would read data, encode it or ask for a GPU is replaced."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torchvision  # noqa: F401  (registers its operations)
from sam2.modeling import position_encoding
from sam2.modeling.sam import transformer

from planner.runtime import automatic, segmentation
from planner.runtime.network import Network
from planner.runtime.prepare import normalised
from planner.runtime.replacing import replaced
from planner.simulator.torch_operations import handle_torchvision
from planner.simulator.torch_patches import torch_with_cuda


def patches(device: str) -> Iterator[contextlib.AbstractContextManager[Any]]:
    """What is replaced, to be entered around a run."""
    handle_torchvision()
    if device == "cuda":
        for module in (position_encoding, transformer):
            yield replaced(module, torch=torch_with_cuda())
    yield replaced(segmentation, prepare_picture=lambda network, picture: _picture(network))
    yield replaced(automatic, run_lengths=lambda pixels: {})


def frame(network: Network) -> torch.Tensor:
    """A frame that comes from the host."""
    host = torch.empty((*network.resolution, 3), dtype=torch.uint8)
    with network.watch.phase("encode", "current frame"):
        return normalised(network, host.to(network.device))


def _picture(network: Network) -> torch.Tensor:
    """A picture that comes from the host."""
    host = torch.empty((1, 3, *network.resolution), dtype=network.kind)
    with network.watch.phase("encode", "current frame"):
        return host.to(network.device)
