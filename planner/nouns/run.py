"""One run of SAM 2: what it is, and the words for its stretches and for who holds its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from planner.nouns.words import (
    Attention,
    DrivenRuntime,
    PositionTables,
    Precision,
    ProcessingDevice,
    PromptKind,
    Runtime,
    Task,
    Variant,
    Version,
)

PhaseName = Literal["load", "init", "encode", "prompt", "track", "output"]
"""A stretch of a run. Phases nest, and the innermost counts: encoding within tracking is encode."""
PHASES: tuple[PhaseName, ...] = get_args(PhaseName)

ComponentName = Literal[
    "weights",
    "autocast copies",
    "positional tables",
    "frames",
    "current frame",
    "memory bank",
    "image features",
    "outputs",
    "workspaces",
    "activations",
]
"""Who holds bytes. Frames: a clip that is held whole; the current frame: one of a clip that is not. Positional tables:
sine and rotary encodings that are computed once and kept."""
COMPONENTS: tuple[ComponentName, ...] = get_args(ComponentName)


FULL_BANK_FRAMES = 18
"""Frames after which a bounded memory bank is full and no array grows (its pointers are all there after 16)."""


NATIVE = (1024, 1024)
"""What SAM 2's checkpoints compute at, and EdgeTAM's."""
SAM3_SIDE = 1008
"""What the checkpoint of SAM 3's tracker does: 72 patches of 14 pixels, the only side that is no multiple of 32
(transformers, models/sam3_tracker_video/configuration_sam3_tracker_video.py)."""


def native_resolution(variant: Variant) -> tuple[int, int]:
    """What a variant's checkpoint computes at, height and width in pixels."""
    return (SAM3_SIDE, SAM3_SIDE) if variant == "sam3_tracker" else NATIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What the user wants done."""

    task: Task
    objects: int = 1
    """Objects tracked in a video, or prompted in one image. Automatic masks have none."""
    frames: int | None = 1
    """Length of the clip; None means a clip without end."""
    frame_size: tuple[int, int] = (1080, 1920)
    """Height and width of the source picture in pixels, at which masks are written."""
    streams: int = 1
    """Clips that one process of the own runtime tracks at once: the weights once, a memory bank for each. `objects`
    are those of one of them."""

    @property
    def remembered_objects(self) -> int:
        """Objects of all clips: each has its memory bank, and the bytes of a frame's computation are there once."""
        return self.objects * self.streams


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """How it is done."""

    variant: Variant
    version: Version
    """The version of the checkpoints."""
    resolution: tuple[int, int]
    """What SAM 2 computes at, height and width in pixels: multiples of 32. Of other models native_resolution."""
    precision: Precision
    """The autocast ones compute products in 16 bits and the rest in float32; stock holds all weights in float32."""
    attention: Attention = "auto"
    """The scaled-dot-product kernel; auto is what torch picks."""
    object_batch: int = 1
    """Objects (automask: points) of one pass through the mask decoder."""
    bounded_memory_bank: bool = True
    """Keep only what SAM 2 will read again: the own runtime does, and Ultralytics unless it is told not to. False is
    the stock predictor and transformers, which keep all."""
    offload_video: bool = False
    """Decoded frames stay on the host (transformers: video_storage_device). Makes no difference to the own runtime and
    to Ultralytics, which read them one by one."""
    offload_state: bool = False
    """The memory bank stays on the host (transformers: inference_state_device, which moves a part of it)."""


SWITCHES: tuple[str, ...] = tuple(one.name for one in fields(Configuration) if one.default is False)
"""Fields of a Configuration that are off unless asked for. A file that lacks one is older than it: there it was off."""


def name_of(configuration: Configuration, workload: Workload, capability: tuple[int, int]) -> str:
    """What two runs of one group have in common that take the same bytes."""
    c, w = configuration, workload
    frames = w.frames
    if w.task != "video":
        frames = 1
    elif c.bounded_memory_bank and (frames is None or frames > FULL_BANK_FRAMES):
        frames = FULL_BANK_FRAMES  # no clip is longer for the memory bank
    words = (
        c.variant, c.version, *c.resolution, c.attention, w.objects, c.object_batch, frames, *w.frame_size,
        int(c.offload_video), int(c.offload_state), *capability,
    )  # fmt: skip
    return " ".join(map(str, (*words, *((f"streams={w.streams}",) * (w.streams != 1)))))


