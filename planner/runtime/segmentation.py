"""Masks of one picture from points, boxes and masks (SAM2ImagePredictor)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from planner.errors import UsageError
from planner.prompts.places import PromptWarning, listed, part_inside, pixels_of_shares, reaches_far
from planner.runtime.encoder import Features, encode
from planner.runtime.heads import CLAMP, MASK_SCORE, to_network
from planner.runtime.network import Network
from planner.runtime.prepare import prepare_picture
from planner.runtime.watch import phase


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmentation:
    """Masks of N objects in one picture, M of each: three candidates, or one. Iterates over the objects' masks."""

    masks: numpy.ndarray
    """N×M×H×W bool, at the picture's size."""
    scores: numpy.ndarray
    """N×M float32: the quality that SAM 2 expects of each."""
    logits: numpy.ndarray
    """N×M×4h×4w float32 at a quarter of the resolution: what `masks` of a further call may be."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> numpy.ndarray:
        return self.masks if dtype is None else self.masks.astype(dtype)

    def __len__(self) -> int:
        return len(self.masks)

    def __iter__(self) -> Iterator[numpy.ndarray]:
        return iter(self.masks)

    def __getitem__(self, index: Any) -> Any:
        return self.masks[index]

    def best(self) -> numpy.ndarray:
        """N×H×W bool: the candidate of each object with the highest score."""
        return self.masks[numpy.arange(len(self.masks)), self.scores.argmax(axis=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Prompts of N objects, at the network's resolution."""

    coordinates: Tensor | None
    """N×P×2 float32, the corners of boxes first."""
    labels: Tensor | None
    """N×P int32."""
    masks: Tensor | None
    """N×1×4h×4w float32."""

    def part(self, start: int, stop: int) -> Asked:
        """Objects from `start` to `stop`."""
        pick = [None if value is None else value[start:stop] for value in (self.coordinates, self.labels, self.masks)]
        return Asked(coordinates=pick[0], labels=pick[1], masks=pick[2])

    @property
    def count(self) -> int:
        """How many objects."""
        given = self.coordinates if self.coordinates is not None else self.masks
        assert given is not None
        return given.shape[0]


def picture_features(network: Network, picture: numpy.ndarray) -> Features:
    """Features of a picture, as SAM2ImagePredictor.set_image leaves them."""
    features = encode(network, prepare_picture(network, picture))
    no_memory = network.model.no_mem_embed.reshape(1, -1, 1, 1)
    return features._replace(coarse=features.coarse + no_memory)


def segment(
    network: Network,
    picture: numpy.ndarray,
    *,
    points: Any = None,
    labels: Any = None,
    boxes: Any = None,
    masks: Any = None,
    multimask: bool = False,
) -> Segmentation:
    """See planner.runtime.session.Session.segment."""
    size = picture.shape[:2]
    asked = ask(network, size, points, labels, boxes, masks)
    features = picture_features(network, picture)
    found = []
    for start in range(0, asked.count, network.configuration.object_batch):
        part = asked.part(start, start + network.configuration.object_batch)
        low, quality = predict(network, features, part, multimask)
        found.append((_enlarged(network, low, size), quality.float().cpu(), low.clamp(-CLAMP, CLAMP).cpu()))
    whole, scores, logits = zip(*found, strict=True)
    return Segmentation(
        masks=numpy.concatenate(whole), scores=torch.cat(scores).numpy(), logits=torch.cat(logits).numpy()
    )


@phase("prompt")
def predict(network: Network, features: Features, asked: Asked, multimask: bool) -> tuple[Tensor, Tensor]:
    """(N×M×4h×4w float32 scores of pixels, N×M quality) of one pass (SAM2ImagePredictor._predict)."""
    model = network.model
    points = None if asked.coordinates is None else (asked.coordinates, asked.labels)
    sparse, dense = model.sam_prompt_encoder(points=points, boxes=None, masks=asked.masks)
    low, quality, _, _ = model.sam_mask_decoder(
        image_embeddings=features.coarse,
        image_pe=network.dense_positions,
        sparse_prompt_embeddings=network.cast(sparse),
        dense_prompt_embeddings=network.cast(dense),
        multimask_output=multimask,
        repeat_image=asked.count > 1,
        high_res_features=list(features.fine),
    )
    return low.float(), quality


def _enlarged(network: Network, low: Tensor, size: tuple[int, int]) -> numpy.ndarray:
    """N×M×H×W bool: one object's candidates at a time are on the device at the picture's size."""
    masks = numpy.empty((*low.shape[:2], *size), dtype=numpy.bool_)
    for index in range(len(low)):
        masks[index] = (network.enlarge(low[index : index + 1], size)[0] > 0).cpu().numpy()
    return masks


def ask(network: Network, size: tuple[int, int], points: Any, labels: Any, boxes: Any, masks: Any) -> Asked:
    """Prompts in pixels of a picture of `size`, checked and brought to the network's resolution."""
    found = _points(points, labels)
    corners = _boxes(boxes, size)
    given = [len(value[0]) for value in (found, corners) if value is not None]
    pixels = _masks(network, masks, size)
    if pixels is not None:
        given.append(len(pixels))
    if not given:
        raise UsageError("There is nothing to segment: no points, boxes or masks.", "Give at least one of them.")
    if len(set(given)) > 1:
        raise UsageError(
            f"Points, boxes and masks speak of {' and '.join(map(str, given))} objects.", "Give as many of each."
        )
    parts = [value for value in (corners, found) if value is not None]
    if not parts:
        return Asked(coordinates=None, labels=None, masks=pixels)
    for coordinates, _ in parts:
        _check_inside(coordinates, size)
    coordinates = to_network(network, torch.cat([part[0] for part in parts], dim=1), size)
    kinds = torch.cat([part[1] for part in parts], dim=1)
    return Asked(coordinates=coordinates.to(network.device), labels=kinds.to(network.device), masks=pixels)


