"""Plan SAM 2 for a GPU: the best configuration that fits, and how sure that is.

    import planner

    plan = planner.plan(task="video", objects=10, vram="2GB")
    plan.require()
    plan.save("plan.yaml")

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["DoesNotFit", "Plan", "PlannerError", "__version__", "plan", "predict", "predict_table", "simulate"]

if TYPE_CHECKING:
    from planner.api import DoesNotFit, Plan, plan, predict, predict_table
    from planner.errors import PlannerError
    from planner.simulator import simulate


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "simulate":
        from planner.simulator import simulate

        return simulate
    from planner import api

    return getattr(api, name)
