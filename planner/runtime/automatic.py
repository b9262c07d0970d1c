"""All masks of one picture (SAM2AutomaticMaskGenerator), without ever holding a batch at the picture's size.

sam2 enlarges the three masks of each of 64 points to the picture's size before it drops any (1.6 GB at 1080p) and
keeps the small masks of all points. The quality that SAM 2 expects needs no enlarging, so it is asked first; what is
left is enlarged a few at a time. The masks that remain are the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy
import torch
from sam2.utils.amg import (
    build_point_grid,
    calculate_stability_score,
    generate_crop_boxes,
    is_box_near_crop_edge,
)
from torch import Tensor

from planner.errors import UsageError
from planner.outputs.coco import run_lengths
from planner.runtime.heads import to_network
from planner.runtime.network import Network
from planner.runtime.segmentation import Asked, picture_features, predict
from planner.text.libraries import library

ENLARGED_BYTES = 64 * 2**20
"""Bytes of masks at the picture's size at once; one mask at least."""
STABILITY_OFFSET = 1.0
"""Default of SAM2AutomaticMaskGenerator."""
CROP_OVERLAP = 512 / 1500
"""Default of SAM2AutomaticMaskGenerator (crop_overlap_ratio)."""
MOST_CROP_LAYERS = 4
"""341 crops; each takes as long as a picture."""
Box: TypeAlias = tuple[int, ...]
"""x0, y0, x1, y1 in pixels of the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticMask:
    """A mask of a picture that was found without a prompt."""

    rle: dict[str, Any] = field(repr=False)
    """COCO run-length encoding: size [H, W] and counts."""
    area: int
    """In pixels."""
    bbox: tuple[float, float, float, float]
    """x, y, width, height in pixels."""
    predicted_iou: float
    """The quality that SAM 2 expects."""
    stability_score: float
    """IoU of the mask cut a little higher and a little lower."""
    point: tuple[float, float]
    """x, y of the point that gave it."""
    crop_box: tuple[int, int, int, int]
    """x, y, width, height of the crop in which it was found, in pixels."""

    @property
    def segmentation(self) -> numpy.ndarray:
        """H×W bool, decoded each time it is asked for."""
        from pycocotools import mask

        with warnings.catch_warnings():
            # Of pycocotools' own use of numpy.
            warnings.simplefilter("ignore", DeprecationWarning)
            pixels: numpy.ndarray = mask.decode(self.rle).astype(bool)
        return pixels


def automask(
    network: Network,
    picture: numpy.ndarray,
    *,
    points_per_side: int,
    pred_iou_threshold: float,
    stability_threshold: float,
    nms_threshold: float,
    crop_layers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[AutomaticMask]:
    """See planner.runtime.session.Session.automask."""
    library("pycocotools.mask", "pycocotools")
    if not 1 <= points_per_side <= 256:
        raise UsageError(f"{points_per_side} points per side are too few or too many.", "Give 1 to 256.")
    if not 0 <= crop_layers <= MOST_CROP_LAYERS:
        raise UsageError(f"{crop_layers} layers of crops cannot be had.", f"Give 0 to {MOST_CROP_LAYERS}.")
    grid = build_point_grid(points_per_side)
    boxes, _ = generate_crop_boxes(picture.shape[:2], crop_layers, CROP_OVERLAP)
    found: list[AutomaticMask] = []
    for number, box in enumerate(boxes):

        def tell(done: int, crops_before: int = number) -> None:
            if progress:
                progress(crops_before * len(grid) + done, len(boxes) * len(grid))

        here = _of_crop(network, picture, (*box,), grid, pred_iou_threshold, stability_threshold, tell)
        found += _distinct(here, torch.tensor([one.predicted_iou for one in here]), nms_threshold)
    if len(boxes) == 1:
        return found
    # Smaller crops are preferred (SAM2AutomaticMaskGenerator._generate_masks), by one threshold for both.
    areas = torch.tensor([one.crop_box[2] * one.crop_box[3] for one in found], dtype=torch.int64)
    return _distinct(found, 1 / areas, nms_threshold)


def _of_crop(
    network: Network,
    picture: numpy.ndarray,
    box: Box,
    grid: numpy.ndarray,
    pred_iou_threshold: float,
    stability_threshold: float,
    tell: Callable[[int], None],
) -> list[AutomaticMask]:
    """Masks of one crop (x0, y0, x1, y1), whose features are let go of with it (_process_crop)."""
    x0, y0, x1, y1 = box
    points = grid * numpy.array([[x1 - x0, y1 - y0]])
    features = picture_features(network, numpy.ascontiguousarray(picture[y0:y1, x0:x1]))
    found: list[AutomaticMask] = []
    size = network.configuration.object_batch
    for start in range(0, len(points), size):
        batch = torch.as_tensor(points[start : start + size], dtype=torch.float32)
        found += _batch(network, features, batch, box, picture.shape[:2], pred_iou_threshold, stability_threshold)
        tell(min(start + size, len(points)))
    return found


def _batch(
    network: Network,
    features: Any,
    points: Tensor,
    box: Box,
    whole: tuple[int, ...],
    pred_iou_threshold: float,
    stability_threshold: float,
) -> Iterator[AutomaticMask]:
    """Masks of one pass of points in a crop of a picture (SAM2AutomaticMaskGenerator._process_batch)."""
    left, top, right, bottom = box
    size = height, width = bottom - top, right - left
    coordinates = to_network(network, points, size).to(network.device)[:, None]
    labels = torch.ones(coordinates.shape[:2], dtype=torch.int32, device=network.device)
    low, quality = predict(network, features, Asked(coordinates=coordinates, labels=labels, masks=None), True)
    origins = points.repeat_interleave(low.shape[1], dim=0)
    low, quality = low.flatten(0, 1), quality.flatten(0, 1)
    kept = torch.nonzero(quality > pred_iou_threshold)[:, 0] if pred_iou_threshold > 0 else torch.arange(len(low))
    step = max(1, ENLARGED_BYTES // (height * width * 4))
    for chosen in kept.split(step):
        masks = network.enlarge(low[chosen][:, None], size)[:, 0]
        stability = calculate_stability_score(masks, 0.0, STABILITY_OFFSET)
        masks = masks > 0
        boxes = boxes_around(masks)
        edge = is_box_near_crop_edge(boxes, list(box), [0, 0, whole[1], whole[0]])
        stays = (stability >= stability_threshold) & ~edge
        for index in torch.nonzero(stays)[:, 0].tolist():
            number = int(chosen[index])
            pixels = numpy.zeros(whole, dtype=bool)
            pixels[top:bottom, left:right] = masks[index].cpu().numpy()
            x0, y0, x1, y1 = map(float, boxes[index].tolist())
            yield AutomaticMask(
                rle=run_lengths(pixels),
                area=int(pixels.sum()),
                bbox=(x0 + left, y0 + top, x1 - x0, y1 - y0),
                predicted_iou=float(quality[number]),
                stability_score=float(stability[index]),
                point=(float(origins[number, 0] + left), float(origins[number, 1] + top)),
                crop_box=(left, top, width, height),
            )


def boxes_around(masks: Tensor) -> Tensor:
    """Boxes (n, 4) around masks (n, height, width), left, top, right, bottom; of an empty mask all 0.

    To the last bit sam2's batched_mask_to_box, without its torch.max along the height: that finds places as well,
    and its blocks of threads put down a value and a place each, for a strip of 8 masks of 1080x1920 270 MB on an RTX
    3090 and 510 MB on an RTX 5090, which has more multiprocessors (rehearsed, torch 2.14.1).
    """
    edges = []
    for filled in (masks.any(dim=-2), masks.any(dim=-1)):
        size = filled.shape[-1]
        places = filled * torch.arange(size, device=masks.device)
        edges.append(((places + size * ~filled).amin(dim=-1), places.amax(dim=-1)))
    (left, right), (top, bottom) = edges
    empty = (right < left) | (bottom < top)
    return torch.stack([left, top, right, bottom], dim=-1) * ~empty[:, None]


def _distinct(found: list[AutomaticMask], scores: Tensor, threshold: float) -> list[AutomaticMask]:
    """Without duplicates: of boxes that overlap more than `threshold`, the best (sam2: batched_nms, one category)."""
    boxes = torch.tensor([one.bbox for one in found]).reshape(-1, 4)
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    areas = boxes[:, 2] * boxes[:, 3]
    order = scores.argsort(descending=True, stable=True)
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(found[int(best)])
        shared = (torch.minimum(high[best], high[rest]) - torch.maximum(low[best], low[rest])).clamp_(min=0).prod(1)
        overlap = shared / (areas[best] + areas[rest] - shared)
        # As torchvision.ops.nms compares: the threshold is not rounded to float32.
        order = rest[~(overlap.double() > threshold)]
    return kept
