#!/usr/bin/env python3
"""Remake profiles/memory_model.jsonl from the profiles that ship. With --check compare, and exit 1 if it differs."""

from __future__ import annotations

import argparse
import sys

from committed import is_current

from planner.memory_model.coefficients import shipped_file
from planner.memory_model.coefficients_text import coefficients_text
from planner.memory_model.known import fit_known, shipped_measurements
from planner.text.files import write


def main() -> int:
    """Fit to the shipped profiles and write, or compare with, the committed file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    arguments = parser.parse_args()
    measurements = shipped_measurements()
    text = coefficients_text(fit_known(measurements))
    path = shipped_file()
    if arguments.check:
        current = is_current(path, text)
        print("the committed coefficients are what the profiles give" if current else "they differ")
        return 0 if current else 1
    write(path, text)
    print(f"{path.name}: fitted to {len(measurements)} measurements")
    return 0


if __name__ == "__main__":
    sys.exit(main())
