"""A configuration, loaded: segment pictures, track through videos, find all masks. `planner.load` makes it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from planner.catalog.capability import what_it_lacks, why_unsupported
from planner.errors import DeviceWarning, EnvironmentFailure, OutOfMemory, UsageError
from planner.machine.processes import Driver
from planner.nouns.plan import Plan
from planner.nouns.run import Configuration
from planner.nouns.words import ATTENTIONS, PRECISIONS, TASKS, VARIANTS, VERSIONS, Task
from planner.prompts.prompts import Prompt
from planner.runtime.allocator import use_growing_segments
from planner.runtime.attention import check_kernel
from planner.runtime.automatic import AutomaticMask, automask
from planner.runtime.cuda import out_of_memory, started
from planner.runtime.fallback import Ladder, Step
from planner.runtime.limiting import MemoryCap, cap_on, uuid_of
from planner.runtime.network import Network, place
from planner.runtime.precision import AUTOCAST, WEIGHTS
from planner.runtime.segmentation import Segmentation, segment
from planner.runtime.tracking import Tracking
from planner.runtime.watch import SILENT, Watch
from planner.runtime.weights import model_from, random_model
from planner.sources.frames import open_frames
from planner.sources.pictures import read_picture
from planner.text.command_lines import describe
from planner.text.spelling import check_word, remedy
from planner.text.units import RESOLUTION_STEP

DEVICES = ("auto", "cuda", "cuda:N", "mps", "cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUse:
    """What torch's caching allocator counts on the device, in bytes. Peaks count from loading on."""

    allocated_bytes: int
    """Bytes of tensors."""
    reserved_bytes: int
    """What the allocator holds."""
    peak_allocated_bytes: int
    """Highest allocated_bytes."""
    peak_reserved_bytes: int
    """Highest reserved_bytes."""


def load_session(
    plan_or_configuration: Plan | Configuration,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    *,
    random_weights: bool = False,
    seed: int = 0,
    fallback: bool = False,
    task: Task | None = None,
    watch: Watch = SILENT,
) -> Session:
    """See planner.runtime.loading.load, which is planner.load. `watch` is told of what the session does."""
    plan, configuration = _chosen(plan_or_configuration)
    if (checkpoint is None) != random_weights:
        raise UsageError(
            "There are no weights." if checkpoint is None else "A checkpoint and random weights exclude each other.",
            "Give a checkpoint, or random_weights=True to try memory and speed.",
        )
    task = task or (plan.request.workload.task if plan else "video")
    check_word(task, "task", TASKS)
    where = started(find_device(device, plan))
    cap: MemoryCap | None = None

    def placed(wanted: Configuration) -> Network:
        check_configuration(wanted, where)
        video = task == "video"
        model = random_model(wanted, seed) if checkpoint is None else model_from(wanted, checkpoint, video=video)
        place(model, wanted, where, video=video)
        return Network(model, wanted, where, watch=watch)

    def guarded(action: Callable[[Configuration], Any], wanted: Configuration) -> Any:
        try:
            return action(wanted)
        except RuntimeError as error:
            reason = out_of_memory(error)
            if reason is None:
                raise
        # Outside the handler, whose traceback holds on to what is on the device already.
        raise _not_loaded(wanted, reason, cap)

    cap = guarded(lambda wanted: cap_on(where, plan), configuration)
    if where.type == "cuda":
        use_growing_segments(where)
        torch.cuda.reset_peak_memory_stats(where)
    ladder = Ladder(
        configuration,
        lambda wanted: guarded(placed, wanted),
        plan,
        fallback=fallback,
        task=task,
        device=where,
        cap=cap,
    )
    return Session(ladder, task)


