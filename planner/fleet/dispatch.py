"""Clips to workers and back. Ray places workers, starts lost ones again and carries what they are told.

What is left to do here: a clip whose worker was lost goes to another one at once (Ray would keep it for the same
worker, which may wait for ever for a node that does not come back), and a node that cannot do the work gets no more.
"""

from __future__ import annotations

import os
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from planner.errors import EnvironmentFailure
from planner.fleet.actor import actor_class
from planner.fleet.cluster import Share, room_for
from planner.fleet.order import Answer, Attempt, Clip, Order, Report
from planner.runs.summary import ClipOutcome
from planner.text.units import counted
from planner.version import __version__

FAILURES = 3
"""Tries of a clip that fails by what may pass: a full disk, a GPU that is full for the moment."""
MAY_PASS = (1, 5)
"""Exit codes of what may pass."""
LOSSES = 3
"""Workers that a clip may take along, on nodes that live on; a node's own end is not its fault."""
TICK_SECONDS = 1.0
RECHECK_SECONDS = 60.0
"""After which a node at fault is looked at again."""
CLOSE_SECONDS = 2.0
"""For workers to end in order."""
SILENCE_SECONDS = 30.0
"""Without any worker, after which a note says so."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Member:
    """A worker: an actor of Ray, which starts it again wherever there is room."""

    actor: Any
    report: Report | None = None
    """What it last said of itself; None while it waits for a place."""
    busy: Attempt | None = None
    check_at: float | None = None
    """When to look at it again; None where its node is not at fault."""

    @property
    def ready(self) -> bool:
        return self.report is not None and not self.report.fault


class Dispatch:
    """The clips that wait, the workers, and who has what."""

    def __init__(
        self,
        ray: Any,
        share: Share,
        order: Order,
        clips: Iterable[Clip],
        *,
        workers: int | None,
        board: Any,
        ended: Callable[[ClipOutcome], object],
        note: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ray, self._share, self._clock = ray, share, clock
        self._ended, self._note = ended, note
        self._waiting = deque(Attempt(clip=clip) for clip in clips)
        self._wanted = workers
        self._members: list[_Member] = []
        self._calls: dict[Any, _Member] = {}
        self._out, self._order, self._board = order.out, pickle.dumps(order), board
        self._class = ray.remote(**share.options, max_restarts=-1, scheduling_strategy="SPREAD")(actor_class())
        self._said: set[str] = set()
        self._grow_at = 0.0
        self._heard_at = clock()

    @property
    def open(self) -> bool:
        """Whether a clip is not done with."""
        return bool(self._waiting) or any(member.busy for member in self._members)

    @property
    def at_work(self) -> list[tuple[Clip, str]]:
        """The clips that workers have, and the names of their nodes."""
        return [(one.busy.clip, one.report.host) for one in self._members if one.busy is not None and one.report]

    @property
    def workers(self) -> int:
        """Workers that can be given something, or have it."""
        return sum(member.ready for member in self._members)

    @property
    def nodes(self) -> int:
        """Nodes that they are on."""
        return len({member.report.node for member in self._members if member.ready and member.report})

    def asked(self, method: Any) -> dict[str, Any]:
        """What an actor answers that may be lost with its node, and nothing with it; empty where it does not."""
        try:
            call = method.remote()
            answer: dict[str, Any] = self._ray.get(call) if self._ray.wait([call], timeout=0.2)[0] else {}
        except self._ray.exceptions.RayError:
            return {}
        return answer

    def step(self) -> None:
        """Hand out what can be, wait a moment, and hear what has come to its end.

        Raises EnvironmentFailure where no worker is left that could do the rest.
        """
        self._grow()
        self._look_again()
        for member in self._members:
            if member.ready and not member.busy:
                self._give(member)
        if not self._calls:
            if self.open:
                time.sleep(TICK_SECONDS)
            return
        ready, _ = self._ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
        if not ready:
            ready, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=TICK_SECONDS)
        for call in ready:
            self._heard(call)
        self._complain()

    def stop(self) -> None:
        """End all workers; those at work have a moment, and what their runs had completed is kept."""
        closed = [member.actor.close.remote() for member in self._members if member.ready]
        if closed:
            self._ray.wait(closed, num_returns=len(closed), timeout=CLOSE_SECONDS)
        for member in self._members:
            self._ray.kill(member.actor)

    # -- workers --------------------------------------------------------------------------------------

    def _grow(self) -> None:
        """Ask for workers, as many as the cluster has room for by now and as there are clips for."""
        if self._clock() < self._grow_at:
            return
        self._grow_at = self._clock() + 5 * TICK_SECONDS
        room = self._wanted or room_for(self._share, self._ray.nodes())
        useful = len(self._waiting) + sum(member.busy is not None or not member.ready for member in self._members)
        for _ in range(min(room, useful) - len(self._members)):
            member = _Member(actor=self._class.remote(__version__))
            self._members.append(member)
            self._check(member)

    def _check(self, member: _Member) -> None:
        """Ask a worker what it is like; Ray keeps the question until the worker runs, here or there."""
        member.report, member.check_at = None, None
        check = member.actor.check.options(max_task_retries=-1)
        self._calls[check.remote(self._order, self._board)] = member

    def _look_again(self) -> None:
        for member in self._members:
            if member.check_at is not None and self._clock() >= member.check_at:
                self._check(member)

    def _heard(self, call: Any) -> None:
        """What a call of a worker came to."""
        member = self._calls.pop(call)
        attempt, member.busy = member.busy, None
        self._heard_at = self._clock()
        try:
            said = self._ray.get(call)
        except self._ray.exceptions.RayError as error:
            if attempt is None:
                self._unchecked(member, error)
            else:
                self._lost(member, attempt)
            return
        if attempt is not None:
            self._answered(member, attempt, pickle.loads(said))
            return
        member.report = Report(**said)
        if member.report.fault:
            self._at_fault(member, member.report.fault, member.report.hint)

    def _at_fault(self, member: _Member, fault: str, hint: str) -> None:
        """Give a worker nothing more for now. It keeps its share, so that no other is started there."""
        assert member.report is not None
        report = Report(node=member.report.node, host=member.report.host, fault=fault, hint=hint)
        member.report, member.check_at = report, self._clock() + RECHECK_SECONDS
        said = f"{report.host} ({report.node[:8]}) gets no work: {fault}"
        if said not in self._said:  # else once a minute
            self._said.add(said)
            self._note(f"{said} {hint}".strip())
        if all(other.report is not None and other.report.fault for other in self._members):
            raise EnvironmentFailure(f"No worker can do the rest. {said}", hint)

    def _unchecked(self, member: _Member, error: Exception) -> None:
        """A worker will not come again: its environment could not be set up, or somebody killed it."""
        self._members.remove(member)
        said, hint = (
            f"A worker could not be started: {' '.join(str(error).split())}",
            "Look at Ray's logs of that node.",
        )
        if "references to the actor were removed" in said:
            # The handle is here: it is the cluster that may not ask this process for it.
            said = "A worker could not be started: the cluster may not speak to this process."
            hint = "Set RAY_AUTH_MODE, and its token, as on the cluster; let no firewall stand between."
        if not self._members:
            raise EnvironmentFailure(said, hint)
        self._note(said)
        self._grow_at = self._clock() + RECHECK_SECONDS

    def _lost(self, member: _Member, attempt: Attempt) -> None:
        """A worker is gone: its clip goes to the next, and Ray starts it again."""
        assert member.report is not None
        node, host = member.report.node, member.report.host
        self._note(f"the worker on {host} ({node[:8]}) was lost; {attempt.clip.name} goes to another")
        attempt.lost_on.append(node)
        self._waiting.appendleft(attempt)
        self._check(member)

    # -- clips ----------------------------------------------------------------------------------------

    def _give(self, member: _Member) -> None:
        """The next clip to a worker; one that is not worth another try has failed."""
        while (attempt := self._next(member)) is not None:
            self._waiting.remove(attempt)
            if len(attempt.lost_on) >= LOSSES and self._blamed(attempt):
                self._ended(self._given_up(attempt))
                continue
            member.busy = attempt
            again = bool(attempt.failures or attempt.lost_on)
            self._calls[member.actor.run.remote(pickle.dumps(attempt.clip), again)] = member
            return

    def _next(self, member: _Member) -> Attempt | None:
        """The first clip that did not fail on this node; one that did where no other node is left to try."""
        assert member.report is not None
        node = member.report.node
        for attempt in self._waiting:
            if node not in attempt.failed_on:
                return attempt
        others = {other.report.node for other in self._members if other.ready and other.report}
        return next((attempt for attempt in self._waiting if others <= attempt.failed_on), None)

    def _answered(self, member: _Member, attempt: Attempt, answer: Answer) -> None:
        """A clip came to an end, for good or to be tried again."""
        outcome = answer.outcome
        assert member.report is not None
        if answer.unseen and not os.path.exists(answer.unseen):
            self._ended(outcome)  # it is not there for the command either
        elif answer.fault:
            self._waiting.appendleft(attempt)
            self._at_fault(member, answer.fault, outcome.error.hint if outcome.error else "")
        elif outcome.status == "interrupted":  # the node is being shut down
            self._waiting.appendleft(attempt)
        elif outcome.error is None or outcome.error.exit_code not in MAY_PASS:
            self._ended(outcome)
        else:
            attempt.failures += 1
            attempt.failed_on.add(member.report.node)
            if attempt.failures >= FAILURES:
                self._ended(outcome)
            else:
                self._waiting.append(attempt)

    def _blamed(self, attempt: Attempt) -> bool:
        """Whether it lost so many workers on nodes that are still there."""
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        return sum(node in alive for node in attempt.lost_on) >= LOSSES

    def _given_up(self, attempt: Attempt) -> ClipOutcome:
        error = EnvironmentFailure(
            f"{attempt.clip.source}: {LOSSES} workers ended while they had it.",
            "Look at Ray's logs for why: most often the host's memory ran out, or a library crashed on the file.",
        )
        clip = attempt.clip
        out = f"{self._out}/{clip.name}"
        return ClipOutcome(name=clip.name, source=clip.source, out=out, status="failed", error=error)

    def _complain(self) -> None:
        """Say now and then that nobody works."""
        if self.workers or self._clock() < self._heard_at + SILENCE_SECONDS:
            return
        self._heard_at = self._clock()
        free = self._ray.available_resources()
        has = ", ".join(f"{free.get(name, 0):g} {name}s" for name in ("GPU", "CPU"))
        waiting = counted(len(self._members), "worker")
        self._note(f"{waiting} asked for, none there yet (Ray's logs say why); free on the cluster: {has}")
