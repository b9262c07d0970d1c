"""Where the shipped data lie: at the top of a checkout, inside the package once installed."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def profiles_folder() -> Path:
    """The folder of the catalogue, the profiles and the fitted coefficients."""
    installed = _HERE / "shipped_profiles"
    return installed if installed.is_dir() else _HERE.parent / "profiles"
