"""Where data lie: the shipped ones at the top of a checkout, inside the package once installed; the user's at home."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def profiles_folder() -> Path:
    """The folder of the catalogue, the profiles and the fitted coefficients."""
    installed = _PACKAGE / "shipped_profiles"
    return installed if installed.is_dir() else _PACKAGE.parent / "profiles"


def user_folder() -> Path:
    """The folder of the user's own profiles and coefficients; it need not be there, nor be one that may be read.

    SAM2_PLAN_HOME says which; else the platform's place for an application's data.
    """
    said = os.environ.get("SAM2_PLAN_HOME")
    if said:
        return Path(said)
    home = Path(os.path.expanduser("~"))  # Path.home raises for a user without one, as containers have them
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(home / "Library" / "Application Support")
    else:
        base = os.environ.get("XDG_DATA_HOME") or str(home / ".local" / "share")
    return Path(base) / "sam2-plan"


def cache_folder() -> Path:
    """The folder of what can be made again; it need not be there.

    $XDG_CACHE_HOME says where; else the platform's place for caches.
    """
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(home / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(home / ".cache")
    return Path(base) / "sam2-plan"
