"""The nouns of a pre-flight: a check and what it found, and all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from planner.errors import EXIT_DOES_NOT_FIT, EXIT_FAILED, EXIT_FITS, EXIT_USAGE, EXIT_WARNING, PlannerError
from planner.nouns.brief import brief
from planner.nouns.estimate import Estimate
from planner.nouns.plan import Plan
from planner.nouns.request import Budget
from planner.nouns.run import Workload
from planner.nouns.words import CHECK_STATUSES, CheckStatus, PolicyMode, PolicyRule
from planner.version import __version__
from planner.wire.check import CHECK

PASS, WARN, FAIL, SKIP = CHECK_STATUSES
ELSEWHERE = "the memory is given, so this need not be the machine that will run the plan"
NO_GPU_NAMED = "no GPU is named, only a budget"
"""Why nothing of a machine, and of its GPU, is looked at."""
GRAVITY = (EXIT_DOES_NOT_FIT, EXIT_USAGE, EXIT_FAILED)
"""Which of several failures decides, the gravest first: what does not fit is cured by no retry, a bad file by no other
machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyException:
    """A rule that is set aside for a time."""

    rule: PolicyRule
    until: date
    """The last day on which it holds."""
    reason: str
    """Why, for whoever reads the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question, and what was found."""

    name: str
    """The name of the check, such as memory, checkpoint or policy.minimum_quality."""
    status: CheckStatus
    found: str
    """What was found, in a sentence without a full stop."""
    action: str | None = None
    """What to do; None where nothing is to be done."""
    exit_code: int = EXIT_FAILED
    """What a failure means: 3 it does not fit, 2 a bad file, 1 the environment."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs: plain data, bytes under names that end in _bytes."""
    excepted: PolicyException | None = None
    """The exception under which a breach of the policy passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """A plan held against a machine."""

    __repr__ = brief

    plan: Plan
    name: str
    """The plan's file as it was given, or "a plan"."""
    budget: Budget | None
    """What the memory was held against; None where there is no GPU."""
    workload: Workload
    """The plan's workload, with the size and length of the input where one was read."""
    estimate: Estimate | None
    """What is predicted now, for that workload; None for a plan that chose nothing."""
    checks: tuple[Check, ...]
    policy: str | None
    """The file of the policy."""
    policy_mode: PolicyMode | None
    waited_seconds: float
    """How long was waited for memory to be freed."""
    strict: bool
    """Whether warnings count (exit code 4)."""
    replayed: str | None
    """The doctor report that stood for the machine."""

    @property
    def status(self) -> CheckStatus:
        """The worst of the checks; those that were skipped do not count."""
        found = {check.status for check in self.checks}
        return FAIL if FAIL in found else WARN if WARN in found else PASS

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.status == FAIL)

    @property
    def exit_code(self) -> int:
        """0: it holds; 3, 2 or 1, in this order: a check failed so; 4: there are warnings, and they count."""
        codes = {check.exit_code for check in self.failed}
        if codes:
            return next(code for code in GRAVITY if code in codes)
        return EXIT_WARNING if self.strict and self.status == WARN else EXIT_FITS

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, as `sam2-plan check --format json` prints it."""
        return preflight_document(self)

    def require(self) -> Preflight:
        """This report. Raises NotReady where its exit code is not 0."""
        if self.exit_code == EXIT_FITS:
            return self
        raise NotReady(self)


class NotReady(PlannerError):
    """The plan does not hold here and now; `preflight` has the report, whose checks say why."""

    code = "not_ready"

    def __init__(self, preflight: Preflight) -> None:
        bad = preflight.failed or tuple(check for check in preflight.checks if check.status == WARN)
        message = "; ".join(f"{check.name}: {check.found}" for check in bad)
        super().__init__(f"{message}.", " ".join(f"{check.action}." for check in bad if check.action))
        self.preflight = preflight
        self.exit_code = preflight.exit_code


def preflight_document(found: Preflight, exit_code: int | None = None) -> dict[str, Any]:
    """The pre-flight as plain data. `exit_code` is the program's, where options change it."""
    code = found.exit_code if exit_code is None else exit_code
    return CHECK.write(found, sam2_plan=__version__, exit_code=code)
