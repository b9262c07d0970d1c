"""What is to be simulated, checked, and the trace of it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.catalog.torch_rules import TorchRules, check_code, release_of, rules_of, said
from planner.domain import Configuration
from planner.errors import EnvironmentFailure, UsageError
from planner.memory_model.releases import check_tables
from planner.simulator.convolutions.workspaces import ConvolutionWorkspaces
from planner.simulator.workspaces import Workspaces, version_of, workspaces_for
from planner.spelling import check_word
from planner.units import check_size, parse_count, parse_frame_size, parse_frames, parse_resolution, parse_size
from planner.words import ATTENTIONS, DRIVEN_RUNTIMES, PRECISIONS, PROMPTINGS, TASKS, VARIANTS, VERSIONS

if TYPE_CHECKING:
    from planner.simulator.events import Trace
    from planner.simulator.torch_adapters import FakeGpu

TRACED_FRAMES = 20
"""Of a video: the bank is full from frame 16 (pointers) on; three more frames show that nothing changes."""
OWN_TRACED_FRAMES = 26
"""The memory is full from frame 7 on, and pointers from then on are dropped 15 frames later; three more."""
STOCK_FRAMES = 100
"""Of a stock clip of which nobody says how long it is: it has to end."""
STOCK_ONLY = ("async_loading", "extension_present", "legacy")
Progress = Callable[[int, int], None]


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
    """Of the packages whose code the trace depends on."""
    rules: TorchRules
    """Of the release of torch that counts, which need not be the installed one."""


def checked(settings: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `simulate` after a check of each, without those that do not describe the run."""
    for name in ("progress", "began"):
        settings.pop(name, None)
    allowed = {
        "task": TASKS,
        "variant": VARIANTS,
        "version": VERSIONS,
        "precision": PRECISIONS,
        "attention": ATTENTIONS,
        "prompt": PROMPTINGS,
        "runtime": DRIVEN_RUNTIMES,
    }
    if settings["stock"] is not None:
        settings["runtime"] = "stock" if settings["stock"] else "own"
    for name, values in allowed.items():
        check_word(settings[name], name, values)
    settings["stock"] = settings["runtime"] == "stock"
    check_tables(settings["position_tables"], settings["runtime"])
    settings["resolution"] = _pair(settings["resolution"], parse_resolution)
    settings["frame_size"] = _pair(settings["frame_size"], parse_frame_size)
    settings["frames"] = _frames(settings)
    settings["objects"] = parse_count(settings["objects"], "objects")
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
        return 1 if settings["task"] != "video" else STOCK_FRAMES if settings["stock"] else None
    return parse_frames(settings["frames"])


def _check_runs(settings: dict[str, Any]) -> None:
    """Whether the code that is asked for can run this."""
    if not settings["stock"]:
        for name in STOCK_ONLY:
            if settings[name]:
                raise UsageError(
                    f"{name} is a matter of the stock predictors.", "Leave it out, or ask for the runtime stock."
                )
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


def trace(settings: dict[str, Any], progress: Progress | None) -> Traced:
    """Run what `checked` settings describe on a fake GPU. Raises EnvironmentFailure where torch or sam2 are missing."""
    try:
        from planner.simulator.stock import versions
        from planner.simulator.torch_adapters import FakeGpu
        from planner.simulator.torch_convolutions import installed_cudnn
    except ImportError as error:
        raise EnvironmentFailure(
            f"Simulation runs the real sam2 code, which needs torch and sam2: {error}.",
            'Install them with: pip install "sam2-plan[sam2]"',
        ) from error
    installed = versions()
    release = version_of(installed["torch"])
    rules = rules_of(settings["torch"]) if settings["torch"] else TorchRules(release)
    workspaces = workspaces_for(settings["capability"], settings["torch"] or installed["torch"])
    frames = _traced_frames(settings)
    repeated, run = (_stock if settings["stock"] else _own)(settings, frames)
    convolutions = ConvolutionWorkspaces(
        settings["capability"],
        workspaces.multiprocessors.count,
        rules.release,
        installed_cudnn(),
    )
    gpu = FakeGpu(
        capability=settings["capability"],
        attention=settings["attention"],
        prefer_cudnn=rules.prefers_cudnn_attention(settings["capability"]),
        # What the installed torch does by itself is not done over.
        keeps_casts=None if rules.release == release else rules.keeps_casts,
        workspaces=workspaces,
        convolutions=convolutions,
        kept_fraction=settings["kept_fraction"],
        repeat=() if settings["full_trace"] else repeated,
    )
    # Storages die when their last reference goes; the collector of cycles would only make the order depend on chance.
    collecting = gc.isenabled()
    gc.disable()
    try:
        with convolutions:
            return Traced(run(gpu, progress), frames, workspaces, convolutions, installed, rules)
    finally:
        if collecting:
            gc.enable()


def _traced_frames(settings: dict[str, Any]) -> int:
    if settings["task"] != "video":
        return 1
    enough = TRACED_FRAMES if settings["stock"] else OWN_TRACED_FRAMES
    frames: int | None = settings["frames"]
    if frames is None:
        return enough
    return frames if settings["full_trace"] else min(frames, enough)


_Run = Callable[["FakeGpu", "Progress | None"], "Trace"]


def _stock(settings: dict[str, Any], frames: int) -> tuple[tuple[str, ...], _Run]:
    from planner.simulator.stock import REPEATED, StockRun, trace_stock

    names = ("task", "variant", "version", "objects", "precision", "frame_size", "offload_video", "offload_state",
             "async_loading", "prompt", "points_per_batch", "extension_present", "legacy",
             "position_tables")  # fmt: skip
    run = StockRun(side=settings["resolution"][0], frames=frames, **{name: settings[name] for name in names})
    return REPEATED, lambda gpu, progress: trace_stock(run, gpu, progress)


def _own(settings: dict[str, Any], frames: int) -> tuple[tuple[str, ...], _Run]:
    from planner.simulator.own import REPEATED, OwnRun, trace_own

    batch = settings["points_per_batch"] if settings["task"] == "automask" else settings["object_batch"]
    names = ("variant", "version", "resolution", "precision", "attention", "offload_state", "offload_video")
    configuration = Configuration(object_batch=batch, **{name: settings[name] for name in names})
    run = OwnRun(
        task=settings["task"],
        configuration=configuration,
        frames=frames,
        objects=settings["objects"],
        frame_size=settings["frame_size"],
        prompt=settings["prompt"],
    )
    return REPEATED, lambda gpu, progress: trace_own(run, gpu, progress)
