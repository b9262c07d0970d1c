"""Versions of installed packages, from their metadata: importing some takes seconds."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTIONS = {"ultralytics": ("ultralytics", "ultralytics-opencv-headless")}
"""Packages that are published under several names, of the same code."""


def installed_version(package: str) -> str | None:
    """As it is installed, under whichever of its names; None where it is not."""
    for name in DISTRIBUTIONS.get(package, (package,)):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
