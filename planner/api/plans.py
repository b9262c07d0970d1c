"""Plans with their files, and the error where nothing fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from planner.api.placeable import PlaceablePlan
from planner.errors import EXIT_DOES_NOT_FIT, EXIT_FITS, PlannerError
from planner.nouns.estimate import Estimate
from planner.nouns.plan import Choice, Rejection, Suggestion
from planner.nouns.plan import Plan as PlainPlan
from planner.text.command_lines import describe
from planner.text.units import (
    format_size,
)


class DoesNotFit(PlannerError):
    """Nothing fits: `rejected` has the rejections, nearest miss first, `suggestions` what was verified to help."""

    code = "does_not_fit"
    exit_code = EXIT_DOES_NOT_FIT

    def __init__(self, message: str, hint: str, rejected: Sequence[Rejection], suggestions: Sequence[Suggestion]):
        super().__init__(message, hint)
        self.rejected = tuple(rejected)
        self.suggestions = tuple(suggestions)


class Plan(PlaceablePlan):
    """The decision and everything that supports it. It can be saved, loaded, and placed on a cluster.

    Example:
        plan.save("plan.yaml")
        again = planner.Plan.load("plan.yaml")
        print(again.verdict, again.chosen, again.to_dict()["estimate"])
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """The decision in a line; `to_dict` and `sam2-plan compare` have the rest."""
        usable = format_size(self.budget.usable_bytes)
        if self.chosen is None:
            return f"<Plan: {self.verdict}: nothing of {self.candidates:,} candidates in {usable}>"
        total = format_size(self.chosen.estimate.total_bytes)
        return f"<Plan: {self.verdict}: {describe(self.chosen.configuration)}; {total} of {usable}>"

    def require(self) -> FittingPlan:
        """This plan, where it chose something. For type checkers its `chosen` and `estimate` are then not None.

        Raises DoesNotFit where nothing was chosen, and where the choice fits only tightly and the plan is strict.
        """
        if self.exit_code == EXIT_FITS:
            return cast("FittingPlan", self)
        if self.chosen is not None:
            raise DoesNotFit(
                "The choice fits only tightly, and the plan is strict.",
                "; ".join(self.warnings),
                self.rejected,
                self.suggestions,
            )
        nearest = self.rejected[0].reason if self.rejected else "no configuration is open"
        hint = "; ".join(f"{item.change}: {item.command}" for item in self.suggestions)
        raise DoesNotFit(f"Nothing fits. Nearest: {nearest}.", hint and f"Try: {hint}", self.rejected, self.suggestions)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data, as `sam2-plan --format json` prints it."""
        from planner.wire.plan import PLAN

        return PLAN.write(self)

    def save(self, path: str | Path) -> None:
        """Write the plan, whole or not at all: as JSON where the name ends in .json, else as YAML.

        Raises EnvironmentFailure where the file cannot be written.
        """
        from planner.text.files import write
        from planner.wire.plan_file import plan_text

        write(Path(path), plan_text(self, Path(path).suffix.lower()))

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """The plan that was saved in a file.

        Raises FileError, which names the line and what to do, for a file that holds no plan.
        """
        from planner.wire.plan_file import read_plan

        return with_files(read_plan(Path(path)))


def with_files(made: PlainPlan) -> Plan:
    """The same plan, as one that can be saved."""
    return Plan(**{field.name: getattr(made, field.name) for field in fields(made)})


if TYPE_CHECKING:

    class FittingPlan(Plan):
        """A plan that chose something."""

        chosen: Choice

        @property
        def estimate(self) -> Estimate:
            """What the choice takes."""
