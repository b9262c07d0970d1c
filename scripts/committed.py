"""Files that scripts make and that are committed: compared with what is made now."""

from __future__ import annotations

import difflib
from pathlib import Path


def is_current(path: Path, made: str) -> bool:
    """Whether the committed file is what was made now; prints how it differs."""
    committed = path.read_text(encoding="utf-8") if path.exists() else ""
    if committed != made:
        lines = difflib.unified_diff(
            committed.splitlines(True), made.splitlines(True), f"{path.name}, committed", "made"
        )
        print("".join(lines))
    return committed == made
