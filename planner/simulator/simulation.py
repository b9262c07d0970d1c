"""GPU memory of a run of SAM 2, simulated: the answer and how it is found.

    simulate(task="video", variant="tiny", frames=240).total_bytes

Importing this module needs neither torch nor sam2; calling `simulate` does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from planner.catalog import load_catalog
from planner.catalog.torch_rules import said
from planner.memory_model.contexts import context_on
from planner.memory_model.host import host_components
from planner.nouns.brief import brief
from planner.nouns.estimate import Component, Phase
from planner.nouns.run import PHASES, Run, Usage
from planner.nouns.shown import shown
from planner.nouns.words import (
    Attention,
    DrivenRuntime,
    PositionTables,
    Precision,
    ProcessingDevice,
    PromptKind,
    ProvenanceKind,
    Task,
    Variant,
    Version,
)
from planner.simulator import streams
from planner.simulator.attribution import Holding, Timeline, holding_at, timeline_of
from planner.simulator.convolutions.workspaces import RULE, Answers
from planner.simulator.events import Trace
from planner.simulator.extension import Played, extend
from planner.simulator.least import least_bytes
from planner.simulator.running_out import RunningOut, running_out
from planner.simulator.settings import Progress, Traced, asked_of, checked, conditions_of, run_of, trace
from planner.wire.simulation import SIMULATION

CACHE, CONTEXT = "allocator cache", "CUDA context"
CONTEXT_NOTE = (
    "Predicted from the multiprocessors of the card most often met with the capability, or of those with so much vram."
)
_DERIVED = ("weights", "frames", "outputs")
ENDLESS_FRAMES = 300
"""Played for a clip without end: what is allocated is the same in each frame, what is reserved settles by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What the run keeps for good of each frame, in requested bytes."""

    per_frame_bytes: int
    """For each frame, with all objects. Frames of a clip that is held whole are not counted; one that is streamed in
    and kept is."""
    per_object_bytes: int
    """For each frame and object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """The GPU memory of one run, as a trace of the real code finds it, in bytes."""

    __repr__ = brief
    _repr_html_ = shown

    configuration: Mapping[str, Any]
    """What was simulated, as given to `simulate`, with the defaults filled in."""
    allocated_bytes: int
    """Highest sum of allocated blocks (torch.cuda.max_memory_allocated)."""
    reserved_bytes: int
    """What the caching allocator holds in the end (torch.cuda.max_memory_reserved)."""
    reserved_upper_bytes: int
    """reserved_bytes where copies on a second stream are given back as late as possible; elsewhere equal to it."""
    context_bytes: int
    total_bytes: int
    """reserved_bytes + context_bytes."""
    least_bytes: int
    """The smallest memory, context included, in which it completes because the allocator gives its cache back."""
    components: tuple[Component, ...]
    """The parts of total_bytes at the highest moment; they add up to it."""
    phases: tuple[Phase, ...]
    """Each at its own highest moment; their components add up to what is allocated then."""
    host_components: tuple[Component, ...]
    """What the host's memory holds; not traced, but summed up from known arrays as predictions do."""
    peak: Mapping[str, str]
    """operation, module and phase of the highest moment."""
    growth: Growth | None
    """None where the run has no frames."""
    runs_out: RunningOut | None
    """Where it ends on a GPU of `vram`; None where it does not, or none was named."""
    largest_bytes: int
    """The largest single allocation."""
    timeline: Timeline
    """Who holds memory over the traced part."""
    seconds: float
    provenance: Mapping[str, Any]

    @property
    def usage(self) -> Usage:
        """What the run would take."""
        return Usage(
            allocated_bytes=self.allocated_bytes,
            reserved_bytes=self.reserved_bytes,
            context_bytes=self.context_bytes,
            phases={phase.name: phase.allocated_bytes for phase in self.phases},
        )

    def to_dict(self) -> dict[str, Any]:
        """The simulation as plain data, as `sam2-plan simulate --format json` prints it; without the timeline."""
        return {name: value for name, value in SIMULATION.write(self).items() if name not in ("schema_version", "kind")}


