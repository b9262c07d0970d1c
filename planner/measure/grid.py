"""The runs that the memory model is fitted to and judged by: laid out where planning asks, and drawn at random.

Laid out: every resolution that planning proposes, on the capabilities that most cards have, and what makes bytes grow.
Drawn: whole requests, as people make them. Of those one part is fitted to as well, and the other kept apart to judge.
Hopper and the first Blackwell (9.0, 10.0) are few: cuDNN plans their attention anew for each length, minutes a clip.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from planner.catalog.capability import what_it_lacks
from planner.memory_model.features import PASSES
from planner.nouns.request import Request
from planner.nouns.run import Configuration, Run, Workload
from planner.nouns.words import SAM2_RUNTIMES, VARIANTS, VERSIONS, DrivenRuntime, Precision
from planner.planning.candidates import POINT_BATCHES, SQUARE_SIDES, batches_of, resolutions
from planner.profiles.rehearsed import DRAWN, FIT, HELD_OUT, RehearsedUse

AMPERE, TURING, BLACKWELL, A100, ADA = (8, 6), (7, 5), (12, 0), (8, 0), (8, 9)
OTHERS = BLACKWELL, TURING, ADA, A100
VGA, SD, HD, FULL_HD, PORTRAIT, QUAD_HD, ULTRA_HD = (
    (480, 640), (480, 854), (720, 1280), (1080, 1920), (1920, 1080), (1440, 2560), (2160, 3840),
)  # fmt: skip
FOUR_THIRDS, TWELVE_MEGAPIXELS, TWENTY_FOUR, HUNDRED = (1080, 1440), (3000, 4000), (4000, 6000), (8000, 12000)
SHAPES_OF = (FULL_HD, SD, VGA, TWENTY_FOUR)
"""Sources whose shapes planning proposes: 16:9, nearly that, 4:3, 3:2."""
FULL_BANK, MEMORIES_FULL = 18, 9
"""Frames: of one object until pointers no longer grow; of many until the memories do not, which is nearly all."""
MANY_OBJECTS = 4
SHAPES_OF_PASSES = ((512, 512), (768, 768), (1024, 1024), (448, 768), (576, 1024), (1536, 1536), (2048, 2048))
DRAWN_SIZES = (VGA, SD, HD, FULL_HD, FULL_HD, FULL_HD, PORTRAIT, FOUR_THIRDS, QUAD_HD, ULTRA_HD, TWELVE_MEGAPIXELS,
               TWENTY_FOUR)  # fmt: skip
DRAWN_CAPABILITIES = {(7, 5): 2, (8, 0): 1, (8, 6): 4, (8, 9): 3, (12, 0): 3}

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Point:
    """One rehearsal."""

    run: Run
    capability: tuple[int, int]
    use: RehearsedUse
    """FIT, DRAWN or HELD_OUT."""

    @property
    def id(self) -> str:
        """A name that says all, the same in every run."""
        return f"{self.run.id}-sm{self.capability[0]}{self.capability[1]}"


def points(held_out: int, drawn: int, seed: int = 14) -> list[Point]:
    """All, each once: what matters most first, so that a campaign that is cut short is worth something."""
    chance = random.Random(seed)
    judged, fitted = _draw(held_out, chance, HELD_OUT), _draw(drawn, chance, DRAWN)
    apart = {point.id for point in judged}
    parts = [
        list(_resolutions()),
        [*_growth(), *fitted[: drawn // 2]],
        [*_capabilities(), *fitted[drawn // 2 :]],
        list(_common()),
    ]
    found: dict[str, Point] = {}
    for number, part in enumerate(parts):
        # Those that judge come along, some with each part.
        mixed = [point for point in part if point.id not in apart] + judged[number :: len(parts)]
        chance.shuffle(mixed)
        found |= {point.id: point for point in mixed if point.id not in found}
    return list(found.values())


def shapes() -> list[Size]:
    """The resolutions that planning proposes for landscape sources, and the squares."""
    found = {(side, side) for side in SQUARE_SIDES}
    for size in SHAPES_OF:
        found |= set(resolutions(Request(workload=Workload(task="image", frame_size=size))))
    return sorted(found)


def _point(runtime: DrivenRuntime, task: str, capability: tuple[int, int] = AMPERE, **fields: Any) -> Point:
    """A point for the fit. `fields` are of a configuration or a workload."""
    own = runtime == "own"
    batch = 64 if task == "automask" else 1
    configuration: dict[str, Any] = {"version": "2.1", "object_batch": batch, "bounded_memory_bank": own}
    workload: dict[str, Any] = {"task": task, "objects": 1, "frame_size": FULL_HD}
    for name, value in fields.items():
        (workload if name in ("objects", "frames", "frame_size") else configuration)[name] = value
    if "frames" not in workload:
        few = workload["objects"] <= MANY_OBJECTS
        workload["frames"] = 1 if task != "video" else FULL_BANK if few else MEMORIES_FULL
    return Point(_run(own, configuration, workload), capability, FIT)


def _widths(capability: tuple[int, int]) -> tuple[Precision, ...]:
    autocast: Precision = "autocast_bfloat16" if capability >= (8, 0) else "autocast_float16"
    return autocast, "float16", "float32"


def _resolutions() -> Iterator[Point]:
    """Every resolution that planning proposes, where most cards are."""
    for variant, precision in product(VARIANTS, _widths(AMPERE)):
        for task, size in product(("image", "video", "automask"), shapes()):
            yield _point("own", task, variant=variant, precision=precision, resolution=size)
        for task, side in product(("image", "video", "automask"), SQUARE_SIDES):
            if precision != "float16":
                yield _point("stock", task, variant=variant, precision=precision, resolution=(side, side))


def _capabilities() -> Iterator[Point]:
    """The same on other capabilities; float32, which is chosen last, at a few."""
    for capability, variant in product(OTHERS, VARIANTS):
        for number, precision in enumerate(_widths(capability)):
            for task, size in product(("image", "video", "automask"), shapes()):
                square = size[0] == size[1]
                if (number < 2 and (task != "automask" or square)) or size in ((512, 512), (1024, 1024)):
                    yield _point("own", task, capability, variant=variant, precision=precision, resolution=size)
            if number != 1 and capability in (BLACKWELL, TURING):
                for task, side in product(("image", "video", "automask"), (512, 768, 1024, 1536)):
                    yield _point(
                        "stock", task, capability, variant=variant, precision=precision, resolution=(side, side)
                    )
    for capability, variant, side in product(((9, 0), (10, 0)), (VARIANTS[0], VARIANTS[-1]), (512, 1024)):
        for runtime in SAM2_RUNTIMES:
            yield _point(
                runtime, "image", capability, variant=variant, precision="autocast_bfloat16", resolution=(side, side)
            )


def _growth() -> Iterator[Point]:
    """What makes bytes grow: objects, passes, sources, clips, what is offloaded, other attention."""
    for variant, precision, size in product(
        ("tiny", "large"), _widths(AMPERE), ((512, 512), (576, 1024), (1024, 1024))
    ):
        of: dict[str, Any] = {"variant": variant, "precision": precision, "resolution": size}
        for objects in (2, 5, 10, 20, 50):
            yield _point("own", "video", objects=objects, **of)
        for objects in (2, 10):
            yield _point("own", "video", objects=objects, offload_state=True, **of)
        for objects in (2, 10, 50):
            yield _point("own", "image", objects=objects, **of)
        for source in (VGA, HD, QUAD_HD, ULTRA_HD, TWELVE_MEGAPIXELS):
            yield _point("own", "image", frame_size=source, **of)
            yield _point("own", "video", frame_size=source, frames=MEMORIES_FULL, **of)
            yield _point("own", "automask", frame_size=source, **of)
        for batch in POINT_BATCHES[1:]:
            yield _point("own", "automask", object_batch=batch, **of)
        for attention in ("efficient", "math", *(("flash",) if precision != "float32" else ())):
            for task in ("image", "video", "automask"):
                yield _point("own", task, attention=attention, **of)
        if size[0] == size[1]:
            yield from _stock_growth(of)
    yield from _passes()
    for runtime, task, source in product(SAM2_RUNTIMES, ("image", "automask"), (TWENTY_FOUR, HUNDRED)):
        if (runtime, task, source) != ("stock", "automask", HUNDRED):
            for variant in ("tiny", "large"):
                yield _point(
                    runtime, task, variant=variant, precision="autocast_bfloat16", resolution=(1024, 1024),
                    frame_size=source,
                )  # fmt: skip


def _common() -> Iterator[Point]:
    """What people ask for most, which is then known to the byte: some objects in a clip of full HD, as planned."""
    for capability, variant, objects in product(
        ((8, 6), (8, 9), (12, 0), (7, 5)), VARIANTS, (2, 3, 4, 5, 6, 8, 10, 15, 20)
    ):
        for batch in (1, *batches_of(objects)[:2]):
            yield _point(
                "own", "video", capability, variant=variant, precision=_widths(capability)[0],
                resolution=(1024, 1024), objects=objects, object_batch=batch, frames=FULL_BANK,
            )  # fmt: skip


def _passes() -> Iterator[Point]:
    """Passes of several objects, which planning chooses where memory allows."""
    for variant, precision, size in product(
        VARIANTS, ("autocast_bfloat16", "float16"), ((512, 512), (576, 1024), (768, 768), (1024, 1024))
    ):
        of: dict[str, Any] = {"variant": variant, "precision": precision, "resolution": size}
        for batch in batches_of(10):
            yield _point("own", "video", objects=10, object_batch=batch, **of)
        if variant in ("tiny", "large"):
            for objects in (2, 3, 5, 16):
                yield _point("own", "video", objects=objects, object_batch=objects, **of)
    # In track no variant differs from another, so that the smallest stands for all.
    for precision, size, batch in product(_widths(AMPERE), SHAPES_OF_PASSES, PASSES):
        yield _point("own", "video", precision=precision, resolution=size, **_pass_of(batch))
    for capability, number, size, batch in product(OTHERS, (0, 1), SHAPES_OF_PASSES[:3], PASSES):
        precision = _widths(capability)[number]
        yield _point("own", "video", capability, precision=precision, resolution=size, **_pass_of(batch))
    for capability, variant, batch in product((TURING, BLACKWELL), (VARIANTS[0], VARIANTS[-1]), batches_of(10)):
        yield _point(
            "own", "video", capability, variant=variant, precision=_widths(capability)[0], resolution=(1024, 1024),
            objects=10, object_batch=batch,
        )  # fmt: skip


def _pass_of(batch: int) -> dict[str, Any]:
    return {"variant": "tiny", "objects": batch, "object_batch": batch, "frames": MEMORIES_FULL}


def _stock_growth(of: dict[str, Any]) -> Iterator[Point]:
    if of["precision"] == "float16":
        yield _point("stock", "image", **of)
        yield _point("stock", "video", **of)
        yield _point("stock", "automask", **of)
        return
    for objects in (2, 5, 10, 20):
        yield _point("stock", "video", objects=objects, frames=MEMORIES_FULL, **of)
    for frames in (2, 40, 120):
        yield _point("stock", "video", frames=frames, **of)
    for offload in (("offload_video",), ("offload_video", "offload_state"), ("offload_state",)):
        switched: dict[str, Any] = dict.fromkeys(offload, True)
        yield _point("stock", "video", objects=3, **switched, **of)
    for objects in (2, 10, 50):
        yield _point("stock", "image", objects=objects, **of)
    for source in (VGA, HD, ULTRA_HD, TWELVE_MEGAPIXELS):
        yield _point("stock", "image", frame_size=source, **of)
        yield _point("stock", "video", frame_size=source, frames=MEMORIES_FULL, objects=2, **of)
        yield _point("stock", "automask", frame_size=source, **of)
    for batch in (16, 4):
        yield _point("stock", "automask", object_batch=batch, **of)


def _draw(count: int, chance: random.Random, use: RehearsedUse) -> list[Point]:
    found: dict[str, Point] = {}
    while len(found) < count:
        point = _drawn(chance, use)
        if point is not None:
            found.setdefault(point.id, point)
    return list(found.values())


def _drawn(chance: random.Random, use: RehearsedUse) -> Point | None:
    """A run as people ask for it; None of what the GPU cannot run."""
    capability = chance.choices(list(DRAWN_CAPABILITIES), list(DRAWN_CAPABILITIES.values()))[0]
    task = chance.choices(("video", "image", "automask"), (5, 3, 2))[0]
    own = chance.random() < 0.6
    source = HUNDRED if task == "image" and chance.random() < 0.04 else chance.choice(DRAWN_SIZES)
    workload: dict[str, Any] = {"task": task, "frame_size": source}
    precision = _drawn_precision(chance, own, capability)
    configuration: dict[str, Any] = {
        "variant": chance.choice(VARIANTS),
        "version": chance.choice(VERSIONS),
        "precision": precision,
        "resolution": _drawn_resolution(chance, own, source),
        "bounded_memory_bank": own,
        "attention": chance.choices(("auto", "efficient", "flash", "math"), (82, 7, 6, 5))[0] if own else "auto",
    }
    if own and what_it_lacks(precision, configuration["attention"], capability):
        return None
    if configuration["attention"] == "flash" and precision == "float32":
        return None
    if task == "automask":
        configuration["object_batch"] = (
            chance.choice((64, 64, 64, 32, 16, 8, 4, 1)) if own else chance.choice((64, 64, 16))
        )
        return Point(_run(own, configuration, workload), capability, use)
    objects = chance.choice((1, 1, 1, 1, 2, 2, 3, 4, 5, 8, 10, 10, 15, 20, 30, 50))
    workload["objects"] = objects
    if task == "video":
        configuration |= _drawn_ways(chance, own, objects)
        if own:
            configuration["object_batch"] = _drawn_batch(objects, configuration)
            workload["frames"] = FULL_BANK if objects <= MANY_OBJECTS else MEMORIES_FULL
        else:
            workload["objects"] = objects = min(objects, 20)
            workload["frames"] = min(chance.choice((2, 10, 20, 40, 80, 120)), max(2, 160 // objects))
    return Point(_run(own, configuration, workload), capability, use)


def _drawn_batch(objects: int, configuration: dict[str, Any]) -> int:
    """As planning chooses, which takes the largest pass that surely fits: mostly several objects."""
    chance = random.Random(f"{objects} {sorted(configuration.items())}")
    return chance.choice((1, *batches_of(objects), *batches_of(objects)))


def _run(own: bool, configuration: dict[str, Any], workload: dict[str, Any]) -> Run:
    return Run(
        runtime="own" if own else "stock",
        configuration=Configuration(**configuration),
        workload=Workload(**workload),
    )


def _drawn_precision(chance: random.Random, own: bool, capability: tuple[int, int]) -> Precision:
    autocast, half, full = _widths(capability)
    if own:
        if capability >= (8, 0):
            half = chance.choice((half, "bfloat16"))
        return chance.choices((autocast, half, full), (5, 3, 2))[0]
    return chance.choices((autocast, full), (4, 1))[0]


def _drawn_resolution(chance: random.Random, own: bool, source: Size) -> Size:
    if chance.random() < 0.4:
        return 1024, 1024
    if not own:
        side = chance.choice(SQUARE_SIDES)
        return side, side
    return chance.choice(resolutions(Request(workload=Workload(task="image", frame_size=source))))


def _drawn_ways(chance: random.Random, own: bool, objects: int) -> dict[str, Any]:
    """How a video is run. What is drawn for passes is not used: without it all that follows would be other runs."""
    batches = [batch for batch in (2, 4, 8) if batch <= objects]
    if own and batches and chance.random() < 0.15:
        chance.choice(batches)
    return {
        "object_batch": 1,
        "offload_state": chance.random() < (0.25 if own else 0.1),
        "offload_video": not own and chance.random() < 0.2,
    }
