"""What the laws are applied to for one configuration, and the sums and phases that this gives."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple

from planner.memory_model import arrays
from planner.memory_model.beyond import NO_SCORES, Scores, reserved_scores
from planner.memory_model.contexts import Context
from planner.memory_model.exact import Known
from planner.memory_model.features import ARRAYS, SCALAR, Operations, Quantities
from planner.memory_model.laws import LARGE_PAGE, SMALL_PAGE, Group, Law
from planner.memory_model.releases import Difference
from planner.nouns.estimate import Component, Phase
from planner.nouns.run import Configuration, Transformers, Workload
from planner.nouns.words import OTHER_MODELS, OTHER_RUNTIMES, Precision, ProvenanceKind, Runtime, Width

OTHER_RUNTIME: Runtime = "reimplementation"
"""The published one."""
AS_USUAL = Transformers()
ENDLESS_FRAMES = 10**9
"""Stands for a clip without end: more frames than any bounded memory bank keeps."""
WIDTH_OF: Mapping[Precision, Width] = {
    "float16": "half",
    "bfloat16": "half",
    "autocast_float16": "autocast",
    "autocast_bfloat16": "autocast",
    "float32": "float32",
}
CUDA_CONTEXT = "cuda context"
"""The component that hangs on the card."""
SCORED = {"encode": 0, "track": 1}
"""Phases in which math attention holds scores, and which of the two."""
REMAINDER = {"load": "positional tables and copies"}
"""What a law says beside weights and known arrays, by phase; elsewhere it is activations."""


class Totals(NamedTuple):
    """The sums of one configuration: bytes, or columns of bytes."""

    allocated: Any
    reserved: Any
    context: Any
    upper: Any
    least: Any
    """What it completes in, when the allocator gives back its cache."""

    @property
    def total(self) -> Any:
        """What the process takes on the GPU."""
        return self.reserved + self.context


class Ranges(NamedTuple):
    """How far the ranges of the allocator's two pools are used, where segments grow: bytes, or columns of bytes."""

    large: Any
    small: Any

    def reserved(self, ops: Operations, widened: Any = 0.0) -> Any:
        """In whole pages; `widened`: by which share more of them is used."""
        more = 1.0 + widened
        large, small = ops.ceil(self.large * more / LARGE_PAGE), ops.ceil(self.small * more / SMALL_PAGE)
        return large * LARGE_PAGE + small * SMALL_PAGE


def reserved_of(group: Group, terms: Terms, allocated: int, ranges: Ranges | None) -> int:
    """Reserved bytes in the end, no more of those allocated than any run reserved; math attention keeps more.

    allocated: at least so many, perhaps of another generation. ranges: those of the terms.
    """
    reserved = terms.reserved(group, ranges)
    most = group.most_reserved if not terms.ratios else group.most_reserved * terms.ratios[1] / terms.ratios[0]
    if reserved <= allocated * most or any(terms.scores):  # the first, mostly
        return reserved
    return min(reserved, ceil(max(allocated, terms.highest(group)) * most))


def totals_of(known: Known, context: Context, share: float) -> Totals:
    """The sums of a run that was found: nothing but the context can be more. `share` of the cache has to stay."""
    cache = ceil((known.reserved_bytes - known.allocated_bytes) * share)
    upper, least = known.reserved_upper_bytes + context.high_bytes, known.allocated_bytes + cache + context.bytes
    return Totals(known.allocated_bytes, known.reserved_bytes, context.bytes, upper, least)


