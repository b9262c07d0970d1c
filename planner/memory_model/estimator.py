"""Estimates: one configuration with all its reasons, or a table of a hundred thousand at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

from planner.catalog import Catalog, load_catalog
from planner.errors import UsageError
from planner.memory_model import arrays, host
from planner.memory_model.beyond import NO_SCORES, extrapolated, is_beyond, is_usual, math_scores
from planner.memory_model.coefficients import load_coefficients
from planner.memory_model.contexts import Context, context_on
from planner.memory_model.exact import Key, Known, key_of, phases_of
from planner.memory_model.features import SCALAR, Operations, Quantities, features
from planner.memory_model.laws import KINDS, Coefficients, Correction, Group, Rehearsed, generation_of, whose
from planner.memory_model.releases import BUILT, Difference, Releases, releases_as_fitted, releases_of
from planner.memory_model.terms import (
    AS_USUAL,
    CUDA_CONTEXT,
    WIDTH_OF,
    Ranges,
    Terms,
    Totals,
    origin_of,
    phase_of,
    quantities,
    reserved_of,
    totals_of,
)
from planner.nouns.estimate import Component, Estimate
from planner.nouns.request import Gpu
from planner.nouns.run import Configuration, Run, Transformers, Workload, bounds_memory, name_of, runtime_of
from planner.nouns.words import OTHER_RUNTIMES, PositionTables, Runtime, Task, Variant

if TYPE_CHECKING:
    import numpy

MOST_FEATURES = 4096
"""That are kept: a plan asks for some hundred."""
MOST = "12.0"
"""The generation that takes most: what bounds a run on a GPU that nobody named."""
OTHER_GPU = 0.05
"""Assumed, relative to the total: what rows measured on another GPU widen the bound by."""


class MemoryModel:
    """Predicts bytes from fitted coefficients and the shapes of the variants."""

    def __init__(
        self,
        coefficients: Coefficients | None = None,
        catalog: Catalog | None = None,
        correction: Mapping[Runtime, Correction] | None = None,
        context: Context | None = None,
        releases: Releases | None = None,
    ) -> None:
        self.coefficients = coefficients or load_coefficients()
        self.catalog = catalog or load_catalog()
        self._known_curves: dict[tuple[int, str, tuple[int, int]], tuple[Mapping[int, float], bool]] = {}
        self._known_features: dict[tuple[Runtime, Task, Quantities], dict[str, Any]] = {}
        self._known_differences: dict[tuple[Any, ...], Difference] = {}
        self.corrections = dict(correction or {})
        """By runtime: what was measured on the GPU that is planned for."""
        self.context = context
        """On that GPU; None where none is meant, and the capability says what there is to say."""
        self.releases = releases or releases_as_fitted(self.figures_of)
        """Whose rules count; of None those that the figures are of."""
        self.known: Mapping[Key, Known] = {}
        """Runs whose bytes were found: they go before the laws."""

    @property
    def figures_of(self) -> str:
        """The version of torch that the figures are of."""
        return self.coefficients.versions["torch"]

    def on(
        self,
        gpu: Gpu | str | None,
        budget_bytes: int | None = None,
        torch: str | None = None,
        position_tables: PositionTables = BUILT,
    ) -> MemoryModel:
        """This model for a GPU, or one of that name: its context, and what was measured there, else on others.

        Of None for any GPU that a budget of so many bytes may be of. torch: the version whose rules count, such as
        "2.11"; None is the installed one, else the newest known. position_tables: of POSITION_TABLES, for stock.
        """
        known = self.coefficients.corrections
        here: dict[Runtime, Correction] = {}
        if gpu and known:
            name = gpu if isinstance(gpu, str) else gpu.name
            from planner.catalog.gpu_names import same_card  # most plans know of no measurement

            here = {one.runtime: one for one in known if same_card(one.gpu, name)}
        # Of several others the one with most rows; sorted() keeps the order of names among equals.
        elsewhere = {one.runtime: _from_elsewhere(one) for one in sorted(known, key=lambda one: one.margin.rows)}
        found = {**elsewhere, **here}
        context = context_on(gpu, budget_bytes=budget_bytes)
        releases = releases_of(self.figures_of, torch, position_tables)
        return self._alike(found, context, releases)

    def knowing(self, known: Mapping[Key, Known]) -> MemoryModel:
        """This model with runs whose bytes were found; see planner.memory_model.exact.key_of."""
        model = self._alike(self.corrections, self.context, self.releases)
        model.known = known
        return model

    def _alike(
        self, corrections: Mapping[Runtime, Correction], context: Context | None, releases: Releases
    ) -> MemoryModel:
        """A model by the same laws, which shares what was worked out of them."""
        model = MemoryModel(self.coefficients, self.catalog, corrections, context, releases)
        model._known_curves, model._known_features = self._known_curves, self._known_features
        return model

    def estimate(
        self,
        configuration: Configuration,
        workload: Workload,
        capability: tuple[int, int] | None = None,
        runtime: Runtime | None = None,
        transformers: Transformers = AS_USUAL,
    ) -> Estimate:
        """Bytes at the peak by phase and component. `capability` sets workspace and context, if known.

        `runtime` is whose code runs; left out it follows from the memory bank: bounded is our own, unbounded stock.
        `transformers`: how that runtime is called.
        Raises UsageError for a clip without end on an unbounded memory bank, which would grow without end, and for
        what a published re-implementation was not measured at.
        """
        runtime = runtime or runtime_of(configuration)
        group = self._group(runtime, configuration, workload, generation_of(capability))
        q = quantities(configuration, workload, runtime, transformers)
        terms = self._terms(group, configuration, q, capability)
        totals = self.totals(configuration, workload, capability, runtime, transformers)
        sizes = {name: terms.allocated(name, law) for name, law in group.phases.items()}
        highest = max(sizes, key=sizes.__getitem__)
        # A run that was rehearsed is known to the byte, which its highest phase then takes; no other takes more.
        sizes = {name: min(size, totals.allocated) for name, size in sizes.items()} | {highest: totals.allocated}
        phases = tuple(phase_of(name, size, terms, group, configuration) for name, size in sizes.items())
        because, origin = extrapolated(group, configuration, workload), origin_of(group, terms.ratios)
        if correction := self.corrections.get(runtime):
            because += correction.notes
        known = self._found(group, configuration, workload, capability)
        if known is not None:
            phases, because, origin = phases_of(known, phases), (), known.exact.method
        if terms.context.note:
            because += (terms.context.note,)
        peak = max(phases, key=lambda phase: phase.allocated_bytes)
        found = host.host_components(configuration, workload, runtime, self.catalog, transformers=transformers)
        cache = Component("allocator cache", totals.reserved - totals.allocated, origin)
        band = terms.context
        context = Component(CUDA_CONTEXT, totals.context, band.provenance)
        return Estimate(
            allocated_bytes=totals.allocated,
            reserved_bytes=totals.reserved,
            context_bytes=totals.context,
            total_bytes=totals.total,
            upper_bytes=totals.upper,
            least_bytes=totals.least,
            context_low_bytes=band.low_bytes,
            context_high_bytes=band.high_bytes,
            components=tuple(part for part in (*peak.components, cache, context) if part.bytes),
            phases=phases,
            peak_phase=peak.name,
            extrapolated=bool(because),
            extrapolated_because=because,
            host_components=found or (),
            host_bytes_reason=None if found else host.UNKNOWN_RUNTIME,
            exact=known.exact if known else None,
        )

    def host_bytes(
        self, configuration: Configuration, workload: Workload, runtime: Runtime | None = None
    ) -> int | None:
        """Bytes in the host's memory, as planning asks for them; None where they are not known."""
        return host.host_bytes(configuration, workload, runtime or runtime_of(configuration), self.catalog)

    def totals(
        self,
        configuration: Configuration,
        workload: Workload,
        capability: tuple[int, int] | None = None,
        runtime: Runtime | None = None,
        transformers: Transformers = AS_USUAL,
    ) -> Totals:
        """Only the sums: what planning asks for thousands of times."""
        found = self._sums(configuration, workload, capability, runtime, transformers)
        if workload.streams == 1:
            return found
        # One clip may have been rehearsed where several are predicted: more of them never take less.
        alone = self._sums(configuration, replace(workload, streams=1), capability, runtime, transformers)
        return Totals(*map(max, found, alone))

    def _sums(
        self,
        configuration: Configuration,
        workload: Workload,
        capability: tuple[int, int] | None,
        runtime: Runtime | None,
        transformers: Transformers,
    ) -> Totals:
        runtime = runtime or runtime_of(configuration)
        group = self._group(runtime, configuration, workload, generation_of(capability))
        exact = self._found(group, configuration, workload, capability)
        if exact is not None:
            share = self.coefficients.least[group.whose, group.task]
            return totals_of(exact, self._context(group, capability), share)
        q = quantities(configuration, workload, runtime, transformers)
        terms = self._terms(group, configuration, q, capability)
        if capability is not None:
            return self._totals(group, terms, self._rehearsed(group, configuration, workload, capability))
        found = self._totals(group, terms)
        # Nobody named the GPU: likely one of most cards, and bounded by those that take most.
        other = self._group(runtime, configuration, workload, MOST)
        if other is group:
            return found
        terms = self._terms(other, configuration, q, capability)
        ranges = terms.ranges(other)
        upper = self._bound(other, terms, reserved_of(other, terms, found.allocated, ranges), ranges)
        return found._replace(upper=max(found.upper, upper + terms.context.high_bytes))

    def totals_of(self, run: Run, capability: tuple[int, int] | None = None) -> Totals:
        """The sums of a run."""
        return self.totals(run.configuration, run.workload, capability, run.runtime, run.transformers)

    def predict(
        self,
        columns: Mapping[str, Any],
        task: Task,
        objects: Any = 1,
        frames: Any = None,
        frame_pixels: Any = 1080 * 1920,
    ) -> dict[str, numpy.ndarray]:
        """Bytes of a whole table at once: 1-D int64 arrays by name, as long as the longest column.

        `columns`: variant, precision (arrays of words or one word) and height, width (multiples of 32), and where
        they differ from a Configuration's defaults attention, object_batch, bounded_memory_bank, offload_video,
        offload_state. `objects`, `frames` (None or 0: without end) and `frame_pixels` are numbers or columns.
        """
        from planner.memory_model import tables

        return tables.predict(self, columns, task, objects, frames, frame_pixels)

    def _group(self, runtime: Runtime, configuration: Configuration, workload: Workload, generation: str) -> Group:
        if workload.frames is None and workload.task == "video" and not bounds_memory(runtime):
            raise UsageError(
                "A clip without end has no peak on an unbounded memory bank: it keeps every frame.",
                "Give a number of frames, or ask for the runtime own, whose memory bank is bounded.",
            )
        group = self.coefficients.group(
            whose(runtime, configuration.variant), workload.task, WIDTH_OF[configuration.precision], generation
        )
        if group is None:
            raise UsageError(
                f"No law predicts what {runtime} takes for {workload.task} in {configuration.precision}.",
                f"Trace it: sam2-plan simulate --runtime {runtime} --task {workload.task}"
                if runtime in OTHER_RUNTIMES
                else "The published one was measured for image and video, in float16.",
            )
        return group

    def _terms(
        self, group: Group, configuration: Configuration, q: Quantities, capability: tuple[int, int] | None
    ) -> Terms:
        shape = self.catalog.shapes[configuration.variant]
        correction = self.corrections.get(group.runtime)
        scores = NO_SCORES
        math = configuration.attention == "math"
        if math:
            heads = shape.global_attention_heads
            scores = math_scores(group.task, q, heads, SCALAR)
        grown = self._features(group.runtime, group.task, q)
        curves, run = self._curves(group, configuration.variant, configuration.resolution)
        return Terms(
            curves=curves,
            quantities=q,
            weights=arrays.weights_of(shape, group.runtime, group.task, group.item_bytes),
            grown=grown,
            usual=is_usual(group.task, group.runtime, q, grown, run, math),
            apart=self._apart(group, configuration.variant, q.pixels, capability),
            scores=scores,
            ratios=(correction.allocated_ratio, correction.reserved_ratio) if correction else None,
            context=self._context(group, capability),
        )

    def _context(self, group: Group, capability: tuple[int, int] | None) -> Context:
        correction = self.corrections.get(group.runtime)
        if correction and (size := correction.context_bytes) is not None:
            return Context(size, size, size, "measured")
        return self.context or context_on(capability=capability)

    def _found(
        self, group: Group, configuration: Configuration, workload: Workload, capability: tuple[int, int] | None
    ) -> Known | None:
        if not self.known:  # as mostly: making a key costs as much as a prediction
            return None
        return self.known.get(key_of(group.runtime, configuration, workload, capability))

    def _rehearsed(
        self, group: Group, configuration: Configuration, workload: Workload, capability: tuple[int, int]
    ) -> Rehearsed | None:
        """The very run, if it was rehearsed by the rules that count."""
        ran = group.known.get((configuration.variant, configuration.resolution)) if self.releases.as_fitted else None
        return ran.get(name_of(configuration, workload, capability)) if ran else None

    def _features(self, runtime: Runtime, task: Task, q: Quantities) -> dict[str, Any]:
        """Variants and precisions share them, so they are worked out once."""
        known = self._known_features.get((runtime, task, q))
        if known is None:
            if len(self._known_features) >= MOST_FEATURES:
                self._known_features.clear()
            known = self._known_features[runtime, task, q] = features(runtime, task, q, SCALAR)
        return known

    def _apart(self, group: Group, variant: Variant, pixels: int, capability: tuple[int, int] | None) -> Difference:
        """What the releases that count take more; most models differ in none, and then it hangs on no resolution."""
        key = id(group), variant, capability, pixels if self.releases.tables != BUILT else 0
        known = self._known_differences.get(key)
        if known is None:
            known = self._known_differences[key] = self.releases.difference(
                group.runtime, group.task, group.width, variant, pixels, capability, group.generation
            )
        return known

    def _curves(self, group: Group, variant: Variant, resolution: tuple[int, int]) -> tuple[Mapping[int, float], bool]:
        """What the laws of a group say, by their ids, and whether that was run; the ways of running share them."""
        key = id(group), variant, resolution
        known = self._known_curves.get(key)
        if known is None:
            height, width = resolution
            place = group.places.get((min(resolution), max(resolution)))
            sizes = {id(law): law.at(variant, place, height * width) for law in group.laws}
            known = self._known_curves[key] = sizes, group.was_run(variant, resolution)
        return known

    def _totals(self, group: Group, terms: Terms, known: Rehearsed | None = None) -> Totals:
        allocated = terms.highest(group)
        ranges = terms.ranges(group)
        reserved = max(allocated, reserved_of(group, terms, allocated, ranges))
        least = allocated + ceil((reserved - allocated) * self.coefficients.least[group.whose, group.task])
        context = terms.context
        if known is not None and not terms.ratios:
            allocated, reserved = known.allocated, known.reserved
            upper, least = reserved, least if known.least is None else known.least
        else:
            upper = self._bound(group, terms, reserved, ranges)
        least = min(max(least, allocated), reserved)
        return Totals(allocated, reserved, context.bytes, upper + context.high_bytes, least + context.bytes)

    def _bound(self, group: Group, terms: Terms, reserved: int, ranges: Ranges | None) -> int:
        """The bound of reserved bytes."""
        return terms.widened(reserved, ranges, self.widening(group, terms.quantities, terms.usual, SCALAR))

    def reserved_if(self, run: Run, capability: tuple[int, int] | None, share: float) -> int:
        """The bound of the reserved bytes of a run by its laws, if the margin were that share."""
        group = self._group(run.runtime, run.configuration, run.workload, generation_of(capability))
        q = quantities(run.configuration, run.workload, run.runtime, run.transformers)
        terms = self._terms(group, run.configuration, q, capability)
        allocated, ranges = terms.highest(group), terms.ranges(group)
        return terms.widened(max(allocated, reserved_of(group, terms, allocated, ranges)), ranges, share)

    def usual(self, run: Run, capability: tuple[int, int] | None) -> bool:
        """Whether a run is of the kind that is known best; see beyond.is_usual."""
        group = self._group(run.runtime, run.configuration, run.workload, generation_of(capability))
        q = quantities(run.configuration, run.workload, run.runtime, run.transformers)
        return self._terms(group, run.configuration, q, capability).usual

    def stepping_pixels(self, runtime: Runtime, task: Task) -> int:
        """The largest resolution that was run: up to there bytes step with the resolution."""
        group = self.coefficients.group(runtime, task, "half", generation_of(None))
        return group.largest_pixels if group else 0

    def widening(self, group: Group, q: Quantities, usual: Any, ops: Operations) -> Any:
        """What the upper bound adds for what rows that were held out show, as a share of the reserved bytes."""
        correction = self.corrections.get(group.runtime)
        if correction:
            share: Any = correction.margin.ratio
        else:
            of = (self.coefficients.margins[group.whose, group.task, kind].ratio for kind in KINDS)
            share = ops.where(usual, *of)
        return ops.where(is_beyond(group, q), share + self.coefficients.beyond, share)


def _from_elsewhere(one: Correction) -> Correction:
    """A correction for a GPU that it was not measured on: tensors are the same, the context is not."""
    return replace(
        one,
        context_bytes=None,
        margin=replace(one.margin, ratio=one.margin.ratio + OTHER_GPU),
        notes=(*one.notes, f"measured on {one.gpu}, not on this GPU; the upper bound is wider for it"),
    )
