"""Measurements as rows that the memory model is fitted to or judged by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from planner.catalog import Catalog, load_catalog
from planner.memory_model import arrays
from planner.memory_model.beyond import NO_SCORES, Scores, math_scores
from planner.memory_model.features import SCALAR, Quantities, features
from planner.memory_model.laws import OTHER_PROGRAM, Key, generation_of_row, whose
from planner.memory_model.terms import OTHER_RUNTIME, WIDTH_OF, quantities
from planner.nouns.measurement import Measurement
from planner.nouns.run import Run, Usage, name_of
from planner.nouns.words import OTHER_RUNTIMES, ProfileKind
from planner.profiles.conversion import run_of, usage_of
from planner.profiles.rehearsed import RehearsedRun


@dataclass(frozen=True)
class Row:
    """One run: what was run, and its bytes."""

    id: str
    run: Run
    usage: Usage
    capability: tuple[int, int] | None
    """Compute capability of the GPU; None where nobody said."""
    kind: ProfileKind
    """The kind of the profile: measured, published or rehearsed."""
    use: str
    tensors: int | None
    """Live tensors at the peak, without rounding and workspaces."""
    rounding: int
    """Half a step of what the source rounds to."""
    gpu: str | None
    versions: tuple[tuple[str, str | None], ...]
    """Versions of torch and of the driver, as the source gives them."""
    campaign: bool = False
    """Whether it is of the rehearsals that the laws rest on; a user's own say nothing of a GPU and correct nothing."""

    @property
    def group(self) -> Key:
        """Whose laws, task, width and generation: what shares them."""
        runtime, c = self.run.runtime, self.run.configuration
        generation = OTHER_PROGRAM if runtime == OTHER_RUNTIME else generation_of_row(runtime, self.capability)
        return whose(runtime, c.variant), self.run.workload.task, WIDTH_OF[c.precision], generation

    @property
    def shape(self) -> tuple[int, int]:
        """The resolution, shorter side first: a picture on its side takes as many bytes."""
        return min(self.run.configuration.resolution), max(self.run.configuration.resolution)

    @property
    def name(self) -> str:
        """See planner.nouns.plan.name_of."""
        return name_of(self.run.configuration, self.run.workload, self.capability or (0, 0))

    @cached_property
    def quantities(self) -> Quantities:
        """The numbers that features are made of."""
        return quantities(self.run.configuration, self.run.workload, self.run.runtime, self.run.transformers)

    @cached_property
    def features(self) -> dict[str, Any]:
        """See planner.memory_model.features."""
        return features(self.run.runtime, self.run.workload.task, self.quantities, SCALAR)

    @cached_property
    def scores(self) -> Scores:
        """The scores of math attention."""
        if self.run.configuration.attention != "math":
            return NO_SCORES
        heads = load_catalog().shapes[self.run.configuration.variant].global_attention_heads
        return math_scores(self.run.workload.task, self.quantities, heads, SCALAR)

    def weights(self, catalog: Catalog) -> int:
        """Bytes of the weights on the GPU."""
        shape = catalog.shapes[self.run.configuration.variant]
        item_bytes = arrays.weight_bytes(self.run.runtime, self.group[2])
        return int(arrays.weights_of(shape, self.run.runtime, self.run.workload.task, item_bytes))


def rehearsed_rows(runs: Iterable[RehearsedRun], versions: Mapping[str, str]) -> list[Row]:
    """Rehearsed runs as rows."""
    return [
        Row(
            id=f"rehearsed/{_name(one)}",
            run=one.run,
            usage=one.usage,
            capability=one.capability,
            kind="rehearsed",
            use=one.use,
            tensors=None,
            rounding=0,
            gpu=None,
            versions=tuple(versions.items()),
            campaign=True,
        )
        for one in runs
    ]


def _name(one: RehearsedRun) -> str:
    if one.run.runtime in OTHER_RUNTIMES:  # whose bytes depend on how they are called, too
        return f"{one.run.id}-sm{one.capability[0]}{one.capability[1]}"
    named = name_of(one.run.configuration, one.run.workload, one.capability)
    return f"{one.run.runtime} {one.run.workload.task} {one.run.configuration.precision} {named}"


def rows_of(measurements: Iterable[Measurement]) -> list[Row]:
    """The runs among measurements: what names a variant, resolution and precision and gives a peak in bytes."""
    return [row for row in map(_row, measurements) if row is not None]


def _capability(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    major, minor = text.split(".")
    return int(major), int(minor)


def _row(m: Measurement) -> Row | None:
    run = run_of(m)
    if m.use == "reference" or run is None:
        return None
    peaks = [figure for figure in m.figures if figure.of == "peak" and figure.relation == "equal"]
    whole = {figure.metric or figure.read_as: figure for figure in peaks if figure.phase is None}
    if not {"allocated", "total"} & set(whole):
        return None
    return Row(
        id=f"{m.profile}/{m.id}",
        run=run,
        usage=usage_of(peaks),
        capability=_capability(m.environment.capability),
        kind=m.kind,
        use=m.use,
        tensors=whole["tensors"].bytes if "tensors" in whole else None,
        rounding=max(figure.rounding_bytes for figure in whole.values()),
        gpu=m.environment.gpu if m.kind == "measured" else None,
        versions=(("torch", m.environment.torch), ("driver", m.environment.driver)),
    )