class Session:
    """A configuration on a device: segments pictures, tracks through videos, finds all masks.

    It may track several clips at once, one after the other or each in a thread of its own: weights are there once, each
    clip has a memory bank of its own, and its masks are those of a run by itself. One thread computes at a time; frames
    are read ahead meanwhile. With fallback all clips step down together.

    `close` gives the memory back, at the end of a `with` block too; `to` brings all of it to the CPU for a while.

    Example:
        import numpy

        clips = [numpy.zeros((3, 480, 640, 3), numpy.uint8) for _ in range(2)]
        point = [{"frame": 0, "object": 1, "points": [[320, 240]]}]
        for (frame, masks), (_, others) in zip(*(session.track(clip, point) for clip in clips)):
            print(frame, masks[1].sum(), others[1].sum())
    """

    def __init__(self, ladder: Ladder, task: Task = "video") -> None:
        self._task = task
        self._ladder = ladder
        self._driver: Driver | None = None

    @property
    def configuration(self) -> Configuration:
        """The configuration that is loaded now; fallback may have changed it."""
        return self._ladder.configuration

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps down that running out of memory forced, those of loading first."""
        return self._ladder.steps

    @property
    def device(self) -> str:
        """The device that it computes on, as torch names it."""
        return str(self._ladder.device)

    def segment(
        self,
        image: Any,
        points: Any = None,
        labels: Any = None,
        boxes: Any = None,
        masks: Any = None,
        multimask: bool = False,
    ) -> Segmentation:
        """Masks of the prompted objects of one picture.

        image: a path, a PIL image, or an array H×W×3 uint8 RGB.
        points: P×2 for one object or N×P×2 for N, (x, y) in pixels of the picture.
        labels: of the same leading shape as points: 1 is on the object (the default), 0 on the background.
        boxes: one (x0, y0, x1, y1), or N×4, in pixels of the picture.
        masks: H×W bool of an object, or the logits of an earlier answer.
        multimask: give three candidates per object instead of one.

        Objects go through the mask decoder in passes of the configuration's object_batch. Raises UsageError for prompts
        that do not fit the picture or each other, FileError for a picture that cannot be read, OutOfMemory where the
        device is too small.

        Example:
            import numpy

            picture = numpy.zeros((480, 640, 3), numpy.uint8)
            segmented = session.segment(picture, boxes=[100, 100, 300, 300])
            print(segmented.masks.shape, segmented.scores)  # N×1×H×W bool, N×1 float32
        """
        picture = read_picture(image)
        return self._run(
            lambda network: segment(
                network, picture, points=points, labels=labels, boxes=boxes, masks=masks, multimask=multimask
            )
        )

    def automask(
        self,
        image: Any,
        *,
        points_per_side: int = 32,
        crop_layers: int = 0,
        pred_iou_threshold: float = 0.8,
        stability_threshold: float = 0.95,
        nms_threshold: float = 0.7,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[AutomaticMask]:
        """All masks of one picture, found from a grid of points, the best first.

        image: as in segment.
        points_per_side: the grid has so many points by so many.
        crop_layers: layer N looks again at 4**N overlapping crops, each with a grid of its own, and finds smaller
            things; masks of smaller crops come first then.
        pred_iou_threshold, stability_threshold, nms_threshold: the filters; defaults are SAM2AutomaticMaskGenerator's.
        progress: called with (passes done, passes in all) after each pass.

        Neither points nor crops take more memory on the device: points go through the mask decoder in passes of the
        configuration's object_batch, and crops are computed one after the other at its resolution. Raises as segment
        does.
        """
        picture = read_picture(image)
        return self._run(
            lambda network: automask(
                network,
                picture,
                points_per_side=points_per_side,
                crop_layers=crop_layers,
                pred_iou_threshold=pred_iou_threshold,
                stability_threshold=stability_threshold,
                nms_threshold=nms_threshold,
                progress=progress,
            )
        )

    def track(
        self,
        source: Any,
        prompts: Iterable[Mapping[str, Any] | Prompt] = (),
        *,
        reverse: bool = False,
        start: int | None = None,
        history: int = 0,
        scores: bool = False,
        resume: str | Path | None = None,
    ) -> Tracking:
        """Follow objects through a video: iterate over (frame index, {object: H×W bool}).

        source: a video file, a folder of pictures, an array T×H×W×3, a list, a generator, "camera:0" or the address of
            a stream.
        prompts: {"frame", "object", and "points" with "labels", "box" or "mask"} in pixels of the source, or {"frame",
            "object", "end": True} where the object is gone from that frame on. Prompts on later frames are known from
            the beginning where the source can be read again, else when their frame arrives.
        reverse: begin at the last prompted frame and go back. By default tracking begins at the first and goes forward.
        start: begin at this frame instead.
        history: how many frames back a prompt may be added later, at the cost of the masks of these frames.
        scores: give float32 mask scores instead of masks.
        resume: a file of Tracking.save, after whose last frame tracking is resumed.

        Memory on the device does not depend on the length of the clip. Raises UsageError for prompts that do not fit,
        FileError for a source that cannot be read, OutOfMemory where the device is too small.

        Example:
            clip = numpy.zeros((3, 480, 640, 3), numpy.uint8)
            with session.track(clip, [{"frame": 0, "object": 1, "points": [[320, 240]]}]) as tracking:
                for frame, masks in tracking:
                    print(frame, masks[1].shape)
        """
        self._ladder.network  # noqa: B018 - which says what is wrong before anything is opened
        if self._task != "video":
            raise UsageError(f"This session was loaded for the task {self._task}.", 'Load with task="video".')
        frames = open_frames(source)
        try:
            return Tracking(
                self._ladder,
                frames,
                prompts,
                reverse=reverse,
                start=start,
                history=history,
                scores=scores,
                resume=resume,
            )
        except BaseException:
            frames.close()
            raise

    def memory(self) -> MemoryUse | None:
        """What the device's allocator has counted since loading; None where it does not count (CPU, MPS)."""
        device = self._ladder.device
        if device.type != "cuda":
            return None
        return MemoryUse(
            allocated_bytes=torch.cuda.memory_allocated(device),
            reserved_bytes=torch.cuda.memory_reserved(device),
            peak_allocated_bytes=torch.cuda.max_memory_allocated(device),
            peak_reserved_bytes=torch.cuda.max_memory_reserved(device),
        )

    def to(self, device: str) -> Session:
        """Bring weights and memory banks to the CPU, so that others have the GPU, or back. Gives the session itself.

        device: "cpu", or the device that it was loaded on. While it rests on the CPU it computes nothing; clips that
        are being tracked go on where they were when it is back. Raises UsageError for any other device, OutOfMemory
        where the GPU has no room any more: then it rests on, and may be tried again.
        """
        home = self._ladder.device
        known = {"cpu": "cpu", str(home): str(home), home.type: str(home)}
        if device not in known:
            raise UsageError(
                f"A session on {home} cannot be brought to {device!r}.",
                f'Give "cpu" or "{home}"; for another device load it again (planner.load).',
            )
        if known[device] == str(home):
            self._ladder.wake()
        else:
            self._ladder.rest()
        return self

    def close(self) -> None:
        """Give all memory back, on the device and on the host; clips that are being tracked end. May be repeated.

        What is asked of it later raises UsageError.
        """
        self._ladder.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def process_bytes(self) -> int | None:
        """What the driver counts for this process on the GPU, with its context; None where it does not say."""
        device = self._ladder.device
        if device.type != "cuda":
            return None
        if self._driver is None:
            self._driver = Driver(uuid_of(device))
        return self._driver.listed_bytes()

    def _run(self, action: Callable[[Network], Any]) -> Any:
        ladder = self._ladder
        return ladder.run(lambda: action(ladder.network), lambda reason: ladder.step_down(None, reason))


