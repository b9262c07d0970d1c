"""Published accuracy and speed of the variants, and the estimates drawn from them.

Knows nothing of bytes. Every estimate here is arithmetic on figures of profiles/catalog.yaml, each of
which names its source there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from planner.nouns.words import OTHER_MODELS, SPEED_MODES, SPEED_UNITS, VARIANTS, VERSIONS, SpeedMode, Variant, Version
from planner.text.locations import profiles_folder
from planner.text.strict_yaml import Fields, read


@dataclass(frozen=True, slots=True)
class Shape:
    """What the size of a variant's tensors follows from."""

    parameters: int
    embed_dim: int
    """Channels of Hiera's first stage."""
    global_attention_heads: int
    """Heads of the blocks that attend to the whole frame."""
    picture_parameters: int | None = None
    """Of a model that is not SAM 2, what its model for pictures has. Its trunk is no Hiera: the two above are 0."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Accuracy in percent (J&F on SA-V test)."""

    value: float
    is_estimate: bool
    """False only where this variant, version and resolution are published together."""


README_GPU, EAGER_GPU = "A100", "GeForce RTX 3090"
"""What the README's speeds and those of issue 257 were measured on."""


@dataclass(frozen=True, slots=True)
class PublishedSpeed:
    """What somebody published of one card: stock's video predictor, one object, a square resolution."""

    gpu: str
    mode: SpeedMode
    variant: Variant
    version: Version | None
    """None where the source does not say; both run the same code."""
    side: int
    frames_per_second: float
    source: str
    """Title of the publication."""


class Catalog:
    """The catalogue's figures, with the estimates that planning asks for."""

    def __init__(
        self,
        shapes: Mapping[Variant, Shape],
        accuracy: Mapping[tuple[Variant, Version], tuple[float, float]],
        native_side: int,
        ablation: Sequence[tuple[int, float]],
        milliseconds: Mapping[Variant, Sequence[tuple[int, float]]],
        object_cost: float,
        offload_cost: float,
        image_accuracy: Mapping[tuple[Variant, Version], float],
        speeds: Sequence[PublishedSpeed],
    ) -> None:
        self.shapes = shapes
        self.native_side = native_side
        self._accuracy = accuracy
        self._ablation = ablation
        self._milliseconds = milliseconds
        self._object_cost = object_cost
        self._offload_cost = offload_cost
        self.image_accuracy = image_accuracy
        """mIoU in percent on SA-23 with one click, by variant and version; few are published."""
        self.speeds = speeds
        """Every published speed of the stock video predictor, by card."""
        self.ablation_sides = ablation[0][0], ablation[-1][0]
        """Within these squares the paper says what a lower resolution costs."""
        # Planning asks for the same few thousand values again and again.
        self.quality = lru_cache(maxsize=None)(self._quality)
        self.frames_per_second = lru_cache(maxsize=4096)(self._frames_per_second)

    def _quality(self, variant: Variant, version: Version, resolution: tuple[int, int]) -> Quality:
        """Accuracy of a configuration as planning orders by it; what may be printed of it says planner.catalog.figures.

        Away from the native resolution it is the published figure times what the paper's ablation loses at
        that many pixels (models trained at that resolution: an optimistic estimate). Above the native
        resolution no gain is published, so none is assumed.
        """
        published = self._accuracy[variant, version][0]
        if resolution == (self.native_side, self.native_side):
            return Quality(published, False)
        side = math.sqrt(resolution[0] * resolution[1])
        best = self._ablation[-1][1]
        return Quality(round(published * min(1.0, _interpolate(self._ablation, side) / best), 1), True)

    def _frames_per_second(
        self, variant: Variant, version: Version, resolution: tuple[int, int], objects: int, offload_state: bool
    ) -> float:
        """A speed to order by, unrounded: nothing that any card was seen to do (that is in planner.catalog.figures).

        The README's figure (one object, 1024x1024, compiled) scaled by resolution as the eager times of an
        RTX 3090 scale, by objects and offload as the stock code's comment has it. Precision and kernels other
        than the README's are published nowhere and change nothing here.
        """
        times = [(side, math.log2(value)) for side, value in self._milliseconds[variant]]
        side = math.sqrt(resolution[0] * resolution[1])
        slowdown = 2 ** (_interpolate(times, side) - _interpolate(times, float(self.native_side)))
        slowdown *= 1 + self._object_cost * (objects - 1)
        if offload_state:
            slowdown *= self._offload_cost
        return self._accuracy[variant, version][1] / slowdown