def _points(points: Any, labels: Any) -> tuple[Tensor, Tensor] | None:
    if points is None:
        if labels is not None:
            raise UsageError("There are labels without points.", "Give one point per label.")
        return None
    coordinates = _array(points, "points")
    coordinates = coordinates[None] if coordinates.ndim == 2 else coordinates
    if coordinates.ndim != 3 or coordinates.shape[2] != 2 or 0 in coordinates.shape:
        raise UsageError(
            f"points have the shape {tuple(coordinates.shape)}.", "Give P×2 for one object, N×P×2 for several."
        )
    kinds = numpy.ones(coordinates.shape[:2]) if labels is None else _array(labels, "labels")
    kinds = kinds[None] if kinds.ndim == 1 else kinds
    if kinds.shape != coordinates.shape[:2] or not numpy.isin(kinds, (0, 1)).all():
        raise UsageError(
            f"labels of shape {tuple(kinds.shape)} do not fit {coordinates.shape[1]} points of"
            f" {coordinates.shape[0]} objects, or are not 0 or 1.",
            "Give 1 (object) or 0 (background) for each point.",
        )
    return torch.as_tensor(coordinates, dtype=torch.float32), torch.as_tensor(kinds, dtype=torch.int32)


def _boxes(boxes: Any, size: tuple[int, int]) -> tuple[Tensor, Tensor] | None:
    if boxes is None:
        return None
    corners = _array(boxes, "boxes")
    corners = numpy.array(corners[None] if corners.ndim == 1 else corners)  # not the caller's
    if corners.ndim != 2 or corners.shape[1] != 4 or len(corners) == 0:
        raise UsageError(f"boxes have the shape {tuple(corners.shape)}.", "Give (x0, y0, x1, y1), or N×4.")
    for place, (x0, y0, x1, y1) in enumerate(corners.tolist()):
        if not (x0 < x1 and y0 < y1):
            raise UsageError(f"The box {x0:g},{y0:g},{x1:g},{y1:g} is empty.", "Give x0 < x1 and y0 < y1.")
        _check_pixels((x0, y0, x1, y1), size)
        inside = part_inside((x0, y0, x1, y1), size)
        if inside != (x0, y0, x1, y1) and inside is not None and not reaches_far((x0, y0, x1, y1), size):
            told = f"The box {listed((x0, y0, x1, y1))} reaches out of the picture: clipped to {listed(inside)}."
            warnings.warn(told, PromptWarning, stacklevel=2)
            corners[place] = inside
    kinds = torch.tensor([[2, 3]], dtype=torch.int32).repeat(len(corners), 1)
    return torch.as_tensor(corners, dtype=torch.float32).reshape(-1, 2, 2), kinds


def _masks(network: Network, masks: Any, size: tuple[int, int]) -> Tensor | None:
    """Scores N×1×4h×4w: as they are where they have that size, else made of masks at the picture's size."""
    if masks is None:
        return None
    values = masks.masks if isinstance(masks, Segmentation) else numpy.asarray(masks)
    if values.dtype.kind == "b" and values.ndim >= 2 and not values.reshape(-1, *values.shape[-2:]).any((1, 2)).all():
        raise UsageError("A mask is empty: no pixel is set.", "Set the pixels of the object, or leave it out.")
    height, width = values.shape[-2:] if values.ndim >= 2 else (0, 0)
    scores = torch.as_tensor(values).reshape(-1, 1, height, width) if height * width else torch.empty(0)
    if (height, width) == network.low_size and values.dtype.kind == "f":
        return scores.to(device=network.device, dtype=torch.float32)
    if (height, width) == size and values.dtype.kind == "b":
        shrunk = functional.interpolate(
            scores.float(), size=network.low_size, mode="bilinear", align_corners=False, antialias=True
        )
        return ((2 * shrunk - 1) * MASK_SCORE).to(network.device)
    low = "×".join(map(str, network.low_size))
    raise UsageError(
        f"masks have the shape {tuple(values.shape)} and the type {values.dtype}.",
        f"Give masks of the picture's size ({size[0]}×{size[1]}, bool), or logits of an earlier answer ({low}, float).",
    )


def _array(values: Any, name: str) -> numpy.ndarray:
    try:
        array = numpy.asarray(values, dtype=numpy.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} are not numbers: {error}.", "Give x, y in pixels.") from error
    if not numpy.isfinite(array).all():
        raise UsageError(f"{name} hold a value that is not finite.", "Give x, y in pixels.")
    return array


def _check_pixels(numbers: tuple[float, ...], size: tuple[int, int]) -> None:
    pixels = pixels_of_shares(numbers, size)
    if pixels is not None:
        raise UsageError(
            f"The coordinates {listed(numbers)} look like shares of the picture, not pixels.",
            f"Give pixels of the picture: here {listed(pixels)}.",
        )


def _check_inside(coordinates: Tensor, size: tuple[int, int]) -> None:
    height, width = size
    for x, y in coordinates.reshape(-1, 2).tolist():
        _check_pixels((x, y), size)
        if not (0 <= x <= width and 0 <= y <= height):
            raise UsageError(
                f"The point {x:g},{y:g} lies outside the picture, which is {width} wide and {height} high.",
                "Give x, y in pixels of the picture.",
            )
