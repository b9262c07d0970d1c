"""The libraries of the extra `ray`, imported when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from planner.errors import EnvironmentFailure

PIP = 'Run pip install "sam2-plan[run,ray]", here and on every node.'


def library(name: str) -> Any:
    """The module. Raises EnvironmentFailure where it is missing, or cannot be imported."""
    try:
        return import_module(name)
    except ImportError as error:
        raise EnvironmentFailure(f"Running on Ray needs {name}: {error}.", PIP) from None
