"""All masks of one picture (SAM2AutomaticMaskGenerator), without ever holding a batch at the picture's size.

sam2 enlarges the three masks of each of 64 points to the picture's size before it drops any (1.6 GB at 1080p) and
keeps the small masks of all points. The quality that SAM 2 expects needs no enlarging, so it is asked first; what is
left is enlarged a few at a time. The masks that remain are the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch
from sam2.utils.amg import (
    batched_mask_to_box,
    build_point_grid,
    calculate_stability_score,
    is_box_near_crop_edge,
)
from torch import Tensor

from planner.errors import UsageError
from planner.libraries import library
from planner.outputs.coco import run_lengths
from planner.runtime.heads import to_network
from planner.runtime.network import Network
from planner.runtime.segmentation import Asked, picture_features, predict

ENLARGED_BYTES = 64 * 2**20
"""Of masks at the picture's size at once; one mask at least."""
STABILITY_OFFSET = 1.0
"""Default of SAM2AutomaticMaskGenerator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticMask:
    """A mask that nobody asked for."""

    rle: dict[str, Any] = field(repr=False)
    """COCO run-length encoding: size [H, W] and counts."""
    area: int
    """Pixels."""
    bbox: tuple[float, float, float, float]
    """x, y, width, height in pixels."""
    predicted_iou: float
    """The quality that SAM 2 expects."""
    stability_score: float
    """IoU of the mask cut a little higher and a little lower."""
    point: tuple[float, float]
    """x, y of the point that gave it."""

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
    progress: Callable[[int, int], None] | None = None,
) -> list[AutomaticMask]:
    """See planner.runtime.session.Session.automask."""
    library("pycocotools.mask", "pycocotools")
    if not 1 <= points_per_side <= 256:
        raise UsageError(f"{points_per_side} points per side are too few or too many.", "Give 1 to 256.")
    height, width = picture.shape[:2]
    points = build_point_grid(points_per_side) * numpy.array([[width, height]])
    features = picture_features(network, picture)
    found: list[AutomaticMask] = []
    size = network.configuration.object_batch
    for start in range(0, len(points), size):
        batch = torch.as_tensor(points[start : start + size], dtype=torch.float32)
        found += _batch(network, features, batch, (height, width), pred_iou_threshold, stability_threshold)
        if progress:
            progress(min(start + size, len(points)), len(points))
    return _distinct(found, nms_threshold)


def _batch(
    network: Network,
    features: Any,
    points: Tensor,
    size: tuple[int, int],
    pred_iou_threshold: float,
    stability_threshold: float,
) -> Iterator[AutomaticMask]:
    """Masks of one pass of points (SAM2AutomaticMaskGenerator._process_batch)."""
    height, width = size
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
        boxes = batched_mask_to_box(masks)
        edge = is_box_near_crop_edge(boxes, [0, 0, width, height], [0, 0, width, height])
        stays = (stability >= stability_threshold) & ~edge
        for index in torch.nonzero(stays)[:, 0].tolist():
            number = int(chosen[index])
            pixels = masks[index].cpu().numpy()
            x0, y0, x1, y1 = map(float, boxes[index].tolist())
            yield AutomaticMask(
                rle=run_lengths(pixels),
                area=int(pixels.sum()),
                bbox=(x0, y0, x1 - x0, y1 - y0),
                predicted_iou=float(quality[number]),
                stability_score=float(stability[index]),
                point=(float(origins[number, 0]), float(origins[number, 1])),
            )


def _distinct(found: list[AutomaticMask], threshold: float) -> list[AutomaticMask]:
    """Without duplicates: of boxes that overlap more than `threshold`, the best (sam2: batched_nms, one category)."""
    boxes = torch.tensor([one.bbox for one in found]).reshape(-1, 4)
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    areas = boxes[:, 2] * boxes[:, 3]
    order = torch.tensor([one.predicted_iou for one in found]).argsort(descending=True, stable=True)
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(found[int(best)])
        shared = (torch.minimum(high[best], high[rest]) - torch.maximum(low[best], low[rest])).clamp_(min=0).prod(1)
        overlap = shared / (areas[best] + areas[rest] - shared)
        # As torchvision.ops.nms compares: the threshold is not rounded to float32.
        order = rest[~(overlap.double() > threshold)]
    return kept
