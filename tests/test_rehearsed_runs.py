"""Rehearsed runs as files: what is written is read again, and what is no such file says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.errors import FileError
from planner.memory_model.known import shipped_runs
from planner.nouns.words import PRECISIONS
from planner.planning.candidates import SQUARE_SIDES
from planner.profiles.rehearsed import DRAWN, FIT, HELD_OUT, read_runs, runs_text
from planner.text.locations import profiles_folder

FILES = sorted((profiles_folder() / "rehearsed").glob("*.tsv"))


def test_the_shipped_runs_are_written_as_they_are_read(tmp_path: Path) -> None:
    assert [path.stem for path in FILES] == ["own", "stock"]
    for path in FILES:
        runs, versions = read_runs(path)
        assert {"torch", "cuda", "cudnn", "sam2"} <= set(versions)
        assert runs_text(runs, versions) == path.read_text(encoding="utf-8")


def test_they_are_enough_and_what_judges_is_apart() -> None:
    rows, _ = shipped_runs()
    assert sum(row.use in (FIT, DRAWN) for row in rows) >= 2500
    assert sum(row.use == HELD_OUT for row in rows) >= 500
    names = [row.id for row in rows]
    assert len(names) == len(set(names)), "a run that judges is none that is fitted to"
    assert {row.run.configuration.precision for row in rows} == set(PRECISIONS)
    asked = {row.run.configuration.resolution for row in rows if row.run.runtime == "own"}
    assert {(side, side) for side in SQUARE_SIDES} <= asked
    assert max(row.run.workload.objects for row in rows) == 50
    assert max(row.quantities.frame_pixels for row in rows) == 96_000_000


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text.replace("\tallocated\t", "\tbytes\t"), "its columns are not"),
        (
            lambda text: text.replace("\ttiny\t", "\tgigantic\t", 1),
            r"'gigantic' is not a variant. Use one of: tiny, small, base_plus, large\. Make",
        ),
        (lambda text: text.replace("\t8.6\t", "\tnew\t", 1), "row "),
    ],
)
def test_a_broken_file_names_its_row(tmp_path: Path, change: object, complaint: str) -> None:
    path = tmp_path / "own.tsv"
    path.write_text(change(FILES[0].read_text(encoding="utf-8")), encoding="utf-8")  # type: ignore[operator]
    with pytest.raises(FileError, match=complaint):
        read_runs(path)
