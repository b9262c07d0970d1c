"""The nouns of placement: a card, a share of it, the job that runs there, and what a scheduler is handed."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from planner.errors import EXIT_DOES_NOT_FIT, PlannerError
from planner.nouns.brief import brief
from planner.nouns.run import Configuration
from planner.nouns.words import Engine, ShareKind, Sharing

MEBIBYTE = 2**20
WAIT = "60s"
"""For memory that others hold on the GPU, before the plan counts as one that does not fit there."""


class ShareTooLarge(PlannerError):
    """The share does not fit the card, or the slice, that was asked for (exit code 3)."""

    code = "does_not_fit"
    exit_code = EXIT_DOES_NOT_FIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The GPU that is to be shared."""

    name: str | None
    """As the catalogue or a driver has it; None where only its size was given."""
    total_bytes: int
    capability: tuple[int, int] | None = None
    """CUDA compute capability; None if not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one process is allotted on the GPU, CUDA context included."""

    kind: ShareKind
    """As it was asked for."""
    bytes: int
    reason: str
    """What the figure is."""

    @property
    def mebibytes(self) -> int:
        """Rounded up."""
        return rounded_up(self.bytes, MEBIBYTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the job is given beside the GPU; None leaves it to the scheduler's default.

    No figure of host memory was measured by this project, so none is made up: it is what the user says.
    """

    memory_bytes: int | None = None
    cpus: int | None = None


ANY_HOST = Host()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What runs: the check of the plan on the machine it came to, then the plan. Paths are the worker's."""

    name: str
    """A DNS-1123 label, which all schedulers take."""
    plan_path: str
    source: str
    """INPUT of `sam2-plan run`."""
    out: str
    checkpoint: str | None
    """None: `arguments` ask for random weights."""
    arguments: tuple[str, ...]
    """Further arguments of `sam2-plan run`, such as prompts."""

    @property
    def check(self) -> str:
        """The line that exits with 3 where the plan does not fit here, quoted for a shell.

        It waits a little: on a shared GPU a process that is just ending must not count as a plan that does not fit.
        """
        words = ["sam2-plan", "check", self.plan_path, "--input", self.source, *self._common, "--wait", WAIT]
        return shlex.join(words)

    @property
    def run(self) -> str:
        """The line that runs the plan, quoted for a shell."""
        return shlex.join(["sam2-plan", "run", self.plan_path, self.source, *self._common, *self.arguments])

    @property
    def _common(self) -> list[str]:
        weights = [] if self.checkpoint is None else ["--checkpoint", self.checkpoint]
        return ["--out", self.out, *weights]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What a scheduler is handed, and what it rests on."""

    __repr__ = brief

    engine: Engine
    configuration: Configuration
    """What the plan chose."""
    share: Share
    card: Card | None
    """None where any that holds the share will do."""
    manifest: Any
    """ray: keyword arguments; kubernetes: a list of documents; slurm: a script; skypilot: a task."""
    sharing: Sharing | None = None
    """kubernetes: one of SHARINGS."""
    warnings: tuple[str, ...] = ()


def rounded_up(amount: int, unit: int) -> int:
    """How many units hold the amount."""
    return -(-amount // unit)
