#!/usr/bin/env python3
"""Remake profiles/memory_model.yaml from the profiles. Prints it with --check, and exits 1 if it differs."""

from __future__ import annotations

import argparse
import sys

from planner.catalog import load_catalog
from planner.documents import write
from planner.locations import profiles_folder
from planner.memory_model.fitting import coefficients_text, fit, rows_of
from planner.profiles import load_folder

NAME = "published-1"


def main() -> int:
    """Fit to the published profiles and write, or compare with, the committed file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    arguments = parser.parse_args()
    measurements = load_folder(profiles_folder() / "published")
    rows = rows_of(measurements)
    fitted = {measurement.profile for measurement in measurements if measurement.use == "fit"}
    text = coefficients_text(fit(rows, load_catalog(), sorted(fitted), NAME))
    path = profiles_folder() / "memory_model.yaml"
    if arguments.check:
        same = path.read_text() == text
        print("the committed coefficients are what the profiles give" if same else text)
        return 0 if same else 1
    write(path, text)
    print(f"{path.name}: fitted to {len(rows)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
