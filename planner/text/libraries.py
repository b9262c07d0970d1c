"""Libraries of the extra `run`, imported when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from planner.errors import EnvironmentFailure


def library(module: str, title: str) -> Any:
    """The module; an EnvironmentFailure says where it comes from if it is not there."""
    try:
        return import_module(module)
    except ImportError as error:
        raise EnvironmentFailure(f"{title} cannot be imported: {error}.", 'Run pip install "sam2-plan[run]".') from None
