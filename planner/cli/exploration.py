"""What `sam2-plan explore` changes and what it answers; knows nothing of a terminal."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import planner
from planner.api.plans import Plan
from planner.errors import PlannerError
from planner.nouns.estimate import Estimate
from planner.nouns.words import PRECISIONS, VARIANTS
from planner.page.answers import sides_of
from planner.text.command_lines import planning_command
from planner.text.units import format_resolution, format_size, parse_size

COUNTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 750, 1000)
LENGTHS = (10, 25, 50, 100, 250, 500, 1000, 2000, 5000, 10_000)
GIGABYTES = (1, 2, 3, 4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128)
ENDLESS = 2**62
"""A clip without end, behind all lengths."""


class Row:
    """One thing that can be changed, in steps."""

    def __init__(self, name: str, steps: tuple[Any, ...], now: Any) -> None:
        self.name, self.steps, self.value = name, steps, now

    @property
    def text(self) -> str:
        """The value for people."""
        if self.value is None or self.value == ENDLESS:
            return "without end"
        if isinstance(self.value, tuple):
            return format_resolution(self.value)
        if self.name == "budget":
            return format_size(self.value)
        return f"{self.value:,}" if isinstance(self.value, int) else str(self.value)

    def step(self, by: int) -> bool:
        """Go to the next step up (1) or down (-1); whether there is one."""
        place = self._place(by)
        if not 0 <= place < len(self.steps):
            return False
        self.value = self.steps[place]
        return True

    @property
    def ends(self) -> tuple[bool, bool]:
        """Whether there is a step down, and one up."""
        return self._place(-1) >= 0, self._place(1) < len(self.steps)

    def _place(self, by: int) -> int:
        if self.value in self.steps:
            return self.steps.index(self.value) + by
        keys = [_key(step) for step in self.steps]  # a value that was given, between two steps
        return bisect_right(keys, _key(self.value)) if by > 0 else bisect_left(keys, _key(self.value)) - 1


def _key(value: Any) -> Any:
    return value[0] * value[1] if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Answer:
    """What a setting takes."""

    plan: Plan
    """Pinned to the setting; it chose nothing where that does not fit."""
    estimate: Estimate | None
    """Of the choice, else what the setting would take; None where that cannot be said."""

    @property
    def reason(self) -> str | None:
        """Why it does not fit; None where it does."""
        if self.plan.chosen is not None:
            return None
        return self.plan.rejected[0].reason if self.plan.rejected else "no configuration is open"

    @property
    def command(self) -> str:
        """What plans this setting."""
        return planning_command(self.plan.request, self.plan.budget)


class Exploration:
    """Rows that begin at the best plan for a request, and the answer for where they stand."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        """asked: keywords of planner.plan. Raises what that raises."""
        self._asked = dict(asked)
        begin = planner.plan(**self._asked)
        workload = begin.request.workload
        first = begin.chosen.configuration if begin.chosen else begin.rejected[0].configuration
        self.rows = [
            Row("variant", VARIANTS, first.variant),
            Row("resolution", tuple(sides_of(begin)), first.resolution),
            Row("precision", PRECISIONS, first.precision),
        ]
        if workload.task != "automask":
            self.rows.append(Row("objects", COUNTS, workload.objects))
        if workload.task == "video":
            self.rows.append(Row("frames", (*LENGTHS, ENDLESS), workload.frames or ENDLESS))
        if begin.budget.source == "vram":
            sizes = tuple(parse_size(f"{size}GB") for size in GIGABYTES)
            self.rows.append(Row("budget", sizes, begin.budget.total_bytes))

    def answer(self) -> Answer:
        """What the setting takes, as planning says it."""
        asked = {**self._asked, **self._set()}
        plan = planner.plan(**asked)
        return Answer(plan, plan.estimate or _without(plan))

    def _set(self) -> dict[str, Any]:
        found = {row.name: row.value for row in self.rows}
        if "budget" in found:
            found["vram"] = found.pop("budget")
        if "frames" in found:
            found["frames"] = None if found["frames"] == ENDLESS else found["frames"]
        return found


def _without(plan: Plan) -> Estimate | None:
    """What a setting that does not fit would take; None where the GPU cannot run it."""
    one, workload, budget = plan.rejected[0].configuration, plan.request.workload, plan.budget
    where: dict[str, Any] = {"gpu": budget.gpu.name} if budget.gpu else {"vram": budget.total_bytes}
    try:
        return planner.predict(
            variant=one.variant, version=one.version, resolution=one.resolution, precision=one.precision,
            attention=one.attention, task=workload.task, frame_size=workload.frame_size,
            objects=workload.objects if workload.task != "automask" else 1,
            frames=workload.frames if workload.task == "video" else None, **where,
        )  # fmt: skip
    except PlannerError:
        return None