def simulate(
    *,
    task: Task = "video",
    variant: Variant = "tiny",
    version: Version = "2.1",
    resolution: int | str | tuple[int, int] | None = None,
    frames: int | str | None = None,
    objects: int = 1,
    precision: Precision = "autocast_bfloat16",
    attention: Attention = "auto",
    offload_video: bool = False,
    offload_state: bool = False,
    async_loading: bool = False,
    runtime: DrivenRuntime = "own",
    stock: bool | None = None,
    object_batch: int | None = None,
    capability: tuple[int, int] = (8, 6),
    frame_size: str | tuple[int, int] = (1080, 1920),
    prompt: PromptKind = "box",
    points_per_batch: int = 64,
    kept_fraction: float = 1.0,
    extension_present: bool = False,
    legacy: bool = False,
    position_tables: PositionTables = "built",
    streaming: bool = False,
    processing_device: ProcessingDevice = "cuda",
    keep_all: bool = False,
    torch: str | None = None,
    expandable_segments: bool | None = None,
    vram: int | str | None = None,
    full_trace: bool = False,
    progress: Progress | None = None,
) -> Simulation:
    """Trace the code that runs SAM 2 on a fake GPU, and play the trace through a model of torch's allocator.

    task, variant, version, resolution, precision, attention, objects, frame_size: as in predict; "edgetam" and
        "sam3_tracker" are for the runtime "transformers".
    frames: length of the clip. By default a clip without end; for stock and transformers, which keep every frame, 100.
    runtime: whose code is traced: "own" (behind `planner.load`), "stock" (the predictors of the sam2 package, at
        square resolutions), "transformers" or "ultralytics". stock, True or False, is an older way to say it.
    object_batch: objects of one pass through the mask decoder ("own"; 1 by default).
    offload_video, offload_state: keep decoded frames, or the memory bank, on the host; of transformers its
        video_storage_device and inference_state_device.
    async_loading: load frames while tracking ("stock").
    capability: the GPU's compute capability, (major, minor).
    prompt: how objects are prompted: "box", "point" or "mask".
    points_per_batch, kept_fraction: points of one pass of automatic masks, and which share of their masks passes each
        filter: 1.0 is the worst case.
    extension_present: whether sam2 was built with its CUDA extension ("stock").
    legacy: the video predictor that batches its objects ("stock").
    position_tables, streaming, processing_device, keep_all, torch: as in predict.
    expandable_segments: as PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True, or False. By default as the code itself
        has it: our own runtime grows its segments, the others take torch's default, which is not to.
    vram: a size such as "4GB", or bytes: `runs_out` then says where the run ends on a GPU of this size, if it does. A
        clip without end is played for 300 frames.
    full_trace: trace every frame where a long clip would be extended from its first ones.
    progress: called with (steps done, steps in all) while it traces.

    Raises UsageError for a value that cannot be run, EnvironmentFailure where torch or sam2 are missing, PlannerError
    where the code does something that the tracer cannot follow.

    Example:
        simulation = planner.simulate(variant="tiny", task="image", runtime="stock")
        print(simulation.allocated_bytes, simulation.reserved_bytes, simulation.peak["operation"])
    """
    began = time.perf_counter()
    asked = checked(dict(locals()))
    run = run_of(asked)
    expandable: bool = asked["expandable_segments"]
    traced = trace(run, conditions_of(asked), progress)
    workspaces = traced.workspaces
    traced_frames = traced.frames
    video = run.workload.task == "video"
    wanted = (run.workload.frames or max(traced_frames, ENDLESS_FRAMES)) if video else traced_frames
    played = extend(traced.trace, traced_frames, wanted, expandable)
    holding = holding_at(traced.trace, played, played.player.peaks.highest, wanted, traced_frames)
    reserved_bytes = reserved_upper_bytes = played.player.reserved_bytes
    if traced.trace.elsewhere:
        reserved_bytes, reserved_upper_bytes = streams.reserved_bytes(
            traced.trace, lambda part: extend(part, traced_frames, wanted, expandable)
        )
    context = context_on(None, asked["capability"], asked["vram"])
    context_bytes = context.bytes
    convolutions = traced.convolutions.answers()
    trust: ProvenanceKind = (
        "assumed" if convolutions.assumed or workspaces.multiprocessors.origin.provenance == "assumed" else "simulated"
    )
    return Simulation(
        configuration=asked,
        allocated_bytes=holding.allocated_bytes,
        reserved_bytes=reserved_bytes,
        reserved_upper_bytes=reserved_upper_bytes,
        context_bytes=context_bytes,
        total_bytes=reserved_bytes + context_bytes,
        least_bytes=context_bytes
        + least_bytes(traced.trace, traced_frames, wanted, holding.allocated_bytes, reserved_bytes, expandable),
        components=(
            *_components(holding, trust),
            Component(CACHE, reserved_bytes - holding.allocated_bytes, "simulated"),
            Component(CONTEXT, context_bytes, context.provenance),
        ),
        phases=tuple(
            Phase(
                name=name,
                components=_components(holding_at(traced.trace, played, moment, wanted, traced_frames), trust),
            )
            for name in PHASES
            if (moment := played.player.peaks.by_phase.get(name)) is not None
        ),
        host_components=_on_host(run, wanted),
        peak={"operation": holding.operation, "module": holding.module, "phase": holding.phase},
        growth=_growth(played, run.workload.objects) if video else None,
        runs_out=_runs_out(traced.trace, asked["vram"], traced_frames, wanted, context_bytes, expandable),
        largest_bytes=max(allocation.size_bytes for allocation in traced.trace.allocations),
        timeline=timeline_of(traced.trace),
        seconds=round(time.perf_counter() - began, 3),
        provenance=_provenance(traced, played.estimated_frames, convolutions),
    )


