"""How far the memory model is off: on the rows it was fitted to, and on rows held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from planner.catalog import load_catalog
from planner.locations import profiles_folder
from planner.memory_model.coefficients import Coefficients
from planner.memory_model.estimator import MemoryModel
from planner.memory_model.fitting import Judged, judge_fitted, judge_held_out, rows_of
from planner.profiles import load_folder

SCHEMES = {
    "fitted": "rows that were fitted: how well the formula can say what was published",
    "row": "each row predicted without it",
    "variant": "each variant predicted without any of its rows",
    "resolution": "each resolution predicted without any of its allocated rows",
}


@dataclass(frozen=True)
class Scheme:
    """The rows as one way of holding out gives them."""

    name: str
    meaning: str
    rows: tuple[Judged, ...]

    def errors(self, metric: str) -> list[float]:
        """Signed relative errors of the rows of a metric."""
        return [judged.error for judged in self.rows if judged.row.metric == metric]

    @property
    def metrics(self) -> list[str]:
        """The metrics that occur, in order."""
        return list(dict.fromkeys(judged.row.metric for judged in self.rows))

    def worst_under_bytes(self, metric: str) -> int:
        """How far the worst prediction lies below the truth; 0 where none does."""
        short = [j.row.figure.bytes - j.predicted_bytes for j in self.rows if j.row.metric == metric]
        return max(0, *short)


@dataclass(frozen=True)
class Assessment:
    """Every scheme, and the margins that were drawn from them."""

    schemes: tuple[Scheme, ...]
    coefficients: Coefficients
    covered: int
    """Held-out totals that lie below the upper bound."""
    totals: int


def assess() -> Assessment:
    """Judge the shipped memory model on the shipped profiles. Refits it some twenty times: a second or two."""
    rows = rows_of(load_folder(profiles_folder() / "published"))
    catalog = load_catalog()
    model = MemoryModel(catalog=catalog)
    schemes = [Scheme("fitted", SCHEMES["fitted"], tuple(judge_fitted(rows, model)))]
    for by in ("row", "variant", "resolution"):
        schemes.append(Scheme(by, SCHEMES[by], tuple(judge_held_out(rows, catalog, by))))
    bounds = [j for j in schemes[0].rows if j.upper_bytes is not None]
    covered = sum(j.row.figure.bytes <= (j.upper_bytes or 0) for j in bounds)
    return Assessment(tuple(schemes), model.coefficients, covered, len(bounds))


def median_error(errors: Sequence[float]) -> float:
    """Median of the unsigned errors."""
    return median(abs(error) for error in errors)


def worst_error(errors: Sequence[float]) -> float:
    """The error of largest size, signed."""
    return max(errors, key=abs)