def _own_gpu(plan: Plan | None) -> int | None:
    """The index of the plan's own GPU, among those that torch sees; `sam2-plan check` judges the same one."""
    planned = plan.budget.gpu.uuid if plan and plan.budget.gpu else None
    if planned is None:
        return None
    places = range(torch.cuda.device_count())
    return next((place for place in places if uuid_of(torch.device("cuda", place)) == planned), None)


def find_device(name: str, plan: Plan | None = None) -> torch.device:
    """The device that `name` means; of "auto" the GPU that the plan was made for, where torch sees it.

    Where "auto" finds none it is the CPU, with a DeviceWarning. Raises UsageError for a name that is none,
    EnvironmentFailure for one not here.
    """
    if name == "auto" and torch.cuda.is_available():
        return torch.device("cuda", _own_gpu(plan) or 0)
    if name == "auto":
        name = "mps" if torch.backends.mps.is_available() else "cpu"
        if name == "cpu":
            warnings.warn(_why_no_gpu(), DeviceWarning, stacklevel=2)
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"{name!r} is not a device.", remedy(name, DEVICES)) from error
    if device.type not in ("cuda", "mps", "cpu"):
        raise UsageError(f"{name!r} is not a device that is supported.", remedy(name, DEVICES))
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise EnvironmentFailure(
                f"There is no {name}: torch sees {count} GPUs.", "Use --device cpu, or check the driver."
            )
        # Named with its index, so that tensors and device compare equal.
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise EnvironmentFailure("torch has no MPS on this machine.", "Use --device cpu.")
    return device


