"""GPU memory of a run of SAM 2, simulated: the answer and how it is found.

    simulate(task="video", variant="tiny", frames=240).total_bytes

Importing this module needs neither torch nor sam2; calling `simulate` does.
"""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.domain import ATTENTIONS, PRECISIONS, TASKS, VARIANTS, VERSIONS, Component, Phase
from planner.errors import EnvironmentFailure, UsageError
from planner.simulator.attribution import Holding, Timeline, holding_at, timeline_of
from planner.simulator.events import FRAMES, OUTPUTS, PHASES, WEIGHTS, WORKSPACES, Trace
from planner.simulator.extension import Played, extend
from planner.simulator.workspaces import Workspaces, workspaces_for
from planner.units import parse_count, parse_frame_size, parse_resolution

if TYPE_CHECKING:
    from planner.simulator.stock import StockRun

TRACED_FRAMES = 20
"""Of a video: the bank is full from frame 16 (pointers) on; three more frames show that nothing changes."""
CACHE, CONTEXT = "allocator cache", "CUDA context"
PROMPTS = ("box", "point", "mask")
_DERIVED = (WEIGHTS, FRAMES, OUTPUTS)
Progress = Callable[[int, int], None]


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

    configuration: Mapping[str, Any]
    """What was simulated, as given to `simulate`, defaults filled in."""
    allocated_bytes: int
    """Highest sum of allocated blocks (torch.cuda.max_memory_allocated)."""
    reserved_bytes: int
    """What the caching allocator holds in the end (torch.cuda.max_memory_reserved)."""
    context_bytes: int
    total_bytes: int
    """reserved_bytes + context_bytes."""
    components: tuple[Component, ...]
    """Of total_bytes at the highest moment; they add up to it."""
    phases: tuple[Phase, ...]
    """Each at its own highest moment; their components add up to what is allocated then."""
    peak: Mapping[str, str]
    """operation, module and phase of the highest moment."""
    growth: Growth | None
    """None where the run has no frames."""
    largest_bytes: int
    """The largest single allocation."""
    timeline: Timeline
    """Of the traced part."""
    seconds: float
    provenance: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them; the timeline is left to `timeline`."""
        result = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "timeline"
        }
        result["components"] = [dataclasses.asdict(component) for component in self.components]
        result["phases"] = [
            dataclasses.asdict(phase) | {"allocated_bytes": phase.allocated_bytes} for phase in self.phases
        ]
        result["growth"] = dataclasses.asdict(self.growth) if self.growth else None
        result["configuration"] = dict(self.configuration)
        result["peak"], result["provenance"] = dict(self.peak), dict(self.provenance)
        return result


def simulate(
    *,
    task: str = "video",
    variant: str = "tiny",
    version: str = "2.1",
    resolution: int | str | tuple[int, int] = 1024,
    frames: int | None = None,
    objects: int = 1,
    precision: str = "autocast_bfloat16",
    attention: str = "auto",
    offload_video: bool = False,
    offload_state: bool = False,
    async_loading: bool = False,
    object_batch: int = 1,
    stock: bool = True,
    capability: tuple[int, int] = (8, 6),
    frame_size: str | tuple[int, int] = (1080, 1920),
    prompt: str = "box",
    points_per_batch: int = 64,
    kept_fraction: float = 1.0,
    extension_present: bool = False,
    legacy: bool = False,
    expandable_segments: bool = False,
    full_trace: bool = False,
    progress: Progress | None = None,
) -> Simulation:
    """Trace sam2's own predictor on a fake GPU and play the trace through a model of torch's allocator.

    `resolution` is what SAM 2 computes at, square for the stock predictors; `frame_size` is (height, width) of the
    source. `frames` defaults to 1 for images and 100 for a video. `kept_fraction` is the share of automatic masks that
    pass each filter: 1.0 is the worst case. `extension_present`: whether sam2 was built with its CUDA extension.
    `legacy`: the video predictor that batches its objects. `full_trace` traces every frame where a long clip would be
    extended from its first. `progress(done, total)` is called as the trace goes on.

    Raises UsageError for a value that cannot be run, EnvironmentFailure where torch or sam2 are missing,
    UnknownOperation where the code does what the tracer cannot follow.
    """
    began = time.perf_counter()
    settings = _checked(dict(locals()))
    run = _stock_run(settings)
    trace, workspaces, versions = _trace(run, settings, progress)
    traced_frames = run.frames
    wanted = settings["frames"] if task == "video" else traced_frames
    played = extend(trace, traced_frames, wanted, expandable_segments)
    holding = holding_at(trace, played, played.player.peaks.highest, wanted, traced_frames)
    reserved_bytes = played.player.reserved_bytes
    context_bytes = workspaces.context.bytes
    return Simulation(
        configuration=settings,
        allocated_bytes=holding.allocated_bytes,
        reserved_bytes=reserved_bytes,
        context_bytes=context_bytes,
        total_bytes=reserved_bytes + context_bytes,
        components=(
            *_components(holding),
            Component(CACHE, reserved_bytes - holding.allocated_bytes, "simulated"),
            Component(CONTEXT, context_bytes, workspaces.context.origin.provenance),
        ),
        phases=tuple(
            Phase(name=name, components=_components(holding_at(trace, played, moment, wanted, traced_frames)))
            for name in PHASES
            if (moment := played.player.peaks.by_phase.get(name)) is not None
        ),
        peak={"operation": holding.operation, "module": holding.module, "phase": holding.phase},
        growth=_growth(played, settings["objects"]) if task == "video" else None,
        largest_bytes=max(allocation.size_bytes for allocation in trace.allocations),
        timeline=timeline_of(trace),
        seconds=round(time.perf_counter() - began, 3),
        provenance=_provenance(versions, traced_frames, played.estimated_frames, workspaces),
    )


def _checked(settings: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `simulate` after a check of each, without those that do not describe the run."""
    for name in ("progress", "began"):
        settings.pop(name, None)
    allowed = {
        "task": TASKS,
        "variant": VARIANTS,
        "version": VERSIONS,
        "precision": PRECISIONS,
        "attention": ATTENTIONS,
        "prompt": PROMPTS,
    }
    for name, values in allowed.items():
        if settings[name] not in values:
            raise UsageError(f"{settings[name]!r} is not a {name}.", f"Choose from {', '.join(values)}.")
    if not settings["stock"]:
        raise UsageError("Only the stock predictors of sam2 can be traced yet.", "Ask with stock=True (--stock).")
    settings["resolution"] = _pair(settings["resolution"], parse_resolution)
    settings["frame_size"] = _pair(settings["frame_size"], parse_frame_size)
    height, width = settings["resolution"]
    if height != width:
        raise UsageError(
            f"The stock predictors cannot run at {height}x{width}: they assert a square feature map.",
            f"Choose a square, such as {max(height, width)}x{max(height, width)}.",
        )
    default = 100 if settings["task"] == "video" else 1
    settings["frames"] = parse_count(default if settings["frames"] is None else settings["frames"], "frames")
    settings["objects"] = parse_count(settings["objects"], "objects")
    settings["points_per_batch"] = parse_count(settings["points_per_batch"], "points")
    if not 0 <= settings["kept_fraction"] <= 1:
        raise UsageError(f"{settings['kept_fraction']!r} is not a fraction.", "Give a number from 0 to 1.")
    return settings


