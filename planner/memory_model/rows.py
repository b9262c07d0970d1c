"""Measurements as rows that the memory model is fitted to or judged by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from planner.catalog import Catalog, load_catalog
from planner.domain import Configuration, Workload
from planner.measurement import Measurement
from planner.memory_model import arrays
from planner.memory_model.beyond import NO_SCORES, Scores, math_scores
from planner.memory_model.features import SCALAR, Quantities, features
from planner.memory_model.laws import OTHER_PROGRAM, Key, generation_of, name_of
from planner.memory_model.terms import OTHER_RUNTIME, WIDTH_OF, quantities, runtime_of
from planner.profiles.rehearsed import RehearsedRun
from planner.words import ProfileKind, Runtime


@dataclass(frozen=True)
class Row:
    """One run: what was run, and its bytes."""

    id: str
    runtime: Runtime
    configuration: Configuration
    workload: Workload
    capability: tuple[int, int] | None
    """Of the GPU; None where nobody said."""
    kind: ProfileKind
    """Of the profile: measured, published or rehearsed."""
    use: str
    phases: dict[str, int]
    """Allocated bytes at the peak of each phase, where known."""
    allocated: int | None
    reserved: int | None
    least: int | None
    """Reserved bytes with which it still completes, where they were sought."""
    context: int | None
    total: int | None
    """Of the process; what is known of allocated, reserved and total depends on the source."""
    tensors: int | None
    """Live tensors at the peak, without rounding and workspaces."""
    rounding: int
    """Half a step of what the source rounds to."""
    gpu: str | None
    versions: tuple[tuple[str, str | None], ...]
    """Of torch and of the driver, as the source gives them."""
    campaign: bool = False
    """Whether it is of the rehearsals that the laws rest on; a user's own say nothing of a GPU and correct nothing."""

    @property
    def group(self) -> Key:
        """Runtime, task, width and generation: what shares its laws."""
        generation = OTHER_PROGRAM if self.runtime == OTHER_RUNTIME else generation_of(self.capability)
        return self.runtime, self.workload.task, WIDTH_OF[self.configuration.precision], generation

    @property
    def shape(self) -> tuple[int, int]:
        """The resolution, shorter side first: a picture on its side takes as many bytes."""
        return min(self.configuration.resolution), max(self.configuration.resolution)

    @property
    def name(self) -> str:
        """See coefficients.name_of."""
        return name_of(self.configuration, self.workload, self.capability or (0, 0))

    @cached_property
    def quantities(self) -> Quantities:
        """The numbers that features are made of."""
        return quantities(self.configuration, self.workload)

    @cached_property
    def features(self) -> dict[str, Any]:
        """See planner.memory_model.features."""
        return features(self.runtime, self.workload.task, self.quantities, SCALAR)

    @cached_property
    def scores(self) -> Scores:
        """Of math attention."""
        if self.configuration.attention != "math":
            return NO_SCORES
        heads = load_catalog().shapes[self.configuration.variant].global_attention_heads
        return math_scores(self.workload.task, self.quantities, heads, SCALAR)

    def weights(self, catalog: Catalog) -> int:
        """Bytes of the weights on the GPU."""
        parameters = catalog.shapes[self.configuration.variant].parameters
        return int(arrays.weights(self.runtime, self.workload.task, parameters, arrays.WEIGHT_BYTES[self.group[2]]))


def rehearsed_rows(runs: Iterable[RehearsedRun], versions: Mapping[str, str]) -> list[Row]:
    """Rehearsed runs as rows."""
    return [
        Row(
            id=f"rehearsed/{run.runtime} {run.workload.task} {run.configuration.precision} "
            + name_of(run.configuration, run.workload, run.capability),
            runtime=run.runtime,
            configuration=run.configuration,
            workload=run.workload,
            capability=run.capability,
            kind="rehearsed",
            use=run.use,
            phases=dict(run.phases),
            allocated=run.allocated_bytes,
            reserved=run.reserved_bytes,
            least=run.least_bytes,
            context=None,
            total=None,
            tensors=None,
            rounding=0,
            gpu=None,
            versions=tuple(versions.items()),
            campaign=True,
        )
        for run in runs
    ]


def rows_of(measurements: Iterable[Measurement]) -> list[Row]:
    """The runs among measurements: what names a variant, resolution and precision and gives a peak in bytes."""
    return [row for row in map(_row, measurements) if row is not None]


def _capability(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    major, minor = text.split(".")
    return int(major), int(minor)


def _row(m: Measurement) -> Row | None:
    if m.use == "reference" or not (m.variant and m.resolution and m.precision):
        return None
    peaks = [figure for figure in m.figures if figure.of == "peak" and figure.relation == "equal"]
    whole = {figure.metric or figure.read_as: figure for figure in peaks if figure.phase is None}
    if not {"allocated", "total"} & set(whole):
        return None
    configuration = Configuration(
        variant=m.variant,
        version=m.version or "2.1",
        resolution=m.resolution,
        precision=m.precision,
        attention=m.attention or "auto",
        object_batch=m.object_batch or 1,
        bounded_memory_bank=m.runtime != "stock" and m.bounded_memory_bank is not False,
        offload_video=m.offload_video is True,
        offload_state=m.offload_state is True,
    )
    # A source that names no frame size is taken to have worked at the resolution's own size.
    workload = Workload(task=m.task, objects=m.objects or 1, frames=m.frames, frame_size=m.frame_size or m.resolution)
    found = {name: figure.bytes for name, figure in whole.items()}
    return Row(
        id=f"{m.profile}/{m.id}",
        runtime=m.runtime or runtime_of(configuration),
        configuration=configuration,
        workload=workload,
        capability=_capability(m.environment.capability),
        kind=m.kind,
        use=m.use,
        phases={f.phase: f.bytes for f in peaks if f.phase is not None and f.metric == "allocated"},
        allocated=found.get("allocated"),
        reserved=found.get("reserved"),
        least=None,
        context=found.get("context"),
        total=found.get("total"),
        tensors=found.get("tensors"),
        rounding=max(figure.rounding_bytes for figure in whole.values()),
        gpu=m.environment.gpu if m.kind == "measured" else None,
        versions=(("torch", m.environment.torch), ("driver", m.environment.driver)),
    )
