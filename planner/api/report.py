"""`planner.save_report`: answers as a page to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.api.plans import Plan
from planner.errors import UsageError
from planner.nouns import answers as nouns

if TYPE_CHECKING:
    from planner.api.confirm import Confirmation
    from planner.api.rehearse import Rehearsal
    from planner.page.answers import Answer

    Shown = Plan | nouns.Packing | Rehearsal | Confirmation | str | Path


def save_report(answers: Shown | Sequence[Shown], path: str | Path = "report.html") -> Path:
    """Write answers as one HTML page: the decision, all candidates, memory over a clip, and sliders that price again.

    answers: plans and packings, and beside them what rehearse and confirm found; values, or the paths of files that
        hold them. One of them, or a sequence.
    path: the file, which is written whole or not at all. It needs no network and no Python to be read.

    Returns the path. Raises UsageError where there is no plan among the answers or where they are too many for a page,
    FileError for a file that holds none, EnvironmentFailure where the page cannot be written.

    Example:
        planner.save_report(plan, "report.html")
    """
    from planner.page.html import page
    from planner.text.files import write

    several = list(answers) if isinstance(answers, Sequence) and not isinstance(answers, str) else [answers]
    write(
        Path(path),
        page([_answer(one, f" {number}" if len(several) > 1 else "") for number, one in enumerate(several, 1)]),
    )
    return Path(path)


def _answer(value: Any, number: str) -> Answer:
    from planner.page.answers import Answer, answer_of, read_answer

    if isinstance(value, str | Path):
        return read_answer(Path(value))
    if isinstance(value, Plan):
        return answer_of(value, f"plan{number}")
    if isinstance(value, nouns.Packing):
        from planner.wire.packing import PACKED_GPU, PACKING

        gpus = [PACKED_GPU.write(gpu, command=None, reason="see sam2-plan --streams") for gpu in value.gpus]
        return Answer(
            f"packing{number}", PACKING.write(value, gpus=gpus), value.plan, [gpu.budget for gpu in value.gpus]
        )
    from planner.api.confirm import Confirmation
    from planner.api.rehearse import Rehearsal
    from planner.wire.confirmation import CONFIRMATION

    if isinstance(value, Rehearsal):
        return Answer(f"rehearsal{number}", value.to_dict())
    if isinstance(value, Confirmation):
        return Answer(f"confirmation{number}", CONFIRMATION.write(value))
    raise UsageError(f"A {type(value).__name__} is nothing that a report shows.", "Give plans, or paths of files.")
