"""`planner.load`, without torch until it is called."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from planner.domain import Configuration, Plan
from planner.errors import EnvironmentFailure
from planner.words import Task

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
    """The chosen configuration on a device, ready to run: a planner.Session.

    `checkpoint` is a file, a folder that holds official files (then fallback may change the variant), or an official
    hub id. `random_weights` stands in for one to try memory and speed; its masks mean nothing. `device`: auto takes
    the GPU that the plan was made for, else the first, else MPS, else the CPU. With `fallback`, running out of memory
    steps down to the plan's next smaller configuration. `task` (default: the plan's; else video, which can do all)
    says which parts of SAM 2 are needed.

    Raises EnvironmentFailure where torch or sam2 are missing, DoesNotFit for a plan without a choice, UsageError for a
    device or kernel that is not there, FileError for a checkpoint that is damaged, hostile or of another variant.
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
