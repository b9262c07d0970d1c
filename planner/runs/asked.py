"""What is asked of runs, whatever their input: checked once, and a job made of it for each input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from planner.errors import UsageError
from planner.nouns.plan import Plan
from planner.outputs.layout import PART_FRAMES, check_saves
from planner.runs.arguments import (
    check_options,
    check_start,
    checked_prompts,
    one_checkpoint,
    opened_clip,
    require_libraries,
)
from planner.runs.job import Job, Weights
from planner.sources.opening import open_picture, orientation_of


def weights_of(checkpoint: str | Path | None, random_weights: bool, seed: int, device: str, fallback: bool) -> Weights:
    """The weights that are asked for. Raises UsageError for none, and for a checkpoint beside random ones."""
    return Weights(checkpoint=one_checkpoint(checkpoint, random_weights), seed=seed, device=device, fallback=fallback)


class Asked:
    """What is asked of runs, whatever their input, checked against the plan's task."""

    def __init__(
        self,
        *,
        plan: Plan,
        saves: Sequence[str] | None,
        weights: Weights,
        reverse: bool = False,
        frames: int | None = None,
        multimask: bool = False,
        start: int | None = None,
        points_per_side: int | None = None,
        crop_layers: int | None = None,
    ) -> None:
        """Raises UsageError for what does not go together, EnvironmentFailure for libraries that are missing."""
        if plan.chosen is None:
            raise UsageError("The plan has no choice: nothing fits its budget.", "Plan again for more memory.")
        self.plan, self.weights = plan, weights
        self.task = plan.request.workload.task
        check_options(self.task, reverse, frames, multimask, start, points_per_side, crop_layers)
        self.saves = check_saves(saves, self.task)
        require_libraries(self.saves)
        self._start, self._reverse = start, reverse
        self._options: dict[str, Any] = {
            "reverse": reverse,
            "limit": frames,
            "multimask": multimask,
            "start": start,
            "points_per_side": points_per_side,
            "crop_layers": crop_layers,
        }

    def job(
        self,
        source: Any,
        out: Path,
        prompts: str | Path | Iterable[Any],
        stack: ExitStack,
        **outside: Any,
    ) -> Job:
        """The run of one input, opened, whose reader is closed with the stack. Raises as `run` does.

        outside: what else the job needs of the outside world: load, progress, committed, watch.
        """
        clip = opened_clip(source, stack) if self.task == "video" else None
        picture: Any = open_picture(source) if clip is None else None
        size, length = (clip.size, clip.length) if clip is not None else (picture.shape[:2], 1)
        orientation = clip.orientation if clip is not None else orientation_of(source)
        if clip is not None:
            check_start(self._start, clip)
        return Job(
            plan=self.plan,
            source=source,
            frames=clip,
            picture=picture,
            out=out,
            prompts=checked_prompts(prompts, self.task, size, length, self.saves, orientation, self._reverse),
            saves=self.saves,
            weights=self.weights,
            part_frames=PART_FRAMES,
            **self._options,
            **outside,
        )
