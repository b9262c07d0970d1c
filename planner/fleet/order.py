"""What the workers of a fleet are told, and what they answer. Values that cross from one process to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.nouns.plan import Plan
from planner.runs.summary import ClipOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The same for all clips."""

    plan: Plan
    """With a choice."""
    out: str
    """The folder of all, an absolute path or an address."""
    summary: str
    """The name of the file in it that a worker has to find there: else it looks at a folder of its own node."""
    options: Mapping[str, Any]
    """Keywords of planner.runs.run.run, without the prompts."""
    needs_gpu: bool
    """Whether a worker without CUDA is at fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One input, as a worker is given it."""

    name: str
    """Of its folder below the folder of all."""
    source: str
    """An absolute path or an address."""
    prompts: Any = ()
    """Of this one; a path is absolute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a clip on a worker."""

    outcome: ClipOutcome
    fault: str = ""
    """What is wrong with the worker's node, so that the clip is not to blame; empty where nothing is."""
    unseen: str = ""
    """The path that is not there on the node, where that is what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a worker says of itself before it is given anything. Made of text, for a node without this package."""

    node: str
    """Ray's id of the node."""
    host: str
    """Its name for people."""
    fault: str = ""
    hint: str = ""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """A clip on its way through the fleet."""

    clip: Clip
    failed_on: set[str] = field(default_factory=set)
    """Nodes whose environment failed it."""
    failures: int = 0
    lost_on: list[str] = field(default_factory=list)
    """Nodes whose worker ended while it had the clip."""
