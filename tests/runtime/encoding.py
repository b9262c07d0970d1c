"""Pictures that the runtime encodes once, as tests/runtime/stock.py has it of sam2's models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from planner.runtime import encoder, segmentation, tracker
from planner.runtime.encoder import Features
from tests.runtime.stock import LARGEST, Remembered, bytes_of


@contextmanager
def ours_encoded_once() -> Iterator[None]:
    """The same of the runtime, for all of its models of the same weights and configuration."""
    known, original = Remembered(), encoder.encode

    def encode(network: Any, picture: torch.Tensor) -> Features:
        if picture.shape[-1] * picture.shape[-2] > LARGEST:
            return original(network, picture)
        patches = network.model.image_encoder.trunk.patch_embed
        how = network.configuration
        # Weights are told apart by the first of them, which are random.
        key = (
            (how.variant, how.version, how.resolution, how.precision, how.attention),
            hash(bytes_of(next(patches.parameters()))), bytes_of(picture),
        )  # fmt: skip
        if key not in known:
            known.keep(key, original(network, picture))
        else:
            patches(network.cast(picture))  # where memory runs out, if a test says so
        coarse, (finest, finer) = known[key]
        return Features(coarse.clone(), (finest.clone(), finer.clone()))

    with pytest.MonkeyPatch.context() as patch:
        for module in (segmentation, tracker):
            patch.setattr(module, "encode", encode)
        yield