def _why_no_gpu() -> str:
    built = torch.version.cuda or torch.version.hip
    why = "torch sees no GPU" if built else f"torch {torch.__version__} is built for the CPU alone"
    return f"{why}, so SAM 2 runs on the CPU, many times slower; the device cpu says that this is meant."


def check_configuration(configuration: Configuration, device: torch.device) -> None:
    """Raises UsageError where the device cannot run the configuration, with the reason."""
    height, width = configuration.resolution
    if min(height, width) <= 0 or height % RESOLUTION_STEP or width % RESOLUTION_STEP:
        raise UsageError(f"{height}x{width} is no resolution of SAM 2.", f"Use multiples of {RESOLUTION_STEP}.")
    allowed = {"variant": VARIANTS, "version": VERSIONS, "precision": PRECISIONS, "attention": ATTENTIONS}
    for name, values in allowed.items():
        check_word(getattr(configuration, name), name, values)
    if not configuration.bounded_memory_bank:
        raise UsageError(
            "A memory bank that keeps everything is what the stock predictor is for.",
            "Load the configuration with bounded_memory_bank=True; the masks are the same.",
        )
    if configuration.object_batch < 1:
        raise UsageError(f"object_batch {configuration.object_batch} is not positive.", "Use 1 or more.")
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        reason = why_unsupported(configuration.precision, configuration.attention, capability)
        if reason:
            other = what_it_lacks(configuration.precision, configuration.attention, capability) == reason
            remedy = "Plan for this GPU (--device)." if other else "Install that torch, or use another GPU."
            raise UsageError(f"The configuration cannot run here: {reason}.", remedy)
    dtype = WEIGHTS.get(configuration.precision, AUTOCAST.get(configuration.precision, torch.float32))
    check_kernel(configuration.attention, configuration.variant, device, dtype)


def _not_loaded(configuration: Configuration, reason: str, cap: MemoryCap | None) -> OutOfMemory:
    """What to raise where memory ran out before the weights were on the device."""
    held = "" if cap is None else f" {cap}."
    return OutOfMemory(
        f"Memory ran out while {describe(configuration)} was loaded: {reason.rstrip('.')}.{held}",
        "Free the device's memory, or plan for less (--vram).",
    )


def _chosen(plan_or_configuration: Plan | Configuration) -> tuple[Plan | None, Configuration]:
    if isinstance(plan_or_configuration, Configuration):
        return None, plan_or_configuration
    if not isinstance(plan_or_configuration, Plan):
        raise UsageError(
            f"{type(plan_or_configuration).__name__} is neither a plan nor a configuration.",
            "Give what planner.plan or planner.Plan.load returns.",
        )
    if plan_or_configuration.chosen is None:
        if hasattr(plan_or_configuration, "require"):
            plan_or_configuration.require()
        raise UsageError("Nothing fits this plan's budget, so there is nothing to load.", "See its suggestions.")
    return plan_or_configuration, plan_or_configuration.chosen.configuration
