"""What is to be simulated, checked and as a Run, and the trace of it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from planner.catalog.runtimes import check_keep_all, check_model, check_run, resolution_of
from planner.catalog.torch_rules import TorchRules, check_code, release_of, rules_of, said
from planner.errors import EnvironmentFailure, UsageError
from planner.memory_model.releases import check_tables
from planner.nouns.run import Configuration, Run, Sam2, Transformers, Workload, bounds_memory, grows_segments
from planner.nouns.words import (
    ALL_VARIANTS,
    ATTENTIONS,
    DRIVEN_RUNTIMES,
    PRECISIONS,
    PROCESSING_DEVICES,
    PROMPTS,
    TASKS,
    VERSIONS,
    Runtime,
    package_of,
)
from planner.simulator.convolutions.workspaces import ConvolutionWorkspaces
from planner.simulator.workspaces import Workspaces, version_of, workspaces_for
from planner.text.packages import installed_version
from planner.text.spelling import check_word
from planner.text.units import check_size, parse_count, parse_frame_size, parse_frames, parse_size

if TYPE_CHECKING:
    from planner.simulator.events import Trace

TRACED_FRAMES = 20
"""Frames of a video: the bank is full from frame 16 (pointers) on; three more frames show that nothing changes."""
OWN_TRACED_FRAMES = 26
"""The memory is full from frame 7 on, and pointers from then on are dropped 15 frames later; three more."""
STOCK_FRAMES = 100
"""Length of a stock clip where nobody says it: it has to end."""
STOCK_ONLY = ("async_loading", "extension_present", "legacy")
POINTS_PER_BATCH = 64
OF_CONFIGURATION, OF_WORKLOAD, OF_SAM2, OF_TRANSFORMERS = (
    [one.name for one in fields(noun) if one.name not in ("object_batch", "bounded_memory_bank", "streams")]
    for noun in (Configuration, Workload, Sam2, Transformers)
)
"""Arguments that are asked by the names of the nouns' fields. Two that are left out follow from others, and a trace
follows one clip."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under which a run is traced."""

    capability: tuple[int, int] = (8, 6)
    """CUDA compute capability of the GPU."""
    torch: str | None = None
    """The version whose rules count; None is the installed one."""
    kept_fraction: float = 1.0
    """The share of automatic masks that passes each filter; 1.0 is the worst case."""
    full_trace: bool = False
    """Every frame of a long clip is run, and nothing repeated."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A trace and what it was made with."""

    trace: Trace
    frames: int
    """How many frames were traced."""
    workspaces: Workspaces
    convolutions: ConvolutionWorkspaces
    """The workspaces of its convolutions, and who said them."""
    versions: dict[str, str]
    """Versions of the packages whose code the trace depends on."""
    rules: TorchRules
    """Rules of the release of torch that counts, which need not be the installed one."""


