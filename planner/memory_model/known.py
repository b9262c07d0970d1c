"""The rows that ship and those of the user, and the coefficients that they give."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from planner.catalog import load_catalog
from planner.locations import profiles_folder
from planner.measurement import Measurement
from planner.memory_model.assessment import Assessment, assess
from planner.memory_model.coefficients import FITTED_FILE, Coefficients, load_coefficients
from planner.memory_model.fit import fit
from planner.memory_model.rows import Row, rows_of
from planner.profiles import load_folder

KINDS = ("published", "simulated", "measured")
NAME = "laws-1"
"""Of the committed fit: counted up when its form or its rows change."""


@lru_cache(maxsize=1)
def shipped_measurements() -> tuple[Measurement, ...]:
    """All measurements of the profiles that ship. Raises FileError where one is broken."""
    folders = [profiles_folder() / kind for kind in KINDS]
    return tuple(measurement for folder in folders if folder.is_dir() for measurement in load_folder(folder))


def fit_known(measurements: Sequence[Measurement]) -> Coefficients:
    """Coefficients from measurements. Raises PlannerError where they are too few."""
    rows = rows_of(measurements)
    used = {row.id.split("/")[0] for row in rows if row.use == "fit"}
    simulated = [m.environment for m in measurements if m.kind == "simulated"]
    versions = {}
    for package in ("torch", "sam2"):
        found = sorted({str(getattr(environment, package)) for environment in simulated})
        versions[package] = " and ".join(found)
    return fit(rows, load_catalog(), sorted(used), NAME, versions)


@lru_cache(maxsize=2)
def assess_known(folder: Path | None = None) -> Assessment:
    """The coefficients in `folder`, with the user's own rows there, judged; the shipped ones of None."""
    coefficients = load_coefficients(None if folder is None else folder / FITTED_FILE)
    rows = rows_below(None if folder is None else folder / "profiles")
    return assess(rows, coefficients, load_catalog())


def rows_below(folder: Path | None) -> list[Row]:
    """The shipped rows, and those of the profiles below a folder of the user's."""
    own = load_folder(folder) if folder is not None and folder.is_dir() else []
    return rows_of([*shipped_measurements(), *own])
