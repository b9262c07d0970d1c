"""GPU memory of a run of SAM 2, simulated: the answer and how it is found.

    simulate(task="video", variant="tiny", frames=240).total_bytes

Importing this module needs neither torch nor sam2; calling `simulate` does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.brief import brief
from planner.catalog import load_catalog
from planner.catalog.torch_rules import said
from planner.domain import Component, Configuration, Phase, Workload
from planner.memory_model.contexts import context_on
from planner.memory_model.estimator import runtime_of
from planner.memory_model.host import host_components
from planner.simulator import streams
from planner.simulator.attribution import Holding, Timeline, holding_at, timeline_of
from planner.simulator.convolutions.workspaces import RULE, Answers
from planner.simulator.events import FRAMES, OUTPUTS, PHASES, WEIGHTS, WORKSPACES, Trace
from planner.simulator.extension import Played, extend
from planner.simulator.least import least_bytes
from planner.simulator.running_out import RunningOut, running_out
from planner.simulator.settings import Progress, Traced, checked, trace
from planner.wire.simulation import SIMULATION

CACHE, CONTEXT = "allocator cache", "CUDA context"
CONTEXT_NOTE = (
    "Predicted from the multiprocessors of the card most often met with the capability, or of those with so much vram."
)
_DERIVED = (WEIGHTS, FRAMES, OUTPUTS)
ENDLESS_FRAMES = 300
"""Played for a clip without end: what is allocated is the same in each frame, what is reserved settles by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What the run keeps for good, requested bytes."""

    per_frame_bytes: int
    """With all objects; the frames themselves not counted."""
    per_object_bytes: int
    """Per frame and object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """GPU memory of one run, in bytes."""

    __repr__ = brief

    configuration: Mapping[str, Any]
    """What was simulated, as given to `simulate`, defaults filled in."""
    allocated_bytes: int
    """Highest sum of allocated blocks (torch.cuda.max_memory_allocated)."""
    reserved_bytes: int
    """What the caching allocator holds in the end (torch.cuda.max_memory_reserved)."""
    reserved_upper_bytes: int
    """The same where copies on a second stream are given back as late as can be; else equal to reserved_bytes."""
    context_bytes: int
    total_bytes: int
    """reserved_bytes + context_bytes."""
    least_bytes: int
    """The smallest memory, context included, in which it completes because the allocator gives its cache back."""
    components: tuple[Component, ...]
    """Of total_bytes at the highest moment; they add up to it."""
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
    """Of the traced part."""
    seconds: float
    provenance: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them; the timeline is left to `timeline`."""
        return {name: value for name, value in SIMULATION.write(self).items() if name not in ("schema_version", "kind")}


def simulate(
    *,
    task: str = "video",
    variant: str = "tiny",
    version: str = "2.1",
    resolution: int | str | tuple[int, int] = 1024,
    frames: int | str | None = None,
    objects: int = 1,
    precision: str = "autocast_bfloat16",
    attention: str = "auto",
    offload_video: bool = False,
    offload_state: bool = False,
    async_loading: bool = False,
    runtime: str = "own",
    stock: bool | None = None,
    object_batch: int = 1,
    capability: tuple[int, int] = (8, 6),
    frame_size: str | tuple[int, int] = (1080, 1920),
    prompt: str = "box",
    points_per_batch: int = 64,
    kept_fraction: float = 1.0,
    extension_present: bool = False,
    legacy: bool = False,
    position_tables: str = "built",
    torch: str | None = None,
    expandable_segments: bool = False,
    vram: int | str | None = None,
    full_trace: bool = False,
    progress: Progress | None = None,
) -> Simulation:
    """Trace the code that runs SAM 2 on a fake GPU and play the trace through a model of torch's allocator.

    runtime: whose code that is: "own" (behind `planner.load`; `object_batch`, resolutions that are not square and a
    clip without end, frames="unlimited", are for it) or "stock" (sam2's own predictors). `stock`: True or False say
    the same, as it was asked before. `resolution` is what SAM 2 computes at; `frame_size` is (height, width) of the
    source. `frames` defaults to 1 for images, of a video to a clip without end; stock, which keeps every frame, to 100.
    `kept_fraction` is the share of automatic masks that pass each filter: 1.0 is the worst case. `extension_present`:
    whether sam2 was built with its CUDA extension. `legacy`: the video predictor that batches its objects.
    `position_tables`: when stock makes the tables of positions that it keeps: "built" (with the model: sam2 since
    December 2024), "used" (at their first use: before) or "none" (forks that keep none). `torch`: the version whose
    rules count, such as "2.11" (workspaces, copies by autocast, choice of attention); None is the installed one.
    `vram`, such as "4GB", asks where the run ends on a GPU of that size, if it does (`runs_out`): a clip without end is
    played for 300 frames. `full_trace` traces every frame where a long clip would be extended from its first.
    `progress(done, total)` is called as the trace goes on.

    Raises UsageError for a value that cannot be run, EnvironmentFailure where torch or sam2 are missing,
    UnknownOperation where the code does what the tracer cannot follow.
    """
    began = time.perf_counter()
    settings = checked(dict(locals()))
    traced = trace(settings, progress)
    workspaces = traced.workspaces
    traced_frames = traced.frames
    wanted = traced_frames if task != "video" else settings["frames"] or max(traced_frames, ENDLESS_FRAMES)
    played = extend(traced.trace, traced_frames, wanted, expandable_segments)
    holding = holding_at(traced.trace, played, played.player.peaks.highest, wanted, traced_frames)
    reserved_bytes = reserved_upper_bytes = played.player.reserved_bytes
    if traced.trace.elsewhere:
        reserved_bytes, reserved_upper_bytes = streams.reserved_bytes(
            traced.trace, lambda part: extend(part, traced_frames, wanted, expandable_segments)
        )
    context = context_on(None, settings["capability"], settings["vram"])
    context_bytes = context.bytes
    convolutions = traced.convolutions.answers()
    trust = (
        "assumed" if convolutions.assumed or workspaces.multiprocessors.origin.provenance == "assumed" else "simulated"
    )
    return Simulation(
        configuration=settings,
        allocated_bytes=holding.allocated_bytes,
        reserved_bytes=reserved_bytes,
        reserved_upper_bytes=reserved_upper_bytes,
        context_bytes=context_bytes,
        total_bytes=reserved_bytes + context_bytes,
        least_bytes=context_bytes
        + least_bytes(
            traced.trace, traced_frames, wanted, holding.allocated_bytes, reserved_bytes, expandable_segments
        ),
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
        host_components=_on_host(settings, wanted),
        peak={"operation": holding.operation, "module": holding.module, "phase": holding.phase},
        growth=_growth(played, settings["objects"]) if task == "video" else None,
        runs_out=_runs_out(traced.trace, settings, traced_frames, wanted, context_bytes),
        largest_bytes=max(allocation.size_bytes for allocation in traced.trace.allocations),
        timeline=timeline_of(traced.trace),
        seconds=round(time.perf_counter() - began, 3),
        provenance=_provenance(traced, played.estimated_frames, convolutions),
    )


def _runs_out(
    trace: Trace, settings: Mapping[str, Any], traced_frames: int, frames: int, context_bytes: int
) -> RunningOut | None:
    if settings["vram"] is None:
        return None
    limit_bytes = max(0, settings["vram"] - context_bytes)
    return running_out(trace, traced_frames, frames, limit_bytes, settings["expandable_segments"])


def _components(holding: Holding, trust: str) -> tuple[Component, ...]:
    """`trust`: the provenance of workspaces."""
    return tuple(
        Component(name, size_bytes, "derived" if name in _DERIVED else trust if name == WORKSPACES else "simulated")
        for name, size_bytes in holding.bytes_by_component.items()
    )


def _on_host(settings: Mapping[str, Any], frames: int) -> tuple[Component, ...]:
    names = ("variant", "version", "resolution", "precision", "attention", "object_batch")
    configuration = Configuration(
        **{name: settings[name] for name in names},
        bounded_memory_bank=not settings["stock"],
        offload_video=settings["offload_video"],
        offload_state=settings["offload_state"],
    )
    workload = Workload(
        task=settings["task"], objects=settings["objects"], frames=frames, frame_size=settings["frame_size"]
    )
    runtime, loading = runtime_of(configuration), settings["async_loading"]
    return host_components(configuration, workload, runtime, load_catalog(), async_loading=loading) or ()


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
