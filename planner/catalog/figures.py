"""Accuracy and speed as they may be printed: published for the case at hand, with the source, or a reason why not.

Orders need a number for everything; they come from Catalog.quality and Catalog.frames_per_second. These are for people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypedDict

from planner.catalog.variants import Catalog, PublishedSpeed
from planner.nouns.run import Configuration, Workload
from planner.nouns.words import Precision

VIDEO_METRIC = "J&F on SA-V test"
IMAGE_METRIC = "mIoU on SA-23, one click"
OFFICIAL_PRECISION: Precision = "autocast_bfloat16"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """In percent; None with a reason where nothing is published that would say it."""

    value: float | None
    is_estimate: bool = False
    """True between the resolutions that the paper's ablation covers; False of a published figure, and of none."""
    metric: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Speed:
    """Video frames per second; None with a reason where none is published for that card and case."""

    value: float | None
    of: str | None = None
    """Whose code, card, mode and source of the figure."""
    reason: str | None = None


def accuracy(configuration: Configuration, workload: Workload, catalog: Catalog) -> Accuracy:
    """What is published of a configuration's accuracy at a task."""
    variant, version = configuration.variant, configuration.version
    native = configuration.resolution == (catalog.native_side, catalog.native_side)
    if workload.task == "automask":
        return Accuracy(None, reason="no accuracy is published of automatic masks; variants are taken in their order")
    if workload.task == "image":
        found = catalog.image_accuracy.get((variant, version))
        if native and found is not None:
            return Accuracy(found, metric=IMAGE_METRIC)
        what = f"of images at another resolution than {catalog.native_side}x{catalog.native_side}"
        what = f"of images with {variant} {version}" if native else what
        return Accuracy(None, reason=f"no accuracy is known {what}; variants are taken in the order of videos")
    side = math.sqrt(configuration.resolution[0] * configuration.resolution[1])
    low, high = catalog.ablation_sides
    if not low <= side <= high:
        covered = f"{low}x{low} to {high}x{high}"
        return Accuracy(None, reason=f"the published ablation covers {covered}; outside it there is an order only")
    quality = catalog.quality(variant, version, configuration.resolution)
    return Accuracy(quality.value, quality.is_estimate, VIDEO_METRIC)


def speed(configuration: Configuration, workload: Workload, catalog: Catalog, gpu: str | None) -> Speed:
    """What is published of a configuration's speed on a GPU of that name; nothing is carried over to another."""
    if workload.task != "video":
        return Speed(None, reason="published speeds are of video tracking")
    if gpu is None:
        return Speed(None, reason="no card is named, and no speed holds for all")
    known = _of_card(tuple(catalog.speeds), gpu)
    if not known:
        return Speed(None, reason=f"no speed of the {gpu} is published")
    if workload.objects > 1 or configuration.offload_state:
        what = "more than one object" if workload.objects > 1 else "the memory bank on the host"
        return Speed(None, reason=f"no speed with {what} is published for this card")
    if configuration.precision != OFFICIAL_PRECISION or configuration.attention != "auto":
        return Speed(None, reason="published speeds are of the official recipe")
    for one in known:
        if _is_of(one, configuration):
            return Speed(one.frames_per_second, of=f"stock predictor on {one.gpu}, {one.mode} ({one.source})")
    sides = sorted({one.side for one in known if one.variant == configuration.variant})
    at = " and ".join(f"{side}x{side}" for side in sides)
    published = f"{configuration.variant} is published at {at} only" if sides else "this variant is not published"
    return Speed(None, reason=f"no speed is known: on this card {published}")


@lru_cache(maxsize=64)
def _of_card(speeds: tuple[PublishedSpeed, ...], gpu: str) -> tuple[PublishedSpeed, ...]:
    from planner.catalog.gpus import same_card

    return tuple(one for one in speeds if same_card(one.gpu, gpu))


def _is_of(one: PublishedSpeed, configuration: Configuration) -> bool:
    same = one.variant == configuration.variant and one.version in (None, configuration.version)
    return same and configuration.resolution == (one.side, one.side)


class Worth(TypedDict):
    """Accuracy and speed under the names of a Choice's fields."""

    quality: float | None
    quality_is_estimate: bool
    quality_metric: str | None
    quality_reason: str | None
    frames_per_second: float | None
    frames_per_second_of: str | None
    frames_per_second_reason: str | None


def worth(configuration: Configuration, workload: Workload, catalog: Catalog, gpu: str | None) -> Worth:
    """Accuracy and speed under the names of a Choice's fields."""
    accurate, fast = accuracy(configuration, workload, catalog), speed(configuration, workload, catalog, gpu)
    return {
        "quality": accurate.value,
        "quality_is_estimate": accurate.is_estimate,
        "quality_metric": accurate.metric,
        "quality_reason": accurate.reason,
        "frames_per_second": None if fast.value is None else round(fast.value, 1),
        "frames_per_second_of": fast.of,
        "frames_per_second_reason": fast.reason,
    }
