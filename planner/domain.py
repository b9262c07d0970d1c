"""Deprecated: these values stand in planner.nouns, and `planner.Configuration` is public."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    for room in ("run", "request", "estimate", "plan", "words"):
        found = getattr(import_module(f"planner.nouns.{room}"), name, None)
        if found is not None:
            warnings.warn(f"planner.domain.{name} is planner.nouns.{room}.{name}", DeprecationWarning, stacklevel=2)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
