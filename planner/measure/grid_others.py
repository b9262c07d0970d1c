"""The runs of transformers and Ultralytics that their laws are fitted to and judged by, of SAM 2 or another model.

As in planner.measure.grid: laid out where people begin and for what makes bytes grow, and drawn at random. Their
resolution is their checkpoints', or imgsz; nothing is proposed of them by planning, so that far fewer rows do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from planner.measure.grid import AMPERE, BLACKWELL, DRAWN_CAPABILITIES, TURING, Point
from planner.nouns.run import NATIVE, Configuration, Run, Transformers, Workload, bounds_memory, native_resolution
from planner.nouns.words import OTHER_MODELS, VARIANTS, VERSIONS, DrivenRuntime, Precision, Variant
from planner.profiles.rehearsed import DRAWN, FIT, HELD_OUT, RehearsedUse

SOURCES = ((480, 854), (720, 1280), (1080, 1920), (1080, 1920), (1920, 1080), (1440, 2560), (2160, 3840))
HD, FULL_HD, ULTRA_HD = SOURCES[1], SOURCES[2], SOURCES[-1]
FULL = 18
"""Frames until pointers no longer grow."""
MOST_CLIP_BYTES = 600_000_000
"""Of the host, in the frames of a clip that is drawn: a rehearsal copies them for real."""


Variants = Sequence[Variant]


def points(
    runtime: DrivenRuntime, held_out: int, drawn: int, seed: int = 16, variants: Variants = VARIANTS
) -> list[Point]:
    """All of one runtime, each once, what matters most first."""
    chance = random.Random(seed)
    judged, fitted = (
        draw(runtime, count, chance, use, variants) for count, use in ((held_out, HELD_OUT), (drawn, DRAWN))
    )
    apart = {point.id for point in judged}
    laid = [point for point in _laid_out(runtime, variants) if point.id not in apart]
    rest = [*judged, *fitted]
    chance.shuffle(rest)
    return list({point.id: point for point in (*laid, *rest)}.values())


def _laid_out(runtime: DrivenRuntime, variants: Variants) -> Iterator[Point]:
    whole, streaming = Transformers(), Transformers(streaming=True)
    for variant, precision in product(variants, _precisions(AMPERE)):
        if runtime == "transformers":
            yield _point(runtime, variant, precision, ways=streaming)
            yield _point(runtime, variant, precision, ways=whole)
            yield _point(runtime, variant, precision, objects=3, frames=30, ways=whole)
            yield _point(runtime, variant, precision, objects=5, frames=24, ways=streaming)
            yield _point(runtime, variant, precision, objects=2, frame_size=ULTRA_HD, ways=streaming)
            yield _point(runtime, variant, precision, offload_video=True, ways=Transformers(processing_device="cpu"))
            yield _point(
                runtime, variant, precision, objects=2, frames=30, offload_video=True, offload_state=True,
                ways=streaming,
            )  # fmt: skip
            yield _point(runtime, variant, precision, frames=60, frame_size=HD, ways=whole)
        else:
            for objects, size in ((1, FULL_HD), (3, FULL_HD), (10, FULL_HD), (2, ULTRA_HD)):
                yield _point(runtime, variant, precision, objects=objects, frame_size=size)
            yield _point(runtime, variant, precision, objects=2, frames=40, bounded_memory_bank=False)
            for side, task in product((512, 640, 768), ("image", "video")):
                yield _point(runtime, variant, precision, task=task, resolution=(side, side))
            yield _point(runtime, variant, precision, objects=4, frames=3)
        for objects in (1, 3, 10, 30):
            yield _point(runtime, variant, precision, task="image", objects=objects)
        yield _point(runtime, variant, precision, task="image", objects=2, frame_size=ULTRA_HD)
        if variant in OTHER_MODELS:
            yield from _spilling(runtime, variant, precision)
    for capability, variant in product((BLACKWELL, TURING), variants):
        for precision in _precisions(capability):
            yield _point(runtime, variant, precision, capability=capability, ways=streaming)
            yield _point(runtime, variant, precision, capability=capability, task="image")


def _spilling(runtime: DrivenRuntime, variant: Variant, precision: Precision) -> Iterator[Point]:
    """What the cache cannot take, of which a model alone has fewer rows than four variants together."""
    for objects in (15, 20, 40):
        yield _point(runtime, variant, precision, task="image", objects=objects)
    for frames, size in ((40, HD), (100, SOURCES[0]), (40, FULL_HD)):
        yield _point(runtime, variant, precision, frames=frames, frame_size=size)


def _precisions(capability: tuple[int, int]) -> tuple[Precision, ...]:
    if capability >= (8, 0):
        return "float32", "bfloat16", "autocast_bfloat16"
    return "float32", "float16", "autocast_float16"


def _point(
    runtime: DrivenRuntime, variant: Variant, precision: Precision, *, task: str = "video",
    capability: tuple[int, int] = AMPERE, use: RehearsedUse = FIT, ways: Transformers | None = None, **fields: Any,
) -> Point:  # fmt: skip
    if runtime == "ultralytics" and precision == "bfloat16":
        precision = "float16"  # half is all that it has
    workload: dict[str, Any] = {"task": task, "objects": 1, "frame_size": FULL_HD}
    workload["frames"] = FULL if task == "video" else 1
    configuration: dict[str, Any] = {"variant": variant, "version": "2.1", "precision": precision}
    configuration["resolution"] = native_resolution(variant)
    configuration["bounded_memory_bank"] = bounds_memory(runtime)
    for name, value in fields.items():
        (workload if name in workload else configuration)[name] = value
    if runtime == "ultralytics":
        configuration["object_batch"] = workload["objects"]
    run = Run(
        runtime=runtime,
        configuration=Configuration(**configuration),
        workload=Workload(**workload),
        transformers=ways if ways is not None and runtime == "transformers" and task == "video" else Transformers(),
    )
    return Point(run, capability, use)


def draw(
    runtime: DrivenRuntime, count: int, chance: random.Random, use: RehearsedUse, variants: Variants = VARIANTS
) -> list[Point]:
    """So many runs of a runtime as people ask for them, each once."""
    found: dict[str, Point] = {}
    while len(found) < count:
        point = _drawn(runtime, chance, use, variants)
        found.setdefault(point.id, point)
    return list(found.values())


def _drawn(runtime: DrivenRuntime, chance: random.Random, use: RehearsedUse, variants: Variants) -> Point:
    """A run as people ask for it."""
    versions = VERSIONS if variants[0] not in OTHER_MODELS else VERSIONS[:1]
    capability = chance.choices(list(DRAWN_CAPABILITIES), list(DRAWN_CAPABILITIES.values()))[0]
    precision = chance.choice(_precisions(capability))
    if precision == "bfloat16" and chance.random() < 0.3:
        precision = "float16"
    size, objects = chance.choice(SOURCES), chance.choice((1, 1, 1, 2, 2, 3, 4, 5, 8, 10))
    fields: dict[str, Any] = {"objects": objects, "frame_size": size, "version": chance.choice(versions)}
    task = chance.choices(("video", "image"), (7, 3))[0]
    ways = None
    if task == "video" and runtime == "transformers":
        fields |= {name: chance.random() < 0.25 for name in ("offload_video", "offload_state")}
        streaming = chance.random() < 0.4
        ways = Transformers(
            streaming=streaming,
            processing_device="cpu" if not streaming and chance.random() < 0.3 else "cuda",
        )
        most = max(2, MOST_CLIP_BYTES // (3 * size[0] * size[1]))
        fields["frames"] = min(chance.choice((2, 5, 10, 20, 40, 80)), most, max(4, 160 // objects))
    elif task == "video":
        fields["frames"] = chance.choice((4, 10, FULL))
        fields["resolution"] = chance.choice((NATIVE, NATIVE, NATIVE, (640, 640), (512, 512)))
    elif runtime == "ultralytics":
        fields["resolution"] = chance.choice((NATIVE, NATIVE, NATIVE, (640, 640), (512, 512)))
    return _point(
        runtime, chance.choice(variants), precision, task=task, capability=capability, use=use, ways=ways, **fields
    )
