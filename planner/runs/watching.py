"""Memory beside the plan while a run goes on: now, over time, and as a warning before it becomes an error."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.machine.cap import cap_from
from planner.nouns.machine import CAP_VARIABLE
from planner.nouns.plan import Plan
from planner.nouns.watched import MemorySample
from planner.text.units import format_size

if TYPE_CHECKING:
    from planner.runtime.session import Session

INTERVAL_SECONDS = 0.5
"""How often memory is looked at: each look asks the allocator and the driver, which would be felt on every frame."""
MOST_SAMPLES = 120
"""Of a run, however long: where there are more, each two become one."""
NEARLY_ALL = 0.95
"""Share of what the process may take at which it is warned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the process takes, as of the last look."""

    allocated_bytes: int
    reserved_bytes: int
    peak_reserved_bytes: int
    """The most that the allocator has held since loading."""
    process_bytes: int | None
    """What the driver counts; None where it does not say."""


class MemoryWatch:
    """Looks at a session's memory every now and then; what it warns of is told once each."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, environment: Mapping[str, str] = os.environ
    ) -> None:
        self.warnings: list[str] = []
        """All that it has warned of."""
        self._clock, self._environment = clock, environment
        self._next = 0.0
        self._seen: Seen | None = None
        self._told: set[str] = set()

    def look(self, session: Session, plan: Plan) -> tuple[Seen | None, str | None]:
        """What is taken now, or was half a second ago, and a warning that is new. None where nothing is counted."""
        if self._seen is not None and self._clock() < self._next:
            return self._seen, None
        memory = session.memory()
        if memory is None:
            return None, None
        self._next = self._clock() + INTERVAL_SECONDS
        self._seen = Seen(
            allocated_bytes=memory.allocated_bytes,
            reserved_bytes=memory.reserved_bytes,
            peak_reserved_bytes=memory.peak_reserved_bytes,
            process_bytes=session.process_bytes(),
        )
        return self._seen, self._warning(self._seen, plan)

    def _warning(self, seen: Seen, plan: Plan) -> str | None:
        for kind, text in self._reasons(seen, plan):
            if kind not in self._told:
                self._told.add(kind)
                self.warnings.append(text)
                return text
        return None

    def _reasons(self, seen: Seen, plan: Plan) -> list[tuple[str, str]]:
        estimate, cap = plan.estimate, cap_from(self._environment)
        assert estimate is not None
        found = []
        bound = estimate.upper_bytes - estimate.context_high_bytes
        if seen.reserved_bytes > bound:
            text = f"{format_size(seen.reserved_bytes)} are reserved, which is above the plan's bound of"
            found.append(("bound", f"{text} {format_size(bound)}: other work on this GPU may lack it"))
        limit, whose = (cap, CAP_VARIABLE) if cap else (plan.budget.total_bytes, "the plan's budget")
        # Where the driver does not count, the context is as predicted.
        taken = seen.process_bytes or seen.reserved_bytes + estimate.context_bytes
        if taken >= NEARLY_ALL * limit:
            text = f"the process takes {format_size(taken)} of the {format_size(limit)} of {whose}"
            found.append(("limit", f"{text}: it may soon run out of memory (--fallback goes on with less)"))
        return found


def joined(samples: Sequence[MemorySample], sample: MemorySample) -> tuple[MemorySample, ...]:
    """A run's samples and a new one: evenly over time, and never more than MOST_SAMPLES."""
    found = list(samples)
    # As far apart as a whole run of this length allows, at least as far as looks are.
    apart = max(INTERVAL_SECONDS, sample.seconds / MOST_SAMPLES)
    before = found[-2].seconds if len(found) > 1 else 0.0
    if found and sample.seconds - before < apart:
        found[-1] = sample.with_most_of(found[-1])
    else:
        found.append(sample)
    if len(found) > MOST_SAMPLES:
        pairs = zip(found[::2], found[1::2], strict=False)
        rest = found[len(found) // 2 * 2 :]
        found = [*(second.with_most_of(first) for first, second in pairs), *rest]
    return tuple(found)
