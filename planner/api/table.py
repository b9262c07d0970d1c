"""`planner.table`: answers as tables."""

from __future__ import annotations

from planner.errors import UsageError
from planner.nouns.answers import Carried, Comparison, Needed, Packing
from planner.nouns.plan import Plan
from planner.tables.table import Table


def table(answer: Plan | Packing | Carried | Needed | Comparison) -> Table:
    """An answer as a table: what plan, pack, limits, need and compare return.

    Returns a Table, which notebooks show, with `csv()`, `markdown()` and `records()`: a dictionary for each row, as
    pandas.DataFrame takes it. Columns that end in _bytes hold integers. Raises UsageError for an answer without one.

    Example:
        open("plan.csv", "w").write(planner.table(plan).csv())
    """
    from planner.tables import budgets, plans

    if isinstance(answer, Plan):
        return plans.plan_table(answer)
    if isinstance(answer, Packing):
        return plans.packing_table(answer)
    if isinstance(answer, Comparison):
        return plans.comparison_table(answer)
    if isinstance(answer, Carried):
        return budgets.limits_table(answer)
    if isinstance(answer, Needed):
        return budgets.need_table(answer)
    raise UsageError(
        f"A {type(answer).__name__} has no table.", "Give what plan, pack, limits, need or compare return."
    )
