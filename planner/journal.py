"""Journals: a JSON object a line, on disk before it counts as done, so that killed work goes on where it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Any

from planner.errors import FileError


def read_journal(path: Path) -> dict[str, dict[str, Any]]:
    """The rows already there by their `id`; a last line that was cut short is dropped.

    Raises FileError for any other fault.
    """
    if not path.exists():
        return {}
    rows: dict[str, dict[str, Any]] = {}
    # What follows the last line end was cut short, even where it reads well: open_journal cuts it off too.
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1], 1):
        if not line:
            continue
        try:
            row = json.loads(line)
            rows[row["id"]] = row
        except (ValueError, KeyError, TypeError):
            raise FileError(f"{path}, line {number}: not a row of this journal.", "Delete the line.") from None
    return rows


def open_journal(path: Path) -> IO[str]:
    """The journal for appending, a torn last line cut off first so that no row is glued to it."""
    if path.exists() and path.stat().st_size:
        with path.open("rb+") as file:
            data = file.read()
            if not data.endswith(b"\n"):
                file.truncate(data.rfind(b"\n") + 1)
    return path.open("a", encoding="utf-8")


def append(file: IO[str], row: dict[str, Any]) -> None:
    """Write one row; when this returns, it is on the disk."""
    file.write(json.dumps(row) + "\n")
    file.flush()
    os.fsync(file.fileno())
