"""The host's side of a run of sam2: what would read data, start threads, ask for a GPU or talk is replaced."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import torch

from planner.nouns.run import Run
from planner.runtime.replacing import replaced
from planner.simulator.torch_operations import handle_torchvision
from planner.simulator.torch_patches import torch_with_cuda


def patches(run: Run, device: str) -> Iterator[contextlib.AbstractContextManager[Any]]:
    """What is replaced in sam2: what asks for a GPU, reads data, or talks."""
    import sam2.automatic_mask_generator
    import sam2.modeling.position_encoding
    import sam2.modeling.sam.transformer
    import sam2.sam2_video_predictor
    import sam2.sam2_video_predictor_legacy
    import sam2.utils.misc

    handle_torchvision()
    # Both ask whether there is a GPU only to have their tables on it early, as sam2 does since December 2024.
    if device == "cuda" and run.sam2.position_tables == "built":
        for module in (sam2.modeling.position_encoding, sam2.modeling.sam.transformer):
            yield replaced(module, torch=torch_with_cuda())
    if run.sam2.position_tables == "none":
        yield replaced(sam2.modeling.position_encoding.PositionEmbeddingSine, _pe=_not_kept())
    for module in (sam2.utils.misc, sam2.sam2_video_predictor, sam2.sam2_video_predictor_legacy):
        yield replaced(module, tqdm=lambda values, **options: values)
    yield replaced(
        sam2.utils.misc,
        Thread=_ThreadAtOnce,
        _load_img_as_tensor=_decode_once(sam2.utils.misc._load_img_as_tensor),
        get_connected_components=_connected_components if run.sam2.extension_present else _no_connected_components,
    )
    yield replaced(sam2.automatic_mask_generator, rle_to_mask=_rle_to_mask, mask_to_rle_pytorch=_mask_to_rle)


def _not_kept() -> Callable[..., torch.Tensor]:
    """Tables of positions that are made anew for each use, as forks have it that comment the cache out."""
    from sam2.modeling.position_encoding import PositionEmbeddingSine

    original = PositionEmbeddingSine._pe

    def positions(encoding: Any, *args: Any) -> torch.Tensor:
        made: torch.Tensor = original(encoding, *args)
        encoding.cache.clear()
        return made

    return positions


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