def checked(settings: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `simulate` after a check of each, without those that do not describe the run."""
    for name in ("progress", "began"):
        settings.pop(name, None)
    allowed = {
        "task": TASKS,
        "variant": ALL_VARIANTS,
        "version": VERSIONS,
        "precision": PRECISIONS,
        "attention": ATTENTIONS,
        "prompt": PROMPTS,
        "runtime": DRIVEN_RUNTIMES,
        "processing_device": PROCESSING_DEVICES,
    }
    if settings["stock"] is not None:
        settings["runtime"] = "stock" if settings["stock"] else "own"
    for name, values in allowed.items():
        check_word(settings[name], name, values)
    settings["stock"] = settings["runtime"] == "stock"
    if settings["expandable_segments"] is None:
        settings["expandable_segments"] = grows_segments(settings["runtime"])
    check_keep_all(settings["keep_all"], settings["runtime"])
    check_tables(settings["position_tables"], settings["runtime"])
    settings["resolution"] = resolution_of(settings["variant"], settings["resolution"])
    settings["frame_size"] = _pair(settings["frame_size"], parse_frame_size)
    settings["frames"] = _frames(settings)
    settings["objects"] = parse_count(settings["objects"], "objects")
    if settings["object_batch"] is None:  # all go together, or one by one
        settings["object_batch"] = settings["objects"] if settings["runtime"] == "ultralytics" else 1
    settings["object_batch"] = parse_count(settings["object_batch"], "objects")
    settings["points_per_batch"] = parse_count(settings["points_per_batch"], "points")
    if settings["vram"] is not None:
        settings["vram"] = (
            check_size(settings["vram"]) if isinstance(settings["vram"], int) else parse_size(settings["vram"])
        )
    if not 0 <= settings["kept_fraction"] <= 1:
        raise UsageError(f"{settings['kept_fraction']!r} is not a fraction.", "Give a number from 0 to 1.")
    if settings["torch"] is not None:
        capability = settings["capability"]
        check_code(settings["torch"], capability, f"compute capability {capability[0]}.{capability[1]}")
        settings["torch"] = said(release_of(settings["torch"]))
    _check_runs(settings)
    return settings


def _frames(settings: dict[str, Any]) -> int | None:
    if settings["frames"] is None:
        endless = bounds_memory(settings["runtime"], settings["keep_all"])
        return 1 if settings["task"] != "video" else None if endless else STOCK_FRAMES
    return parse_frames(settings["frames"])


def _check_runs(settings: dict[str, Any]) -> None:
    """Whether the code that is asked for can run this."""
    check_model(settings["variant"], settings["runtime"], settings["version"])
    if not settings["stock"]:
        for name in STOCK_ONLY:
            if settings[name]:
                raise UsageError(
                    f"{name} is a matter of the stock predictors.", "Leave it out, or ask for the runtime stock."
                )
        check_run(run_of(settings))
        return
    height, width = settings["resolution"]
    if height != width:
        raise UsageError(
            f"The stock predictors cannot run at {height}x{width}: they assert a square feature map.",
            f"Choose a square, such as {max(height, width)}x{max(height, width)}, or the runtime own.",
        )
    if settings["frames"] is None:
        raise UsageError(
            "The stock predictors keep every frame: a clip without end has no peak.",
            "Give a number of frames, or ask for the runtime own.",
        )
    if settings["object_batch"] != 1:
        raise UsageError("The stock predictors have no object_batch.", "Ask for the runtime own, or --legacy.")


def _pair(value: Any, parse: Callable[[str], tuple[int, int]]) -> tuple[int, int]:
    return parse("x".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value))


def run_of(asked: Mapping[str, Any]) -> Run:
    """The run that `checked` arguments describe."""
    runtime = asked["runtime"]
    batch = asked["points_per_batch"] if asked["task"] == "automask" else asked["object_batch"]
    configuration = Configuration(
        **{name: asked[name] for name in OF_CONFIGURATION},
        object_batch=batch,
        bounded_memory_bank=bounds_memory(runtime, asked["keep_all"]),
    )
    return Run(
        runtime=runtime,
        configuration=configuration,
        workload=Workload(**{name: asked[name] for name in OF_WORKLOAD}),
        prompt=asked["prompt"],
        sam2=Sam2(**{name: asked[name] for name in OF_SAM2}),
        transformers=Transformers(**{name: asked[name] for name in OF_TRANSFORMERS}),
    )


def asked_of(run: Run) -> dict[str, Any]:
    """The arguments of `simulate` that ask for a run."""
    automask = run.workload.task == "automask"
    asked = {name: getattr(run.configuration, name) for name in OF_CONFIGURATION}
    asked |= {name: getattr(run.workload, name) for name in OF_WORKLOAD}
    asked |= {name: getattr(run.sam2, name) for name in OF_SAM2}
    asked |= {name: getattr(run.transformers, name) for name in OF_TRANSFORMERS}
    batch = run.configuration.object_batch
    return asked | {
        "runtime": run.runtime,
        "prompt": run.prompt,
        "frames": "unlimited" if run.workload.task == "video" and run.workload.frames is None else run.workload.frames,
        "object_batch": None if automask or run.runtime == "stock" else batch,
        "points_per_batch": batch if automask else POINTS_PER_BATCH,
        "keep_all": run.runtime == "ultralytics" and not run.configuration.bounded_memory_bank,
    }


def conditions_of(asked: Mapping[str, Any]) -> Conditions:
    """The rest of them, as far as a trace depends on it."""
    return Conditions(**{name: asked[name] for name in ("capability", "torch", "kept_fraction", "full_trace")})


def trace(run: Run, conditions: Conditions, progress: Progress | None = None) -> Traced:
    """Run it on a fake GPU, of a long clip its first frames. Raises EnvironmentFailure without torch or sam2."""
    try:
        from planner.simulator import tracing
        from planner.simulator.torch_adapters import FakeGpu
        from planner.simulator.torch_convolutions import installed_cudnn
    except ImportError as error:
        raise EnvironmentFailure(
            f"Simulation runs the real sam2 code, which needs torch and sam2: {error}.",
            'Install them with: pip install "sam2-plan[sam2]"',
        ) from error
    installed = _installed(run.runtime)
    release = version_of(installed["torch"])
    rules = rules_of(conditions.torch) if conditions.torch else TorchRules(release)
    capability = conditions.capability
    workspaces = workspaces_for(capability, conditions.torch or installed["torch"])
    convolutions = ConvolutionWorkspaces(capability, workspaces.multiprocessors.count, rules.release, installed_cudnn())
    gpu = FakeGpu(
        capability=capability,
        attention=run.configuration.attention,
        prefer_cudnn=rules.prefers_cudnn_attention(capability),
        # What the installed torch does by itself is not done over.
        keeps_casts=None if rules.release == release else rules.keeps_casts,
        workspaces=workspaces,
        convolutions=convolutions,
        kept_fraction=conditions.kept_fraction,
        repeat=() if conditions.full_trace else tracing.REPEATED[run.runtime],
    )
    frames = _traced_frames(run, conditions.full_trace)
    # Storages die when their last reference goes; the collector of cycles would only make the order depend on chance.
    collecting = gc.isenabled()
    gc.disable()
    try:
        with convolutions:
            traced = tracing.trace(run, gpu, progress, tracked=frames)
            return Traced(traced, frames, workspaces, convolutions, installed, rules)
    finally:
        if collecting:
            gc.enable()


def _installed(runtime: Runtime) -> dict[str, str]:
    """Versions of what is run. Raises EnvironmentFailure for a package that is missing, and names its extra."""
    package = package_of(runtime)
    found = {name: installed_version(name) for name in ("torch", "torchvision", package)}
    for name, version in found.items():
        if version is None:
            raise EnvironmentFailure(
                f"Simulating the runtime {runtime} runs its code, which needs {name}.",
                f'Install it with: pip install "sam2-plan[{package}]"',
            )
    return {name: str(version) for name, version in found.items()}


def _traced_frames(run: Run, full_trace: bool) -> int:
    if run.workload.task != "video":
        return 1
    enough = OWN_TRACED_FRAMES if run.runtime == "own" else TRACED_FRAMES
    frames = run.workload.frames
    if frames is None:
        return enough
    return frames if full_trace else min(frames, enough)
