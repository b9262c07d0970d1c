"""Drive this project's own runtime on a fake GPU, the way a session drives it.

What is traced is the runtime's code down to the masks that leave the GPU. Replaced is what reads data: pictures are
empty tensors of the right form, and run-length encoding happens nowhere.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy
import torch
import torchvision  # noqa: F401  (registers its operations)
from sam2.modeling import position_encoding
from sam2.modeling.sam import transformer

from planner.domain import Configuration
from planner.runtime import automatic, memory, memory_bank, segmentation, tracker
from planner.runtime.network import AUTOCAST, Network, build, place
from planner.runtime.tracker import Tracker
from planner.simulator import events
from planner.simulator.torch_adapters import FakeGpu
from planner.simulator.torch_operations import handle_torchvision
from planner.simulator.torch_patches import torch_with_cuda

REPEATED = (
    r"sam_mask_decoder",
    r"memory_encoder\.\w+",
    r"memory_attention\.layers\.\d+\.\w+",
    r"image_encoder\.trunk\.blocks\.\d+\.\w+",
)
"""Modules whose calls depend on nothing but the form of their arguments; functions that do are wrapped below."""
ROUNDS = 3
"""How often a picture is segmented: from the second on, old features are replaced."""

POINT_PASSES = 4
"""Passes of points over a picture that are traced: masks leave the GPU one by one, so that the rest do as these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRun:
    """What is traced."""

    task: str
    configuration: Configuration
    frames: int
    objects: int
    frame_size: tuple[int, int]
    prompt: str = "box"
    """box, point or mask."""
    points_per_side: int = 32


def trace_own(run: OwnRun, gpu: FakeGpu, progress: Callable[[int, int], None] | None = None) -> events.Trace:
    """Run `run` on `gpu`; the trace, with a mark where each section begins."""
    handle_torchvision()
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        for patch in patches(gpu):
            stack.enter_context(patch)
        stack.enter_context(gpu.run())
        gpu.trace.mark("load")
        network = load(run, gpu)
        stack.enter_context(network.computing())
        drive(run, gpu, network, progress or (lambda done, total: None))
        gpu.trace.mark("end")
    return gpu.trace


def load(run: OwnRun, gpu: FakeGpu) -> Network:
    """The network of the run on the fake device."""
    device = torch.device(gpu.device)
    with gpu.phase_of("load"):
        model = build(run.configuration)
        with gpu.phase_of("load", events.WEIGHTS):
            place(model, run.configuration, device, video=run.task == "video")
        gpu.name_modules(model)
        with gpu.phase_of("load", events.TABLES):
            dtype = AUTOCAST.get(run.configuration.precision)
            return Network(model, run.configuration, device, contexts=lambda: gpu.autocast(dtype))


def patches(gpu: FakeGpu) -> Iterator[contextlib.AbstractContextManager[Any]]:
    """What is replaced in the runtime, to be entered around a run."""
    if gpu.device == "cuda":
        for module in (position_encoding, transformer):
            yield mock.patch.object(module, "torch", torch_with_cuda())
    for module in (tracker, segmentation):
        encode = gpu.repeated(module.encode, "encode")
        yield mock.patch.object(module, "encode", gpu.in_phase(encode, "encode"))
    if gpu.device == "cuda":
        yield mock.patch.object(memory_bank.Shelf, "ask", _on_its_own_stream(gpu, memory_bank.Shelf.ask))
    for name in ("decode", "remember"):
        yield mock.patch.object(tracker, name, gpu.repeated(getattr(tracker, name), name))
    yield mock.patch.object(memory, "_attend", gpu.repeated(memory._attend, "attend"))
    yield mock.patch.object(segmentation, "prepare_picture", lambda network, picture: _picture(gpu, network))
    for module in (segmentation, automatic):
        yield mock.patch.object(module, "predict", gpu.in_phase(module.predict, "prompt"))
    yield mock.patch.object(Network, "enlarge", gpu.in_phase(Network.enlarge, "output", events.OUTPUTS))
    yield mock.patch.object(automatic, "run_lengths", return_value={})


def _on_its_own_stream(gpu: FakeGpu, method: Callable[..., Any]) -> Callable[..., Any]:
    """The method; what it allocates lies on another stream, as where there is a GPU."""

    def call(*args: Any) -> Any:
        first = len(gpu.trace.allocations)
        result = method(*args)
        gpu.trace.elsewhere.update(range(first, len(gpu.trace.allocations)))
        return result

    return call


