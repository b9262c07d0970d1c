"""The runtime behind planner.load, driven: as a session, and below it, where nothing is read. Nowhere else.

A session is what is measured and rehearsed. A trace of tensors without data cannot read pictures or encode masks; it
drives the steps that a session takes with a network, and the rest is what every trace leaves out.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import torch

from planner.driving import prompts
from planner.driving.calls import ROUNDS
from planner.driving.clips import Black
from planner.driving.watch import Watch
from planner.nouns.plan import Plan
from planner.nouns.run import Run
from planner.runtime import automatic, segmentation
from planner.runtime.network import Context, Network, build, place
from planner.runtime.session import Session, load_session
from planner.runtime.tracker import Tracker

# -- a session ------------------------------------------------------------------------------------------


def load(
    run: Run, device: str, watch: Watch, checkpoint: str | Path | None = None, plan: Plan | None = None
) -> Session:
    """What planner.load makes of the configuration, or of a plan, which says what to fall back to.

    Without a checkpoint its weights are random.
    """
    with watch.phase("load"):
        return load_session(
            run.configuration if plan is None else plan,
            checkpoint=checkpoint,
            random_weights=checkpoint is None,
            device=device,
            fallback=plan is not None,
            task=run.workload.task,
            watch=watch,
        )


def drive(run: Run, session: Session, watch: Watch, clip: Black) -> None:
    """Do what `run` says with a loaded session, on the pictures of `clip`. Prompts are boxes."""
    task, boxes = run.workload.task, prompts.boxes(run).tolist()
    with watch.phase("track" if task == "video" else "output"):
        if task == "video":
            asked = [{"frame": 0, "object": number + 1, "box": box} for number, box in enumerate(boxes)]
            clips = [map(clip.picture, range(clip.frames)) for _ in range(run.workload.streams)]
            trackings = [session.track(pictures, asked) for pictures in clips]
            # A frame of each in turn.
            for _ in chain.from_iterable(zip(*trackings, strict=True)):
                watch.tick()
        elif task == "image":
            for number in range(ROUNDS):
                session.segment(clip.picture(number), boxes=boxes)
                watch.tick()
        else:
            # Every mask passes the filters, which is the worst case.
            session.automask(clip.picture(0), pred_iou_threshold=0.0, stability_threshold=0.0)
            watch.tick()


# -- a network, of tensors that may have no data --------------------------------------------------------


def load_network(run: Run, device: str, watch: Watch, contexts: Context | None = None) -> Network:
    """The network of the run. `contexts`: what computing takes place in, instead of autocast and kernels of its own."""
    configuration, where = run.configuration, torch.device(device)
    with watch.phase("load"):
        model = build(configuration)
        with watch.phase("load", "weights"):
            place(model, configuration, where, video=run.workload.task == "video")
        watch.model(model)
        with watch.phase("load", "positional tables"):
            return Network(model, configuration, where, contexts=contexts, watch=watch)


def drive_network(
    run: Run, network: Network, watch: Watch, frame: Callable[[Network], torch.Tensor], *, rounds: int = ROUNDS
) -> None:
    """Do what `run` says with a network. `frame` makes the tensor of a frame (1×3×H×W, normalised) on its device."""
    task = run.workload.task
    if task == "image":
        _image(run, network, watch, rounds)
    elif task == "video":
        _video(run, network, watch, frame)
    else:
        _automask(run, network, watch)


def _video(run: Run, network: Network, watch: Watch, frame: Callable[[Network], torch.Tensor]) -> None:
    """Prompt the objects on the first frame, and track through all."""
    frames = run.workload.frames
    assert frames is not None, "a clip without end is driven for a number of frames"
    watch.section("init")
    # As for a clip without end: a shorter one has fewer pointers at most.
    following = Tracker(network, run.workload.frame_size, length=None)
    for number in range(run.workload.objects):
        watch.section(f"prompt {number}")
        following.prompt(_prompt(run, number), lambda: frame(network))
        _tell_of_memories(following, watch)
    watch.section("propagate")
    with watch.phase("track"):
        for number in range(frames):
            following.track(number, lambda: frame(network))
            _tell_of_memories(following, watch)
            for name in following.memories:
                with watch.phase("output", "outputs"):
                    scores = following.scores(name, number)
                    assert scores is not None
                    (scores > 0).cpu()
                    del scores
            watch.section(f"frame {number + 1}")
            watch.tick()
            watch.progress(number + 1, frames)


def _prompt(run: Run, number: int) -> Any:
    x0, y0, x1, y1 = prompts.boxes(run)[number].tolist()
    asked = SimpleNamespace(frame=0, object=number + 1, points=(), labels=(), box=None, mask=None)
    if run.prompt == "mask":
        asked.mask = numpy.zeros(run.workload.frame_size, dtype=numpy.bool_)
    elif run.prompt == "point":
        asked.points, asked.labels = ((x0, y0),), (1,)
    else:
        asked.box = (x0, y0, x1, y1)
    return asked


def _tell_of_memories(following: Tracker, watch: Watch) -> None:
    for known in following.memories.values():
        for entry in known.entries():
            watch.holds("memory bank", [entry.features, entry.pointer, entry.scores])
    if following.features is not None:
        watch.holds("image features", [following.features.coarse, *following.features.fine])


def _image(run: Run, network: Network, watch: Watch, rounds: int) -> None:
    """Segment a picture, several times."""
    asked: dict[str, Any] = {"boxes": prompts.boxes(run)}
    if run.prompt == "point":
        asked = {"points": prompts.points(run)[:, None]}
    elif run.prompt == "mask":
        asked = {"masks": numpy.zeros((run.workload.objects, *network.low_size), dtype=numpy.float32)}
    for number in range(rounds):
        watch.section(f"round {number}")
        segmentation.segment(network, _nothing(run), **asked)
        watch.tick()
        watch.progress(number + 1, rounds)


def _automask(run: Run, network: Network, watch: Watch) -> None:
    """All masks of one picture, with the thresholds that a session has unless it is told others."""
    watch.section("image")
    with watch.phase("output"):
        automatic.automask(
            network,
            _nothing(run),
            points_per_side=32,
            pred_iou_threshold=0.8,
            stability_threshold=0.95,
            nms_threshold=0.7,
            progress=watch.progress,
        )
        watch.tick()


def _nothing(run: Run) -> numpy.ndarray:
    """A picture of the right shape that takes no memory."""
    return numpy.broadcast_to(numpy.zeros((), dtype=numpy.uint8), (*run.workload.frame_size, 3))
