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
    "predict",
    "predict_table",
    "rehearse",
    "simulate",
]
_IN = {
    "Configuration": "planner.nouns.run",
    "DoesNotFit": "planner.plans",
    "Plan": "planner.plans",
    "PlannerError": "planner.errors",
    "plan": "planner.api",
    "predict": "planner.predicting",
    "predict_table": "planner.predicting",
    "simulate": "planner.simulator",
    "load": "planner.loading",
    "Session": "planner.runtime.session",
    "check": "planner.checking",
    "Preflight": "planner.checking",
    "NotReady": "planner.checking",
    "pick": "planner.picking",
    "compare": "planner.questions",
    "limits": "planner.questions",
    "need": "planner.questions",
    "pack": "planner.questions",
    "confirm": "planner.confirmation",
    "Confirmation": "planner.confirmation",
    "rehearse": "planner.rehearsing",
    "Rehearsal": "planner.rehearsing",
}
"""Where each name is."""

if TYPE_CHECKING:
    from planner.api import plan
    from planner.checking import NotReady, Preflight, check
    from planner.confirmation import Confirmation, confirm
    from planner.errors import PlannerError
    from planner.loading import load
    from planner.nouns.run import Configuration
    from planner.picking import pick
    from planner.plans import DoesNotFit, Plan
    from planner.predicting import predict, predict_table
    from planner.questions import compare, limits, need, pack
    from planner.rehearsing import Rehearsal, rehearse
    from planner.runtime.session import Session
    from planner.simulator import simulate


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_IN[name]), name)