def _picture(gpu: FakeGpu, network: Network) -> torch.Tensor:
    """A frame that comes from the host."""
    host = torch.empty((1, 3, *network.resolution), dtype=network.dtype)
    with gpu.phase_of("encode", events.FRAME):
        return host.to(network.device)


def drive(run: OwnRun, gpu: FakeGpu, network: Network, progress: Callable[[int, int], None]) -> None:
    """Do what the run says with a loaded network."""
    {"image": _drive_image, "video": _drive_video, "automask": _drive_automask}[run.task](run, gpu, network, progress)


def _drive_video(run: OwnRun, gpu: FakeGpu, network: Network, progress: Callable[[int, int], None]) -> None:
    """Prompt the objects on the first frame, and track through all."""
    gpu.trace.mark("init")
    # As for a clip without end: a shorter one has fewer pointers at most.
    following = Tracker(network, run.frame_size, length=None)
    for number in range(run.objects):
        gpu.trace.mark(f"prompt {number}")
        with gpu.phase_of("prompt"):
            following.prompt(_prompt(run, number), lambda: _picture(gpu, network))
        _label(gpu, following)
    gpu.trace.mark("propagate")
    gpu.phase = "track"
    for frame in range(run.frames):
        following.track(frame, lambda: _picture(gpu, network))
        _label(gpu, following)
        for name in following.memories:
            with gpu.phase_of("output", events.OUTPUTS):
                scores = following.scores(name, frame)
                assert scores is not None
                (scores > 0).cpu()
                del scores
        gpu.trace.mark(f"frame {frame + 1}")
        progress(frame + 1, run.frames)


def _prompt(run: OwnRun, number: int) -> Any:
    height, width = run.frame_size
    x0, y0, x1, y1 = width * 0.3, height * 0.3, width * 0.6, height * 0.6
    asked = SimpleNamespace(frame=0, object=number + 1, points=(), labels=(), box=None, mask=None)
    if run.prompt == "mask":
        asked.mask = numpy.zeros(run.frame_size, dtype=numpy.bool_)
    elif run.prompt == "point":
        asked.points, asked.labels = ((x0, y0),), (1,)
    else:
        asked.box = (x0, y0, x1, y1)
    return asked


def _label(gpu: FakeGpu, following: Tracker) -> None:
    for known in following.memories.values():
        for entry in (*known.conditioning.values(), *known.recent.values()):
            gpu.label([entry.features, entry.pointer, entry.scores], events.MEMORY_BANK)
    if following.features is not None:
        gpu.label([following.features.coarse, *following.features.fine], events.FEATURES)


def _drive_image(run: OwnRun, gpu: FakeGpu, network: Network, progress: Callable[[int, int], None]) -> None:
    """Segment a picture, several times."""
    asked = [vars(_prompt(run, number)) for number in range(run.objects)]
    picture = numpy.broadcast_to(numpy.zeros((), dtype=numpy.uint8), (*run.frame_size, 3))
    prompts: dict[str, Any] = {"boxes": [one["box"] for one in asked]}
    if run.prompt == "point":
        prompts = {"points": [one["points"] for one in asked]}
    elif run.prompt == "mask":
        prompts = {"masks": numpy.zeros((run.objects, *network.low_size), dtype=numpy.float32)}
    for number in range(ROUNDS):
        gpu.trace.mark(f"round {number}")
        segmentation.segment(network, picture, **prompts)
        progress(number + 1, ROUNDS)


def _drive_automask(run: OwnRun, gpu: FakeGpu, network: Network, progress: Callable[[int, int], None]) -> None:
    """All masks of one picture."""
    gpu.trace.mark("image")
    picture = numpy.broadcast_to(numpy.zeros((), dtype=numpy.uint8), (*run.frame_size, 3))
    points = numpy.zeros((run.configuration.object_batch * POINT_PASSES, 2))
    with gpu.phase_of("output"), mock.patch("sam2.utils.amg.build_point_grid", return_value=points):
        automatic.automask(
            network,
            picture,
            points_per_side=run.points_per_side,
            pred_iou_threshold=0.8,
            stability_threshold=0.95,
            nms_threshold=0.7,
            progress=progress,
        )
