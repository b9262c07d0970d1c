"""A process that imports torch and what is driven once, and forks a child for each of thousands of rehearsals.

`python -m planner.measure.forked`: each line of stdin is a trial as JSON, each line of stdout its outcome. A child is a
process of its own, as fresh as one that was started anew, since the parent never asks CUDA for anything. Only for
imaginary GPUs: pictures are black and weights what memory held, neither of which any size depends on.
"""

from __future__ import annotations

import contextlib
import gc
import io
import itertools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy
import torch
from PIL import Image

from planner.driving.clips import Black, Unbacked
from planner.driving.others import driver_of
from planner.errors import PlannerError
from planner.measure.trial import FAILED, Outcome, Trial, died
from planner.nouns.run import Configuration, Run, Workload
from planner.nouns.words import OTHER_RUNTIMES, TASKS


def main() -> None:
    """Answer each line."""
    run = _prepared()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    for line in sys.stdin:
        answers.write(json.dumps(asdict(_forked(run, Trial.from_dict(json.loads(line))))) + "\n")


def _prepared() -> Callable[[Trial], Outcome]:
    """What runs a trial, everything that it needs imported, and nothing started."""
    torch.set_num_threads(1)  # whoever forks must have no threads
    _leave_weights_alone()
    import sam2.automatic_mask_generator
    import sam2.build_sam
    import sam2.sam2_image_predictor  # noqa: F401

    import planner.driving.own
    import planner.driving.stock  # noqa: F401
    from planner.measure import child

    _leave_pictures_alone()
    _import_others()
    gc.collect()
    gc.freeze()  # so that collections in the children pass over what is here now
    return partial(_run, child.run)


def _run(run: Callable[..., Outcome], trial: Trial) -> Outcome:
    if trial.runtime != "ultralytics":
        return run(trial, pictures=Black)
    from planner.driving.unread import unread

    try:
        with unread(trial):
            return run(trial, pictures=Unbacked)
    except ImportError:
        return run(trial)  # which says what is missing


def _import_others() -> None:
    """What is installed of the other packages: those that miss it say so themselves."""
    for runtime, task in itertools.product(OTHER_RUNTIMES, TASKS):
        configuration = Configuration(variant="tiny", version="2.1", resolution=(1024, 1024), precision="float32")
        with contextlib.suppress(PlannerError):
            driver_of(runtime).prepare(Run(runtime=runtime, configuration=configuration, workload=Workload(task=task)))


def _forked(run: Callable[[Trial], Outcome], trial: Trial) -> Outcome:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _in_child(run, trial, write)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as file:
        text = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 0 and text:
        return Outcome.from_dict(json.loads(text))
    return Outcome(outcome=FAILED, error=died(status, text))


def _in_child(run: Callable[[Trial], Outcome], trial: Trial, write: int) -> None:
    code = 1
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            outcome = run(trial)
        with os.fdopen(write, "w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome)))
        code = 0
    finally:
        os._exit(code)


def _leave_pictures_alone() -> None:
    """Resizing is done by the host, in numbers that no kernel will read; what leaves it has its shape and type."""
    import sam2.utils.misc as stock
    from sam2.utils.transforms import SAM2Transforms

    import planner.runtime.segmentation as ours
    import planner.runtime.shots as shots
    from planner.runtime.cuda import host_tensor
    from planner.runtime.network import Network
    from planner.runtime.prepare import Form

    def prepare_frame(form: Form, picture: numpy.ndarray) -> torch.Tensor:
        return host_tensor((*form.resolution, 3), torch.uint8, pinned=form.pinned)

    def prepare_picture(network: Network, picture: numpy.ndarray) -> torch.Tensor:
        return network.lower(torch.empty((1, 3, *network.resolution))).to(network.device)

    def load_image(path: str, side: int) -> tuple[torch.Tensor, int, int]:
        with Image.open(path) as picture:
            return torch.empty((3, side, side), dtype=torch.float64), picture.height, picture.width

    def transform(self: SAM2Transforms, picture: numpy.ndarray) -> torch.Tensor:
        return torch.empty((3, self.resolution, self.resolution))

    vars(shots)["prepare_frame"] = prepare_frame
    vars(ours)["prepare_picture"] = prepare_picture
    stock._load_img_as_tensor = load_image
    SAM2Transforms.__call__ = transform


def _leave_weights_alone() -> None:
    """Filling 224 million weights with random numbers takes seconds, and no kernel will read them."""

    def unchanged(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return tensor

    for name in ("trunc_normal_", "kaiming_uniform_", "uniform_", "normal_", "xavier_uniform_", "xavier_normal_"):
        setattr(torch.nn.init, name, unchanged)


if __name__ == "__main__":
    main()