@lru_cache(maxsize=4)
def load_catalog(path: Path | None = None) -> Catalog:
    """The shipped catalogue, or the one at `path`. Raises FileError if it is broken."""
    path = path or profiles_folder() / "catalog.yaml"
    fields = Fields(read(path), str(path), "the catalogue")
    if fields.integer("schema_version") != 1:
        raise fields.complaint("schema_version is not 1", "Take the catalogue of this release.", "schema_version")
    titles = {name: entry.text("title") for name, entry in fields.fields("sources").named()}
    sources = set(titles)
    shapes: dict[Variant, Shape] = {}
    variants = fields.fields("variants")
    for variant in VARIANTS:
        entry = variants.fields(variant)
        check_source(entry, sources)
        shapes[variant] = Shape(
            entry.integer("parameters", minimum=1),
            entry.integer("embed_dim", minimum=1),
            entry.integer("global_attention_heads", minimum=1),
        )
    models = fields.fields("models")
    for variant in OTHER_MODELS:
        entry = models.fields(variant)
        check_source(entry, sources)
        counts = (entry.integer(f"{what}parameters", minimum=1) for what in ("", "picture_"))
        shapes[variant] = Shape(next(counts), 0, 0, next(counts))
    models.end()
    accuracy: dict[tuple[Variant, Version], tuple[float, float]] = {}
    for entry in fields.entries("accuracy"):
        check_source(entry, sources)
        key = entry.text("variant", VARIANTS), entry.text("version", VERSIONS)
        accuracy[key] = entry.number("sa_v_test", 0, 100), entry.number("frames_per_second", 0.01)
    ablation = [
        (entry.integer("resolution", minimum=1), entry.number("mose_dev", 0, 100))
        for entry in fields.entries("resolution_ablation")
    ]
    object_cost, offload_cost = _object_costs(fields)
    variants.end()
    if len(accuracy) != len(VARIANTS) * len(VERSIONS):
        raise fields.complaint("a variant or version is missing", "Take the catalogue of this release.")
    return Catalog(
        shapes,
        accuracy,
        fields.integer("native_resolution", minimum=32),
        sorted(ablation),
        _speeds(fields, sources),
        object_cost,
        offload_cost,
        {
            (entry.text("variant", VARIANTS), entry.text("version", VERSIONS)): entry.number("sa_23_one_click", 0, 100)
            for entry in fields.entries("image_accuracy")
        },
        tuple(_published_speeds(fields, titles)),
    )


def _published_speeds(fields: Fields, titles: Mapping[str, str]) -> Iterator[PublishedSpeed]:
    for entry in fields.entries("accuracy"):
        speed, source = entry.number("frames_per_second", 0.01), titles[entry.text("source")]
        variant, version = entry.text("variant", VARIANTS), entry.text("version", VERSIONS)
        yield PublishedSpeed(README_GPU, "compiled", variant, version, 1024, speed, source)
    for key, unit in (("eager_speed", "milliseconds"), ("speeds", None)):
        for entry in fields.entries(key):
            check_source(entry, set(titles))
            gpu = EAGER_GPU if unit else entry.text("gpu")
            mode = "eager" if unit else entry.text("mode", SPEED_MODES)
            per_frame = (unit or entry.text("unit", SPEED_UNITS)) == "milliseconds"
            values = entry.fields(unit or "at")
            for side in values.names():
                value = values.number(side, 0.01)
                speed, source = 1000 / value if per_frame else value, titles[entry.text("source")]
                yield PublishedSpeed(gpu, mode, entry.text("variant", VARIANTS), None, int(side), speed, source)


def _speeds(fields: Fields, sources: set[str]) -> dict[Variant, list[tuple[int, float]]]:
    speeds = {}
    for entry in fields.entries("eager_speed"):
        check_source(entry, sources)
        table = entry.fields("milliseconds")
        speeds[entry.text("variant", VARIANTS)] = [(side, table.number(str(side), 0.01)) for side in (256, 512, 1024)]
    # Small is not among the published times; its encoder is tiny's with four more blocks.
    speeds.setdefault("small", speeds["tiny"])
    return speeds


def _object_costs(fields: Fields) -> tuple[float, float]:
    """(time of a further object, time with the memory bank on the host), relative to one object on the GPU."""
    times = {
        entry.integer("objects", 1): (1 / entry.number("on_gpu", 0.01), 1 / entry.number("offloaded", 0.01))
        for entry in fields.entries("object_speed")
    }
    if not {1, 2} <= set(times):
        raise fields.complaint(
            "object_speed lacks one or two objects", "Take the file of this release.", "object_speed"
        )
    return times[2][0] / times[1][0] - 1, times[1][1] / times[1][0]


def check_source(entry: Fields, sources: set[str]) -> None:
    """Raises FileError where an entry's source is not among those listed."""
    source = entry.text("source")
    if source not in sources:
        raise entry.complaint(f"the source {source!r} is not listed", "Add it under sources.", "source")


def _interpolate(points: Sequence[tuple[int, float]], side: float) -> float:
    """Piecewise linear in log2(side); the outer pieces go on beyond the ends."""
    x = math.log2(side)
    pairs = list(pairwise(points))
    (a, ya), (b, yb) = next((pair for pair in pairs if side <= pair[1][0]), pairs[-1])
    share = (x - math.log2(a)) / (math.log2(b) - math.log2(a))
    return ya + share * (yb - ya)
