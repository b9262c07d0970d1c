"""Public figures of stock sam2 on real GPUs beside what the simulator says (profiles/public_rows.tsv)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from planner.errors import FileError
from planner.text.locations import profiles_folder

PUBLIC_ROWS = profiles_folder() / "public_rows.tsv"
HEAD = (
    "# Figures that others measured of stock sam2 on real GPUs (profiles/published/), and the simulator's of the same\n"
    "# runs by the rules of their torch. Made by scripts/check_public_rows.py --write. Allocated bytes.\n"
)
REMEDY = "Make it again with scripts/check_public_rows.py --write."


class PublicRow(NamedTuple):
    """One figure. Bytes that torch allocated."""

    what: str
    gpu: str
    torch: str
    at_most: bool
    """Whether the published figure was rounded up."""
    published_bytes: int
    simulated_bytes: int
    source: str
    """A link."""

    @property
    def error(self) -> float:
        """Relative error of the simulation; positive is too much."""
        return self.simulated_bytes / self.published_bytes - 1


def public_rows_text(rows: Iterable[PublicRow]) -> str:
    """The text of the file."""
    out = StringIO()
    out.write(HEAD)
    writer = csv.writer(out, dialect="excel-tab", lineterminator="\n")
    writer.writerow(PublicRow._fields)
    writer.writerows((int(value) if isinstance(value, bool) else value for value in row) for row in rows)
    return out.getvalue()


def read_public_rows(path: Path = PUBLIC_ROWS) -> Sequence[PublicRow]:
    """The rows. Raises FileError for a file that is missing or broken."""
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        rows = csv.DictReader(lines, dialect="excel-tab")
        if tuple(rows.fieldnames or ()) != PublicRow._fields:
            raise ValueError(f"its columns are not {', '.join(PublicRow._fields)}")
        return [
            PublicRow(
                what=row["what"],
                gpu=row["gpu"],
                torch=row["torch"],
                at_most=bool(int(row["at_most"])),
                published_bytes=int(row["published_bytes"]),
                simulated_bytes=int(row["simulated_bytes"]),
                source=row["source"],
            )
            for row in rows
        ]
    except (OSError, ValueError, TypeError) as error:
        raise FileError(f"{path}: the public rows cannot be read: {error}.", REMEDY) from error
