"""Whose code is driven beside our own: each driver has load, computing, drive and autocast_type, alike."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from planner.nouns.words import Runtime


def driver_of(runtime: Runtime) -> Any:
    """The module that drives it: planner.driving.stock, .transformers or .ultralytics.

    Raises EnvironmentFailure, which names the extra, where what it runs is not installed.
    """
    return import_module(f"planner.driving.{runtime}")
