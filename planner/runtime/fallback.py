"""What to try when memory runs out: the next smaller configuration of the plan."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from planner.errors import OutOfMemory
from planner.nouns.plan import Plan
from planner.nouns.run import Configuration
from planner.nouns.words import Task
from planner.runtime.cuda import out_of_memory
from planner.runtime.limiting import MemoryCap
from planner.runtime.network import Network
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
        cap: MemoryCap | None = None,
    ) -> None:
        """Loads `configuration`, or with `fallback` the next that can be loaded. Raises OutOfMemory, as `load` does."""
        self.steps: tuple[Step, ...] = ()
        """All that were taken."""
        self._load = load
        self._cap = cap
        self._plan = plan
        self._fallback = fallback
        self._rungs = list(rungs(configuration, plan, task))
        self._network: Network | None = None
        self._place(configuration)

    @property
    def network(self) -> Network:
        """The network in use. Raises OutOfMemory where memory ran out so that none is loaded any more."""
        if self._network is None:
            raise OutOfMemory(
                "Memory ran out, and nothing is loaded any more.", "Load again, for less memory (--vram)."
            )
        return self._network

    def run(self, action: Callable[[], Any], step_down: Callable[[str], object]) -> Any:
        """Run `action` on the network in use; where memory runs out, `step_down(reason)` and run it again."""
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

    def step_down(self, frame: int | None, reason: str, *, memories: bool = False) -> Step:
        """Load the next smaller configuration; `memories`: what was tracked is to be carried over.

        Raises OutOfMemory where there is none that can be loaded, or none was asked for.
        """
        self.require_rung(frame, reason)
        configuration = self._rungs.pop(0)
        before = self.network.configuration
        if _same_weights(before, configuration):
            _collect()
            self._network = self.network.reconfigured(configuration)
        else:
            # The old weights go before the new ones come.
            self._network = None
            _collect()
            self._place(configuration, frame)
        step = Step(frame, reason, self.network.configuration, memories and self.same_memories(before))
        self.steps += (step,)
        return step

    def _place(self, configuration: Configuration, frame: int | None = None) -> None:
        """Load it; with fallback, where that runs out of memory, the next that has other weights."""
        while True:
            try:
                self._network = self._load(configuration)
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
