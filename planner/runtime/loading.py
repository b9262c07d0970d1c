"""`planner.load`, without torch until it is called."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import EnvironmentFailure
from planner.nouns.plan import Plan
from planner.nouns.run import Configuration
from planner.nouns.words import Task

if TYPE_CHECKING:
    from planner.runtime.session import Session


def load(
    plan_or_configuration: Plan | Configuration,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    *,
    random_weights: bool = False,
    seed: int = 0,
    fallback: bool = False,
    task: Task | None = None,
) -> Session:
    """A plan's configuration on a device, ready to run, as a planner.Session.

    checkpoint: a file, a folder that holds official files or those of transformers (with those of several variants in
        it, fallback may change the variant), or an official id of the hub.
    device: "auto" takes the GPU that the plan was made for, else the first, else MPS, else the CPU; or "cuda",
        "cuda:N", "mps", "cpu".
    random_weights: stand in for a checkpoint, to try memory and speed; masks mean nothing. seed makes them.
    fallback: step down to the plan's next smaller configuration where memory runs out.
    task: which parts of SAM 2 are loaded; by default the plan's task, else "video", which can do all.

    On a GPU torch's allocator grows its segments from then on, in the whole process (expandable_segments), unless
    PYTORCH_ALLOC_CONF settles it: a tenth to a third less is reserved.

    Raises EnvironmentFailure where torch or sam2 are missing, DoesNotFit for a plan without a choice, UsageError for a
    device or kernel that is not there, FileError for a checkpoint that is damaged, hostile or of another variant,
    OutOfMemory where the weights do not fit the device.

    Example:
        small = planner.plan(task="video", vram="2GB", variant="tiny", resolution=256, precision="float32")
        session = planner.load(small, random_weights=True, device="cpu")  # or checkpoint="sam2.1_hiera_tiny.pt"
    """
    first = "planner.runtime.session" not in sys.modules
    try:
        from planner.runtime.session import load_session
    except ImportError as error:
        raise EnvironmentFailure(
            f"Running SAM 2 needs torch and sam2: {error}.", 'Install them with: pip install "sam2-plan[run]"'
        ) from error
    if first:
        # Importing torch leaves the frames of all its callers in reference cycles: whoever asked for the session would
        # keep it, and its weights on the GPU, until Python happens to look for cycles.
        gc.collect()
    return load_session(
        plan_or_configuration,
        checkpoint,
        device,
        random_weights=random_weights,
        seed=seed,
        fallback=fallback,
        task=task,
    )