def _pair(value: Any, parse: Callable[[str], tuple[int, int]]) -> tuple[int, int]:
    return parse("x".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value))


def _stock_run(settings: dict[str, Any]) -> StockRun:
    try:
        from planner.simulator.stock import StockRun
    except ImportError as error:
        raise EnvironmentFailure(
            f"Simulation runs the real sam2 code, which needs torch and sam2: {error}.",
            'Install them with: pip install "sam2-plan[sam2]"',
        ) from error
    frames = settings["frames"]
    if settings["task"] != "video":
        frames = 1
    elif not settings["full_trace"]:
        frames = min(frames, TRACED_FRAMES)
    names = ("task", "variant", "version", "objects", "precision", "frame_size", "offload_video", "offload_state",
             "async_loading", "prompt", "points_per_batch", "extension_present", "legacy")  # fmt: skip
    return StockRun(side=settings["resolution"][0], frames=frames, **{name: settings[name] for name in names})


def _trace(
    run: StockRun, settings: dict[str, Any], progress: Progress | None
) -> tuple[Trace, Workspaces, dict[str, str]]:
    from planner.simulator.stock import REPEATED, trace_stock, versions
    from planner.simulator.torch_adapters import FakeGpu

    installed = versions()
    workspaces = workspaces_for(settings["capability"], installed["torch"])
    gpu = FakeGpu(
        capability=settings["capability"],
        attention=settings["attention"],
        workspaces=workspaces,
        kept_fraction=settings["kept_fraction"],
        repeat=() if settings["full_trace"] else REPEATED,
    )
    # Storages die when their last reference goes; the collector of cycles would only make the order depend on chance.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return trace_stock(run, gpu, progress), workspaces, installed
    finally:
        if collecting:
            gc.enable()


def _components(holding: Holding) -> tuple[Component, ...]:
    return tuple(
        Component(name, size_bytes, "derived" if name in _DERIVED else "assumed" if name == WORKSPACES else "simulated")
        for name, size_bytes in holding.bytes_by_component.items()
    )


def _growth(played: Played, objects: int) -> Growth:
    per_frame_bytes = sum(played.grown_bytes.values())
    return Growth(per_frame_bytes=per_frame_bytes, per_object_bytes=per_frame_bytes // objects)


def _provenance(
    versions: dict[str, str], traced_frames: int, estimated_frames: int, workspaces: Workspaces
) -> dict[str, Any]:
    return {
        "method": "trace of the sam2 package on fake tensors, played through a model of torch's caching allocator",
        "versions": versions,
        "traced_frames": traced_frames,
        "reserved_estimated_frames": estimated_frames,
        "assumed": {
            name: getattr(workspaces, name).origin.note.strip()
            for name in ("convolution", "context", "multiprocessors")
        },
    }
