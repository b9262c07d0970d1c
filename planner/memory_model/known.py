"""The rows that ship and those of the user, and the coefficients that they give."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from planner.catalog import load_catalog
from planner.memory_model.assessment import Assessment, assess
from planner.memory_model.coefficients import FITTED_FILE, load_coefficients
from planner.memory_model.fit import fit
from planner.memory_model.laws import Coefficients
from planner.memory_model.rows import Row, rehearsed_rows, rows_of
from planner.nouns.measurement import Measurement
from planner.profiles import load_folder
from planner.profiles.rehearsed import read_runs
from planner.text.locations import profiles_folder

KINDS = ("published", "measured")
NAME = "laws-3"
"""Name of the committed fit: counted up when its form or its rows change."""


@lru_cache(maxsize=1)
def shipped_measurements() -> tuple[Measurement, ...]:
    """All measurements of the profiles that ship. Raises FileError where one is broken."""
    folders = [profiles_folder() / kind for kind in KINDS]
    return tuple(measurement for folder in folders if folder.is_dir() for measurement in load_folder(folder))


@lru_cache(maxsize=1)
def shipped_runs() -> tuple[tuple[Row, ...], dict[str, str]]:
    """The rehearsed rows that ship, and the versions of what was rehearsed. Raises FileError where one is broken."""
    rows: list[Row] = []
    found: dict[str, str] = {}
    for path in sorted((profiles_folder() / "rehearsed").glob("*.tsv")):
        runs, versions = read_runs(path)
        rows += rehearsed_rows(runs, versions)
        found |= versions
    return tuple(rows), found


def fit_known(measurements: Sequence[Measurement]) -> Coefficients:
    """Coefficients from measurements. Raises PlannerError where they are too few."""
    rehearsed, versions = shipped_runs()
    rows = [*rows_of(measurements), *rehearsed]
    used = {row.id.split("/")[0] for row in rows if row.use != "reference"}
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
    return [*rows_of([*shipped_measurements(), *own]), *shipped_runs()[0]]
