"""Watching the GPU from outside while trials run on it: whether it is still there, and who else uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from planner.measure.sweep import Runner
from planner.measure.trial import FAILED, LOST, Outcome, Trial
from planner.nouns.machine import PresentGpu


def watched(uuid: str, attempt: Runner, look: Callable[[], Sequence[PresentGpu]]) -> Runner:
    """`attempt`, with what `look` shows before and after it.

    A GPU that is not there makes the outcome lost. A process that is there before the trial makes it not alone, and
    its context unknown.
    """

    def find() -> PresentGpu | None:
        return next((gpu for gpu in look() if gpu.uuid == uuid and gpu.card_bytes is not None), None)

    def try_watched(trial: Trial) -> Outcome:
        before = find()
        if before is None:
            return Outcome(outcome=LOST, error=f"the driver shows no GPU {uuid}.")
        outcome = attempt(trial)
        if outcome.outcome == FAILED and find() is None:
            return replace(
                outcome, outcome=LOST, error=f"the driver shows no GPU {uuid}. {outcome.error or ''}".strip()
            )
        return replace(outcome, alone=False, context_bytes=None) if before.processes else outcome

    return try_watched
