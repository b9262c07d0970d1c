"""Plan SAM 2 for a GPU: the best configuration that fits, and how sure that is.

    import planner

    plan = planner.plan(task="video", objects=10, vram="2GB")
    plan.require()
    plan.save("plan.yaml")

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.version import __version__

__all__ = [
    "Configuration",
    "Confirmation",
    "DoesNotFit",
    "NotReady",
    "Plan",
    "PlannerError",
    "Preflight",
    "Rehearsal",
    "Session",
    "__version__",
    "check",
    "compare",
    "confirm",
    "limits",
    "load",
    "need",
    "pack",
    "pick",
    "plan",
    "plot",
    "predict",
    "predict_table",
    "rehearse",
    "save_report",
    "simulate",
    "table",
]
_IN = {
    "Configuration": "planner.nouns.run",
    "DoesNotFit": "planner.api.plans",
    "Plan": "planner.api.plans",
    "PlannerError": "planner.errors",
    "plan": "planner.api.plan",
    "predict": "planner.api.predict",
    "predict_table": "planner.api.predict",
    "simulate": "planner.simulator",
    "load": "planner.runtime.loading",
    "Session": "planner.runtime.session",
    "check": "planner.api.check",
    "Preflight": "planner.preflight.checks",
    "NotReady": "planner.preflight.checks",
    "pick": "planner.api.pick",
    "save_report": "planner.api.report",
    "compare": "planner.api.questions",
    "limits": "planner.api.questions",
    "need": "planner.api.questions",
    "pack": "planner.api.questions",
    "plot": "planner.api.plot",
    "table": "planner.api.table",
    "confirm": "planner.api.confirm",
    "Confirmation": "planner.api.confirm",
    "rehearse": "planner.api.rehearse",
    "Rehearsal": "planner.api.rehearse",
}
"""Where each name is."""

if TYPE_CHECKING:
    from planner.api.check import check
    from planner.api.confirm import Confirmation, confirm
    from planner.api.pick import pick
    from planner.api.plan import plan
    from planner.api.plans import DoesNotFit, Plan
    from planner.api.plot import plot
    from planner.api.predict import predict, predict_table
    from planner.api.questions import compare, limits, need, pack
    from planner.api.rehearse import Rehearsal, rehearse
    from planner.api.report import save_report
    from planner.api.table import table
    from planner.errors import PlannerError
    from planner.nouns.run import Configuration
    from planner.preflight.checks import NotReady, Preflight
    from planner.runtime.loading import load
    from planner.runtime.session import Session
    from planner.simulator import simulate


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_IN[name]), name)
