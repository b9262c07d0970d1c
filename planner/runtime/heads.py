"""From prompts, or none, to a mask: sam2's prompt encoder and mask decoder on features of any shape."""

from __future__ import annotations

from typing import NamedTuple

import torch
from sam2.modeling.sam2_base import NO_OBJ_SCORE
from torch import Tensor
from torch.nn import functional

from planner.runtime.network import Network
from planner.runtime.watch import step

MASK_SCORE = 10.0
"""Score of a pixel in a mask that is given, and its negative outside (SAM2Base._use_mask_as_output)."""
CLAMP = 32.0
"""Earlier scores are clamped to this when they go back in (SAM2VideoPredictor.add_new_points_or_box)."""


class Decoded(NamedTuple):
    """What the mask decoder says of B objects."""

    scores: Tensor
    """B×1×4h×4w float32: mask scores at a quarter of the resolution; above zero is the object."""
    pointer: Tensor
    """B×256: the object's token, for later frames."""
    presence: Tensor
    """B×1: above zero where the object is in the picture."""


class Clicks(NamedTuple):
    """Points of B objects."""

    coordinates: Tensor
    """B×P×2 float32: x, y at the network's resolution."""
    labels: Tensor
    """B×P int32: 1 object, 0 background, 2 and 3 the corners of a box, -1 none."""


def clicks(
    network: Network,
    points: tuple[tuple[float, float], ...],
    labels: tuple[int, ...],
    box: tuple[float, float, float, float] | None,
    size: tuple[int, int],
) -> Clicks:
    """One object's points and box, in pixels of a picture of `size`, as sam2 wants them: the box first."""
    coordinates = torch.tensor(points, dtype=torch.float32).reshape(1, -1, 2)
    kinds = torch.tensor(labels, dtype=torch.int32).reshape(1, -1)
    if box is not None:
        corners = torch.tensor(box, dtype=torch.float32).reshape(1, 2, 2)
        coordinates = torch.cat([corners, coordinates], dim=1)
        kinds = torch.cat([torch.tensor([[2, 3]], dtype=torch.int32), kinds], dim=1)
    coordinates = to_network(network, coordinates, size)
    return Clicks(coordinates.to(network.device), kinds.to(network.device))


def to_network(network: Network, coordinates: Tensor, size: tuple[int, int]) -> Tensor:
    """x, y in pixels of a picture of `size` (height, width) -> x, y at the network's resolution."""
    height, width = network.resolution
    relative = coordinates / torch.tensor([size[1], size[0]])
    return relative * torch.tensor([width, height], dtype=torch.float32)


def decode(
    network: Network,
    coarse: Tensor,
    fine: tuple[Tensor, Tensor],
    points: Clicks | None,
    masks: Tensor | None,
    multimask: bool,
) -> Decoded:
    """SAM2Base._forward_sam_heads for B objects, for maps that need not be square.

    `coarse` is B×256×h×w; `masks` are B×1×4h×4w scores to refine, or None.
    """
    count = coarse.shape[0]
    if points is not None or masks is not None:
        return _decode(network, coarse, fine, *_prompted(network, count, points, masks), multimask)
    if count not in network.nothing:
        sparse, dense = _prompted(network, count, None, None)
        # Of the places of the map, which are all alike, one is kept.
        network.nothing[count] = sparse, dense[:1, :, :1, :1].clone()
    sparse, dense = network.nothing[count]
    return _decode(network, coarse, fine, sparse, dense.expand(count, -1, *network.feature_size), multimask)


def _prompted(network: Network, count: int, points: Clicks | None, masks: Tensor | None) -> tuple[Tensor, Tensor]:
    """What the mask decoder is told of the prompts of `count` objects: B×N×256 and B×256×h×w."""
    if points is None:
        # sam2 stands one empty point in for no prompt.
        coordinates = torch.zeros(count, 1, 2, device=network.device)
        points = Clicks(coordinates, -torch.ones(count, 1, dtype=torch.int32, device=network.device))
    sparse, dense = network.model.sam_prompt_encoder(points=tuple(points), boxes=None, masks=masks)
    return network.cast(sparse), network.cast(dense)


@step
def _decode(
    network: Network,
    coarse: Tensor,
    fine: tuple[Tensor, Tensor],
    sparse: Tensor,
    dense: Tensor,
    multimask: bool,
) -> Decoded:
    model, count = network.model, coarse.shape[0]
    scores, quality, tokens, presence = model.sam_mask_decoder(
        image_embeddings=coarse,
        image_pe=network.dense_positions,
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
        repeat_image=False,
        high_res_features=list(fine),
    )
    present = presence > 0
    scores = torch.where(present[:, None, None], scores, NO_OBJ_SCORE).float()
    token = tokens[:, 0]
    if multimask:
        best = torch.argmax(quality, dim=-1)
        each = torch.arange(count, device=network.device)
        scores = scores[each, best].unsqueeze(1)
        if tokens.shape[1] > 1:
            token = tokens[each, best]
    return Decoded(scores, _pointer(network, model.obj_ptr_proj(token), present), presence)


def decode_mask(network: Network, coarse: Tensor, fine: tuple[Tensor, Tensor], mask: Tensor) -> Decoded:
    """SAM2Base._use_mask_as_output: the mask given (1×1×H×W, 0 or 1) is the answer; its pointer comes from SAM."""
    scores = mask * (2 * MASK_SCORE) - MASK_SCORE
    low = functional.interpolate(scores, size=network.low_size, align_corners=False, mode="bilinear", antialias=True)
    del scores
    shrunk = network.model.mask_downsample(mask)
    pointer = decode(network, coarse, fine, None, shrunk, multimask=False).pointer
    present = torch.any(mask.flatten(1) > 0, dim=1)[..., None]
    presence = 2 * MASK_SCORE * present.float() - MASK_SCORE
    return Decoded(low, _pointer(network, pointer, present), presence)


def mask_input(network: Network, mask: Tensor) -> Tensor:
    """A mask of the picture (H×W bool) at the network's resolution, 1×1×H×W of 0 and 1 (add_new_mask)."""
    scores = mask[None, None].float().to(network.device)
    if scores.shape[-2:] == network.resolution:
        return scores
    scores = functional.interpolate(
        scores, size=network.resolution, align_corners=False, mode="bilinear", antialias=True
    )
    return (scores >= 0.5).float()


def earlier_scores(scores: Tensor) -> Tensor:
    """Scores of an earlier answer, as they go back in with new points."""
    return torch.clamp(scores, -CLAMP, CLAMP)


def use_multimask(network: Network, conditioning: bool, points: Clicks | None) -> bool:
    """Whether three masks are made and the best taken (SAM2Base._use_multimask)."""
    model = network.model
    count = 0 if points is None else points.labels.shape[1]
    return bool(
        model.multimask_output_in_sam
        and (conditioning or model.multimask_output_for_tracking)
        and model.multimask_min_pt_num <= count <= model.multimask_max_pt_num
    )


def _pointer(network: Network, pointer: Tensor, present: Tensor) -> Tensor:
    """The pointer where the object is there, sam2's learned stand-in where it is not."""
    model = network.model
    there = network.cast(present.float())
    if model.fixed_no_obj_ptr:
        pointer = there * pointer
    return pointer + (1 - there) * model.no_obj_ptr