def bounds_memory(runtime: Runtime, keep_all: bool = False) -> bool:
    """Whether a runtime keeps only what SAM 2 will read again. keep_all: what Ultralytics alone can be told."""
    return runtime not in ("stock", "transformers") and not keep_all


def grows_segments(runtime: Runtime) -> bool:
    """Whether it has torch's allocator grow its segments (expandable_segments), which is not torch's default."""
    return runtime == "own"


def runtime_of(configuration: Configuration) -> DrivenRuntime:
    """Whose code a configuration is for."""
    return "own" if configuration.bounded_memory_bank else "stock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sam2:
    """Which sam2 package the stock predictors are of, and how its user calls them, as far as that changes bytes."""

    async_loading: bool = False
    """Frames are loaded while the first are tracked."""
    extension_present: bool = False
    """Whether the compiled sam2._C is there, which fills holes in masks."""
    legacy: bool = False
    """The video predictor before December 2024, which batches the objects."""
    position_tables: PositionTables = "built"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformers:
    """How transformers' video models are called, as far as that changes bytes."""

    streaming: bool = False
    """Each frame is given when it comes, instead of the whole clip at first."""
    processing_device: ProcessingDevice = "cuda"
    """Where the processor prepares a whole clip; the device of the model unless it is said."""


def unusual(ways: Sam2 | Transformers) -> dict[str, Any]:
    """What of how a package is called is not as usual, by name."""
    said = ((one.name, getattr(ways, one.name), one.default) for one in fields(ways))
    return {name: value for name, value, usual in said if value != usual}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Whose code does what, and how: all that the bytes of a run depend on beside the machine."""

    runtime: Runtime
    configuration: Configuration
    workload: Workload
    prompt: PromptKind = "box"
    sam2: Sam2 = field(default_factory=Sam2)
    """How the stock predictors are called."""
    transformers: Transformers = field(default_factory=Transformers)
    """How transformers' models are."""

    @property
    def values_decide(self) -> bool:
        """Whether what it does next depends on numbers read from the GPU, which a rehearsal has to make zero."""
        return self.runtime == "ultralytics"

    @property
    def id(self) -> str:
        """A name that says what is run, the same wherever it is run."""
        c, w = self.configuration, self.workload
        words = [self.runtime, w.task, c.variant, c.version, f"{c.resolution[0]}x{c.resolution[1]}", c.precision]
        words += [c.attention] * (c.attention != "auto")
        words += [f"{w.frame_size[0]}x{w.frame_size[1]}", f"{w.objects}o", f"{c.object_batch}b"]
        if w.task == "video":
            words += [f"{w.frames}f" if w.frames else "endless"]
        words += [f"{w.streams}s"] * (w.streams != 1)
        words += [name.replace("_", "-") for name in SWITCHES if getattr(c, name)]
        words += [self.prompt] * (self.prompt != "box")
        words += ["keeps-all"] * (self.runtime == "ultralytics" and not c.bounded_memory_bank)
        for ways in (self.sam2, self.transformers):
            words += [f"{name}={value}" for name, value in unusual(ways).items()]
        return "-".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a run took of a GPU, in bytes; None where nobody counted."""

    allocated_bytes: int | None = None
    """Tensors, at the highest moment."""
    reserved_bytes: int | None = None
    """What the caching allocator held."""
    context_bytes: int | None = None
    """The CUDA context and loaded kernels, outside the allocator."""
    total_bytes: int | None = None
    """Bytes of the process, where that was counted as a whole."""
    least_bytes: int | None = None
    """Reserved bytes with which it still completes, where they were sought."""
    phases: Mapping[str, int] = field(default_factory=dict)
    """Allocated bytes at the peak of each phase, where known."""
    small_bytes: int | None = None
    """How far the range of the allocator's small pool was used, where segments grow: what it reserves before that is
    rounded to pages."""
    extents: Mapping[str, int] = field(default_factory=dict)
    """By phase: how far what was allocated in it lay in the range of the large pool, likewise."""
