"""What is published of accuracy and speed, typed in again from its sources.

Independent of profiles/catalog.yaml and of planner.catalog, so that a slip in either shows.
Sources: README of facebookresearch/sam2 (J&F on SA-V test and frames per second on an A100), the ablation of
the SAM 2 paper (J&F on MOSE dev), EdgeTAM's table of pictures (one-click mIoU on SA-23), sam2 issue 257 (milliseconds
per frame, eager, RTX 3090), and the comment in SAM2VideoPredictor.init_state (frames per second with the memory bank
on the GPU and on the host).
"""

from __future__ import annotations

import math

VARIANTS = ("tiny", "small", "base_plus", "large")
PARAMETERS = {"tiny": 38_900_000, "small": 46_000_000, "base_plus": 80_800_000, "large": 224_400_000}
ACCURACY = {
    ("2.1", "tiny"): 76.5,
    ("2.1", "small"): 76.6,
    ("2.1", "base_plus"): 78.2,
    ("2.1", "large"): 79.5,
    ("2.0", "tiny"): 75.0,
    ("2.0", "small"): 74.9,
    ("2.0", "base_plus"): 74.7,
    ("2.0", "large"): 76.0,
}
SA_23 = {("2.0", "base_plus"): 61.4, ("2.1", "base_plus"): 61.9}
FRAMES_PER_SECOND = {
    ("2.1", "tiny"): 91.2,
    ("2.1", "small"): 84.8,
    ("2.1", "base_plus"): 64.1,
    ("2.1", "large"): 39.5,
    ("2.0", "tiny"): 91.5,
    ("2.0", "small"): 85.6,
    ("2.0", "base_plus"): 64.8,
    ("2.0", "large"): 39.7,
}
MOSE_DEV = ((512, 73.0), (768, 76.1), (1024, 77.0))
MILLISECONDS = {
    "tiny": ((256, 7), (512, 8), (1024, 26)),
    "small": ((256, 7), (512, 8), (1024, 26)),
    "base_plus": ((256, 9), (512, 10), (1024, 37)),
    "large": ((256, 12), (512, 17), (1024, 64)),
}
ONE_OBJECT, TWO_OBJECTS, ONE_OBJECT_OFFLOADED = 27, 24, 24
NATIVE = (1024, 1024)


def quality(variant: str, version: str, resolution: tuple[int, int]) -> tuple[bool, float]:
    """(is an estimate, J&F in percent). No gain above 1024x1024; below, what the ablation loses."""
    published = ACCURACY[version, variant]
    if resolution == NATIVE:
        return False, published
    share = _line(MOSE_DEV, math.sqrt(resolution[0] * resolution[1])) / MOSE_DEV[-1][1]
    return True, round(published * min(1.0, share), 1)


def accuracy(task: str, variant: str, version: str, resolution: tuple[int, int]) -> tuple[bool, float | None]:
    """(is an estimate, percent) of what is published for a task: J&F of videos in the ablation, mIoU of pictures."""
    if task == "image":
        return False, SA_23.get((version, variant)) if resolution == NATIVE else None
    pixels = resolution[0] * resolution[1]
    if task == "automask" or not MOSE_DEV[0][0] ** 2 <= pixels <= MOSE_DEV[-1][0] ** 2:
        return False, None
    return quality(variant, version, resolution)


def frames_per_second(variant: str, version: str, resolution: tuple[int, int], objects: int, offload: bool) -> float:
    """The README's speed, scaled as published times scale by pixels, objects and offload."""
    logs = tuple((side, math.log(time)) for side, time in MILLISECONDS[variant])
    side = math.sqrt(resolution[0] * resolution[1])
    slower = math.exp(_line(logs, side) - logs[-1][1])
    slower *= 1 + (objects - 1) * (ONE_OBJECT / TWO_OBJECTS - 1)
    if offload:
        slower *= ONE_OBJECT / ONE_OBJECT_OFFLOADED
    return FRAMES_PER_SECOND[version, variant] / slower


def _line(points: tuple[tuple[int, float], ...], side: float) -> float:
    """Straight pieces over log(side), the last ones carried on."""
    first = 0 if side <= points[1][0] else len(points) - 2
    (a, at_a), (b, at_b) = points[first], points[first + 1]
    return at_a + (at_b - at_a) * math.log(side / a) / math.log(b / a)
