"""The memory model in force: the laws that ship, or the user's own fit of them."""

from __future__ import annotations

import os
from functools import lru_cache

from planner.memory_model.coefficients import FITTED_FILE, load_coefficients
from planner.memory_model.estimator import MemoryModel
from planner.text.locations import user_folder


@lru_cache(maxsize=1)
def known_model() -> MemoryModel:
    """The laws that ship, or those that `sam2-plan fit` made of them with the user's own measurements.

    What was fitted with the laws of another release is left alone: its corrections belong to other predictions.
    """
    shipped = load_coefficients()
    fitted = user_folder() / FITTED_FILE
    if os.path.isfile(fitted):  # not pathlib, which raises where a home may not be looked into
        own = load_coefficients(fitted)
        if own.memory_model == shipped.memory_model:
            return MemoryModel(own)
    return MemoryModel(shipped)