def simulate_run(run: Run, **more: Any) -> Simulation:
    """`simulate`, of a Run; `more` are the arguments that describe no run. Raises as it does."""
    return simulate(**asked_of(run), **more)


def _runs_out(
    trace: Trace,
    vram_bytes: int | None,
    traced_frames: int,
    frames: int,
    context_bytes: int,
    expandable_segments: bool,
) -> RunningOut | None:
    if vram_bytes is None:
        return None
    return running_out(trace, traced_frames, frames, max(0, vram_bytes - context_bytes), expandable_segments)


def _components(holding: Holding, trust: ProvenanceKind) -> tuple[Component, ...]:
    """`trust`: the provenance of workspaces."""
    return tuple(
        Component(name, size_bytes, "derived" if name in _DERIVED else trust if name == "workspaces" else "simulated")
        for name, size_bytes in holding.bytes_by_component.items()
    )


def _on_host(run: Run, frames: int) -> tuple[Component, ...]:
    workload, loading = replace(run.workload, frames=frames), run.sam2.async_loading
    catalog = load_catalog()
    ways = run.transformers
    return (
        host_components(run.configuration, workload, run.runtime, catalog, async_loading=loading, transformers=ways)
        or ()
    )


def _growth(played: Played, objects: int) -> Growth:
    per_frame_bytes = sum(played.grown_bytes.values())
    return Growth(per_frame_bytes=per_frame_bytes, per_object_bytes=per_frame_bytes // objects)


def _provenance(traced: Traced, estimated_frames: int, convolutions: Answers) -> dict[str, Any]:
    notes = {"context": CONTEXT_NOTE, "multiprocessors": traced.workspaces.multiprocessors.origin.note.strip()}
    if convolutions.assumed:
        notes["convolution"] = RULE
    return {
        "method": "trace of the real code on fake tensors, played through a model of torch's caching allocator",
        "versions": traced.versions,
        "torch_rules": said(traced.rules.release),
        "traced_frames": traced.frames,
        "reserved_estimated_frames": estimated_frames,
        "convolution_workspaces": convolutions.to_dict(),
        "assumed": notes,
    }
