"""Estimates: one configuration with all its reasons, or a table of a hundred thousand at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from planner.catalog import Catalog, load_catalog
from planner.domain import Component, Configuration, Estimate, Phase, Workload
from planner.errors import UsageError
from planner.memory_model import formulas
from planner.memory_model.coefficients import Coefficients, load_coefficients
from planner.memory_model.formulas import SCALAR, Operations, Part, Quantities

if TYPE_CHECKING:
    import numpy

ENDLESS_FRAMES = 10**9
"""Stands for a clip without end: more frames than any bounded memory bank keeps."""
HOPPER_WORKSPACE_CAPABILITIES = (9, 10, 12)
"""aten/src/ATen/cuda/CublasHandlePool.cpp, getChosenWorkspaceSize."""


class Totals(NamedTuple):
    """The sums of one configuration: bytes, or columns of bytes."""

    allocated: Any
    reserve: Any
    """Reserved beyond allocated."""
    context: Any
    upper: Any

    @property
    def total(self) -> Any:
        """What the process takes on the GPU."""
        return self.allocated + self.reserve + self.context


class MemoryModel:
    """Predicts bytes from fitted coefficients and the shapes of the variants."""

    def __init__(self, coefficients: Coefficients | None = None, catalog: Catalog | None = None) -> None:
        self.coefficients = coefficients or load_coefficients()
        self.catalog = catalog or load_catalog()

    def estimate(
        self, configuration: Configuration, workload: Workload, capability: tuple[int, int] | None = None
    ) -> Estimate:
        """Bytes at the peak by phase and component. `capability` sets the cuBLAS workspace, if known.

        Raises UsageError for a clip without end on an unbounded memory bank: it would grow without end.
        """
        phases = self._phases(configuration, workload, capability)
        totals = self._totals(phases, SCALAR)
        found = tuple(
            Phase(name=name, components=tuple(self._component(part, configuration) for part in parts if part.bytes))
            for name, parts in phases
        )
        peak = max(found, key=lambda phase: phase.allocated_bytes)
        because = self._extrapolated(configuration, workload)
        reserve = Component("allocator reserve", totals.reserve, "assumed")
        context = Component("cuda context", totals.context, "assumed")
        return Estimate(
            allocated_bytes=totals.allocated,
            reserved_bytes=totals.allocated + totals.reserve,
            context_bytes=totals.context,
            total_bytes=totals.total,
            upper_bytes=totals.upper,
            components=(*peak.components, reserve, context),
            phases=found,
            peak_phase=peak.name,
            extrapolated=bool(because),
            extrapolated_because=because,
        )

    def totals(
        self, configuration: Configuration, workload: Workload, capability: tuple[int, int] | None = None
    ) -> Totals:
        """Only the sums: what planning asks for thousands of times."""
        return self._totals(self._phases(configuration, workload, capability), SCALAR)

    def predict(
        self,
        columns: Mapping[str, Any],
        task: str,
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

    def _phases(
        self, configuration: Configuration, workload: Workload, capability: tuple[int, int] | None
    ) -> list[tuple[str, list[Part]]]:
        if workload.frames is None and workload.task == "video" and not configuration.bounded_memory_bank:
            raise UsageError(
                "A clip without end has no peak on an unbounded memory bank: it keeps every frame.",
                "Give a number of frames, or bound the memory bank.",
            )
        q = self._quantities(configuration, workload, capability)
        return list(formulas.phases(workload.task, q, self.coefficients, SCALAR))

    def _quantities(
        self, configuration: Configuration, workload: Workload, capability: tuple[int, int] | None
    ) -> Quantities:
        shape = self.catalog.shapes[configuration.variant]
        precision = configuration.precision
        return Quantities(
            parameters=shape.parameters,
            embed_dim=shape.embed_dim,
            heads=shape.global_attention_heads,
            height=configuration.resolution[0],
            width=configuration.resolution[1],
            half_weights=precision in ("float16", "bfloat16"),
            autocast=precision.startswith("autocast"),
            measured_precision=precision in self.coefficients.measured_precisions,
            math_attention=configuration.attention == "math",
            object_batch=configuration.object_batch,
            bounded=configuration.bounded_memory_bank,
            stock=not configuration.bounded_memory_bank,
            offload_video=configuration.offload_video,
            offload_state=configuration.offload_state,
            objects=workload.objects,
            frames=workload.frames or ENDLESS_FRAMES,
            frame_pixels=workload.frame_size[0] * workload.frame_size[1],
            workspace=workspace_bytes(capability),
        )

    def _totals(self, phases: list[tuple[str, list[Part]]], ops: Operations) -> Totals:
        """The peak is the largest phase; the reserve follows the largest sum of what makes it grow."""
        c = self.coefficients
        allocated: Any = 0
        upper: Any = 0
        slack: Any = 0
        slack_upper: Any = 0
        for _, parts in phases:
            sums: list[Any] = [0, 0, 0, 0]
            for part in parts:
                sums[0] += part.bytes
                sums[1] += part.upper
                if part.slack:
                    sums[2] += part.bytes
                    sums[3] += part.upper
            allocated, upper = ops.maximum(allocated, sums[0]), ops.maximum(upper, sums[1])
            slack, slack_upper = ops.maximum(slack, sums[2]), ops.maximum(slack_upper, sums[3])
        reserve = ops.ceil(slack * c.reserve_ratio)
        overhead_upper = (slack_upper * c.reserve_ratio + c.context_bytes) * (1 + c.margin_overhead)
        return Totals(allocated, reserve, c.context_bytes, ops.ceil(upper + overhead_upper))

    @staticmethod
    def _component(part: Part, configuration: Configuration) -> Component:
        provenance = part.provenance
        if part.name == "activations" and configuration.precision not in ("float16", "bfloat16"):
            provenance = "assumed" if configuration.precision.startswith("autocast") else "derived"
        return Component(part.name, part.bytes, provenance)

    def _extrapolated(self, configuration: Configuration, workload: Workload) -> tuple[str, ...]:
        """Why the estimate lies outside what was measured; empty if it does not."""
        c = self.coefficients
        height, width = sorted(configuration.resolution)
        pixels = [h * w for h, w in c.measured_resolutions]
        largest = c.measured_resolutions[-1]
        reasons = []
        if configuration.precision not in c.measured_precisions:
            reasons.append(f"no measurement in {configuration.precision}")
        if workload.task == "automask":
            reasons.append("no measurement of automatic masks")
        if height * width < pixels[0]:
            reasons.append("below the measured resolutions")
        if height > largest[0] or width > largest[1]:
            reasons.append("above the measured resolutions")
        if workload.task == "video" and not configuration.bounded_memory_bank:
            reasons.append("no measurement with an unbounded memory bank")
        if configuration.attention == "math":
            reasons.append("no measurement with math attention")
        if workload.task != "automask" and min(configuration.object_batch, workload.objects) > 1:
            reasons.append("no measurement of several objects in one pass")
        return tuple(reasons)


def workspace_bytes(capability: tuple[int, int] | None) -> int:
    """The cuBLAS workspace of a GPU; of most GPUs where the capability is not known."""
    if capability is not None and capability[0] in HOPPER_WORKSPACE_CAPABILITIES:
        return formulas.HOPPER_CUBLAS_WORKSPACE_BYTES
    return formulas.CUBLAS_WORKSPACE_BYTES
