"""The grid: what it covers, and that a run goes on where it was cut off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.domain import VARIANTS
from planner.errors import FileError
from planner.journal import read_journal
from planner.simulator.grid import Point, grid, run_grid

POINTS = [Point(task="image", variant="tiny", resolution=side, frame_size=(64, 64)) for side in (64, 128, 192)]


def test_every_point_is_named_once_and_every_variant_is_in() -> None:
    points = grid()
    assert len({point.id for point in points}) == len(points)
    for task in ("image", "video", "automask"):
        assert {point.variant for point in points if point.task == task} == set(VARIANTS)


def test_a_run_cut_off_goes_on_without_losing_or_doubling_a_row(tmp_path: Path) -> None:
    pytest.importorskip("sam2", reason="simulating runs the sam2 package, which is not installed")
    journal = tmp_path / "journal.jsonl"
    first = run_grid(POINTS[:2], journal, workers=1)
    # Cut off in the middle of the second row, as a kill would.
    text = journal.read_text(encoding="utf-8")
    journal.write_text(text[:-100], encoding="utf-8")
    seen: list[str] = []
    rows = run_grid(POINTS, journal, workers=1, progress=lambda done, total, name: seen.append(name))
    assert seen == [POINTS[1].id, POINTS[2].id]
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == [point.id for point in POINTS]
    again = rows[POINTS[1].id]["simulation"]["total_bytes"]
    assert again == first[POINTS[1].id]["simulation"]["total_bytes"]


def test_a_broken_journal_names_its_line(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_text('{"id": "a"}\nrubbish\n{"id": "b"}\n', encoding="utf-8")
    with pytest.raises(FileError, match="line 2"):
        read_journal(journal)


def test_a_point_that_fails_is_a_row_with_its_error(tmp_path: Path) -> None:
    pytest.importorskip("sam2", reason="simulating runs the sam2 package, which is not installed")
    point = Point(task="image", variant="tiny", resolution=100)
    rows = run_grid([point], tmp_path / "journal.jsonl", workers=1)
    assert "multiple of 32" in rows[point.id]["error"]