class Terms(NamedTuple):
    """What the laws are applied to for one configuration. Bytes."""

    curves: Mapping[int, float]
    """What the curve of each law of the group says, by the id of the law."""
    quantities: Quantities
    weights: int
    grown: dict[str, Any]
    usual: bool
    """See beyond.is_usual."""
    apart: Difference
    """What the releases that count take more than those that the laws were fitted with."""
    scores: Scores
    ratios: tuple[float, float] | None
    """Measured: of allocated and of reserved."""
    context: Context

    def allocated(self, phase: str, law: Law) -> int:
        """Allocated bytes at the peak of a phase."""
        value = self.weights + max(0.0, self.value(law) + self.extra(phase))
        return ceil(value * self.ratios[0] if self.ratios else value)

    def highest(self, group: Group) -> int:
        """Allocated bytes at the peak of the highest phase."""
        return max(self.allocated(name, law) for name, law in group.phases.items())

    def ranges(self, group: Group) -> Ranges | None:
        """How far the pools' ranges are used; None of a group whose segments do not grow."""
        if group.small is None:
            return None
        if self.scores is NO_SCORES and not any(self.apart):  # as mostly
            beside = max(map(self.value, group.extents.values()))
        else:
            beside = max(self.value(law) + self.extra(phase) for phase, law in group.extents.items())
        return Ranges(self.weights + beside, self.value(group.small))

    def reserved(self, group: Group, ranges: Ranges | None) -> int:
        """Reserved bytes in the end. `ranges`: those of the group."""
        value: float
        if ranges is not None:
            value = ranges.reserved(SCALAR)
        else:
            assert group.reserved is not None  # one or the other
            value = self.weights + self.value(group.reserved) + self.apart.workspace + self.apart.reserved
            value += reserved_scores(self.scores, SCALAR)
        return ceil(value * self.ratios[1] if self.ratios else value)

    def widened(self, reserved: int, ranges: Ranges | None, share: float) -> int:
        """Reserved bytes and a share of them; where segments grow, of how far they are used, and in whole pages."""
        if ranges is not None and not self.ratios:
            bound: int = ranges.reserved(SCALAR, share)
            return max(reserved, bound)
        return reserved + ceil(reserved * share)

    def value(self, law: Law) -> float:
        """What a law says beside the weights."""
        curve, grown = self.curves[id(law)], self.grown
        found = curve
        for name, coefficient in law.growth.items():
            found += coefficient * grown[name]
        spill = law.spill
        if spill is None:
            return found
        spilt = spill.constant + spill.share * curve
        for name, coefficient in spill.growth.items():
            spilt += coefficient * grown[name]
        return max(found, spilt)

    def extra(self, phase: str) -> float:
        """What was not fitted: workspaces and copies by the release that counts, scores of math attention."""
        return self.apart.of(phase) + (float(self.scores[SCORED[phase]]) if phase in SCORED else 0.0)


def quantities(
    configuration: Configuration, workload: Workload, runtime: Runtime, transformers: Transformers = AS_USUAL
) -> Quantities:
    """The numbers that features are made of."""
    pixels, frames = configuration.resolution[0] * configuration.resolution[1], workload.frames or ENDLESS_FRAMES
    found = Quantities(
        pixels=pixels,
        object_batch=configuration.object_batch,
        offload_video=configuration.offload_video,
        offload_state=configuration.offload_state,
        objects=workload.remembered_objects if runtime == "own" else workload.objects,
        frames=frames,
        frame_pixels=workload.frame_size[0] * workload.frame_size[1],
    )
    if runtime not in OTHER_RUNTIMES or workload.task != "video":
        return found
    if runtime == "ultralytics":
        kept = arrays.transformers_state(configuration.variant, pixels, configuration.precision, False)
        if configuration.bounded_memory_bank:
            frames = min(frames, arrays.KEPT_BY_ULTRALYTICS)
        return found._replace(kept_bytes=kept, frames=frames)
    half = configuration.precision in ("float16", "bfloat16")
    if configuration.variant in OTHER_MODELS:
        where = "fetched_pixels" if configuration.offload_state else "held_pixels"
        found = found._replace(**{where: pixels})
    return found._replace(
        kept_bytes=arrays.transformers_state(
            configuration.variant, pixels, configuration.precision, configuration.offload_state
        ),
        frame_bytes=0 if configuration.offload_video else arrays.frames(1, pixels) / (2 if half else 1),
        given_frames=0 if transformers.streaming else frames,
        prepared=transformers.processing_device == "cuda",
    )


def phase_of(name: str, whole: int, terms: Terms, group: Group, configuration: Configuration) -> Phase:
    """A phase by component; what is neither weights nor a known array is the remainder."""
    law = group.phases[name]
    ratio = terms.ratios[0] if terms.ratios else 1.0
    counted = configuration.variant in OTHER_MODELS  # in the models of transformers, which nobody published
    parts = [Component("weights", int(terms.weights * ratio), "derived" if counted else "published")]
    for feature, coefficient in law.growth.items():
        if feature in ARRAYS:
            parts.append(Component(feature, int(coefficient * terms.grown[feature] * ratio), "derived"))
    if name in SCORED:
        parts.append(Component("attention scores", int(terms.scores[SCORED[name]] * ratio), "derived"))
    if name != "load" and terms.apart.workspace > 0:
        parts.append(Component("workspace", int(terms.apart.workspace * ratio), "published"))
    if name not in ("load", "init") and terms.apart.casts > 0:
        parts.append(Component("autocast copies", int(terms.apart.casts * ratio), "simulated"))
    rest = whole - sum(part.bytes for part in parts)
    parts.append(Component(REMAINDER.get(name, "activations"), rest, origin_of(group, terms.ratios)))
    return Phase(name=name, components=tuple(part for part in parts if part.bytes))


def origin_of(group: Group, ratios: tuple[float, float] | None) -> ProvenanceKind:
    """The provenance of what laws say, by the ratios that were measured, if any."""
    return "measured" if ratios else group.provenance
