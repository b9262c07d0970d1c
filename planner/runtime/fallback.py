"""What to try when memory runs out: the next smaller configuration of the plan; and where the weights are meanwhile.

Several clips may be tracked with one network. When one of them steps down, all follow: there is one set of weights.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol
from weakref import WeakSet

import torch

from planner.errors import OutOfMemory, UsageError
from planner.nouns.plan import Plan
from planner.nouns.run import Configuration
from planner.nouns.words import Task
from planner.runtime.cuda import give_back, out_of_memory
from planner.runtime.limiting import MemoryCap
from planner.runtime.moving import move
from planner.runtime.network import Network
from planner.runtime.turns import Turn
from planner.text.command_lines import describe
from planner.text.units import format_size

Load = Callable[[Configuration], Network]


@dataclass(frozen=True, slots=True)
class Step:
    """A step down to a smaller configuration."""

    frame: int | None
    """The frame at which memory ran out, which was tracked again; None while loading, or on a picture."""
    reason: str
    """What torch said."""
    configuration: Configuration
    """The configuration from there on."""
    carried_over: bool
    """Whether the memory bank went along; else the objects were prompted again by their last masks."""


class Follower(Protocol):
    """What is computed with the network over many calls, and must follow where it goes."""

    def leave(self) -> None:
        """Let go of the network, whose weights are to go."""

    def follow(self, steps: tuple[Step, ...], carried_over: bool) -> None:
        """Take the network in use, after these steps down, which something else was forced to."""

    def rest(self) -> None:
        """Bring what it holds to the host; the network is still there."""

    def wake(self) -> None:
        """The network is back on its device."""

    def end(self) -> None:
        """Let go of everything: nothing will be computed any more."""


class Ladder:
    """The network in use and what may take its place."""

    def __init__(
        self,
        configuration: Configuration,
        load: Load,
        plan: Plan | None,
        *,
        fallback: bool,
        task: Task,
        device: torch.device,
        cap: MemoryCap | None = None,
    ) -> None:
        """Loads `configuration`, or with `fallback` the next that can be loaded. Raises OutOfMemory, as `load` does."""
        self.steps: tuple[Step, ...] = ()
        """All that were taken."""
        self.configuration = configuration
        """That of the network in use, or of the last one."""
        self.device = device
        self.followers: WeakSet[Follower] = WeakSet()
        """All that must follow; add to them while it is their turn."""
        self._load = load
        self._cap = cap
        self._plan = plan
        self._fallback = fallback
        self._rungs = list(rungs(configuration, plan, task))
        pinned = any(one.attention != "auto" for one in (configuration, *self._rungs))
        self.turn = Turn(device, alone=pinned)
        """Held while anything of the network, or of what follows it, is used or changed."""
        self._network: Network | None = None
        self._state: Literal["ready", "resting", "closed"] = "ready"
        with self.turn if pinned else nullcontext():  # to try a kernel; what is loaded is nobody else's yet
            self._place(configuration)

    @property
    def network(self) -> Network:
        """The network in use.

        Raises OutOfMemory where memory ran out so that none is loaded any more, UsageError where it was closed or rests
        on the host.
        """
        if self._state == "closed":
            raise UsageError("This session has been closed.", "Load it again (planner.load).")
        if self._state == "resting":
            home = self.device
            raise UsageError(f"This session rests on the CPU; it computes on {home}.", f'Call session.to("{home}").')
        if self._network is None:
            raise OutOfMemory(
                "Memory ran out, and nothing is loaded any more.", "Load again, for less memory (--vram)."
            )
        return self._network

    def run(self, action: Callable[[], Any], step_down: Callable[[str], object]) -> Any:
        """Run `action` on the network in use; where memory runs out, `step_down(reason)` and run it again.

        One thread at a time; the others wait for their turn.
        """
        with self.turn:
            while True:
                try:
                    with self.network.computing():
                        answer = action()
                    if self._cap is not None:
                        self._cap.renew()
                    return answer
                except RuntimeError as error:
                    reason = out_of_memory(error)
                    if reason is None:
                        raise
                # Outside the handler, whose traceback holds on to the tensors that did not fit.
                step_down(reason)

    def step_down(self, frame: int | None, reason: str, *, by: Follower | None = None) -> Step:
        """Load the next smaller configuration, which all followers take; `by` is the one that needs it, if any is.

        Raises OutOfMemory where there is none that can be loaded, or none was asked for.
        """
        self.require_rung(frame, reason)
        configuration = self._rungs.pop(0)
        before = self.network.configuration
        others = [one for one in self.followers if one is not by]
        taken = len(self.steps)
        for one in others:
            one.leave()
        if _same_weights(before, configuration):
            _collect()
            self._network = self.network.reconfigured(configuration)
            self.configuration = configuration
        else:
            # The old weights go before the new ones come.
            self._network = None
            _collect()
            self._place(configuration, frame)
        carried = self.same_memories(before)
        step = Step(frame, reason, self.network.configuration, carried and by is not None)
        self.steps += (step,)
        for one in others:
            one.follow(self.steps[taken:], carried)
        return step

    def rest(self) -> None:
        """Bring the network, and what follows it, to the host, and give the device its memory back. May be repeated."""
        with self.turn:
            if self._state == "resting":
                return
            network = self.network
            for one in self.followers:
                one.rest()
            self._state = "resting"
            move(network, torch.device("cpu"))
            del network
            give_back(self.device)

    def wake(self) -> None:
        """Bring the network back to its device. May be repeated. Raises OutOfMemory where it has no room now."""
        with self.turn:
            if self._state != "resting":
                self.network  # noqa: B018 - says what is wrong, if anything is
                return
            assert self._network is not None
            reason: str | None = None
            try:
                move(self._network, self.device)
            except RuntimeError as error:
                reason = out_of_memory(error)
                if reason is None:
                    raise
            if reason is not None:
                move(self._network, torch.device("cpu"))
                give_back(self.device)
                text = f"Memory ran out while {describe(self.configuration)} was brought back to {self.device}"
                raise OutOfMemory(f"{text}: {reason.rstrip('.')}.", "Free the device's memory, and try again.")
            self._state = "ready"
            for one in self.followers:
                one.wake()

    def close(self) -> None:
        """Let go of everything, and give the device its memory back. May be repeated."""
        with self.turn:
            for one in list(self.followers):
                one.end()
            self.followers.clear()
            self._network, self._state = None, "closed"
            give_back(self.device)

    def _place(self, configuration: Configuration, frame: int | None = None) -> None:
        """Load it; with fallback, where that runs out of memory, the next that has other weights."""
        while True:
            try:
                self._network = self._load(configuration)
                self.configuration = configuration
                return
            except OutOfMemory as error:
                self._rungs = [rung for rung in self._rungs if not _same_weights(rung, configuration)]
                if not self._fallback or not self._rungs:
                    raise
                reason = error.message
            configuration = self._rungs.pop(0)
            _collect()
            self.steps += (Step(frame, reason, configuration, False),)

    def require_rung(self, frame: int | None, reason: str) -> None:
        """Raises OutOfMemory where there is nothing smaller, or stepping down was not asked for."""
        if not self._fallback or not self._rungs:
            raise self._failure(frame, reason)

    def same_memories(self, before: Configuration) -> bool:
        """Whether what was remembered under `before` means something to the network in use."""
        now = self.network.configuration
        return (before.variant, before.version, before.resolution) == (now.variant, now.version, now.resolution)

    def _failure(self, frame: int | None, reason: str) -> OutOfMemory:
        where = "" if frame is None else f" on frame {frame}"
        message = f"Memory ran out{where} with {describe(self.network.configuration)}: {reason.rstrip('.')}."
        if self._plan is not None and self._plan.estimate is not None:
            need, usable = self._plan.estimate.total_bytes, self._plan.budget.usable_bytes
            message += f" The plan predicted {format_size(need)} of {format_size(usable)} usable."
        if self._cap is not None:
            message += f" {self._cap}."
        if not self._rungs:
            return OutOfMemory(message, "Plan for less memory (--vram), fewer objects or a lower resolution.")
        following = self._rungs[0]
        extra = _differences(self.network.configuration, following)
        return OutOfMemory(
            message, f"Next to try: {describe(following)}{extra}; fallback (--fallback) goes on with it."
        )


def rungs(configuration: Configuration, plan: Plan | None, task: Task) -> Iterator[Configuration]:
    """Smaller configurations, the least loss first: fewer objects at once, the bank on the host, then the plan's."""
    if configuration.object_batch > 1:
        configuration = replace(configuration, object_batch=1)
        yield configuration
    if task == "video" and not configuration.offload_state:
        configuration = replace(configuration, offload_state=True)
        yield configuration
    if plan is None or plan.estimate is None:
        return
    lowest = plan.estimate.least_bytes
    for choice in plan.alternatives:
        if choice.estimate.least_bytes < lowest and choice.configuration != configuration:
            lowest = choice.estimate.least_bytes
            yield choice.configuration


def _same_weights(one: Configuration, other: Configuration) -> bool:
    names = ("variant", "version", "resolution", "precision", "attention")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _differences(one: Configuration, other: Configuration) -> str:
    words = []
    if one.object_batch != other.object_batch:
        words.append(f"objects in passes of {other.object_batch}")
    if one.offload_state != other.offload_state:
        words.append("memory bank on the host")
    return "".join(f", {word}" for word in words)


def _collect() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
