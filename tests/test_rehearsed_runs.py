"""Rehearsed runs as files: what is written is read again, and what is no such file says so."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from planner.errors import FileError
from planner.memory_model.known import shipped_runs
from planner.nouns.run import SWITCHES, Configuration, Run, Usage, Workload, name_of
from planner.nouns.words import OTHER_MODELS, PRECISIONS, RUNTIMES, package_of
from planner.planning.candidates import SQUARE_SIDES
from planner.profiles.rehearsed import DRAWN, FIT, HELD_OUT, RehearsedRun, read_runs, runs_text
from planner.text.locations import profiles_folder
from planner.text.spelling import check_word

FILES = sorted((profiles_folder() / "rehearsed").glob("*.tsv"))


def test_the_shipped_runs_are_written_as_they_are_read(tmp_path: Path) -> None:
    models = {f"transformers-{model}" for model in OTHER_MODELS}
    assert {path.stem for path in FILES} == {"own", "stock", "transformers", "ultralytics", *models}
    for path in FILES:
        runs, versions = read_runs(path)
        package = package_of(check_word(path.stem.partition("-")[0], "runtime", RUNTIMES))
        assert {"torch", "cuda", "cudnn", package} <= set(versions)
        assert runs_text(runs, versions) == path.read_text(encoding="utf-8")


USUAL = Run(
    runtime="own",
    configuration=Configuration(variant="tiny", version="2.1", resolution=(1024, 1024), precision="float32"),
    workload=Workload(task="video", frames=30),
)
OTHER: dict[str, Any] = {
    "variant": "large", "version": "2.0", "resolution": (512, 1024), "precision": "float16", "attention": "math",
    "object_batch": 4, **dict.fromkeys(SWITCHES, True),
}  # fmt: skip
"""For each field of a configuration another value; whether the memory bank is bounded goes with the runtime."""


@pytest.mark.parametrize("name", [one.name for one in fields(Configuration) if one.name != "bounded_memory_bank"])
def test_each_field_of_a_configuration_is_in_names_and_lines(name: str, tmp_path: Path) -> None:
    other = replace(USUAL, configuration=replace(USUAL.configuration, **{name: OTHER[name]}))
    assert other.id != USUAL.id
    if name != "precision":  # runs of another width are in another group
        names = {name_of(run.configuration, run.workload, (8, 6)) for run in (USUAL, other)}
        assert len(names) == 2
    usage = Usage(allocated_bytes=1, reserved_bytes=2, phases={"load": 1})
    written = [RehearsedRun(run=run, usage=usage, use=FIT, capability=(8, 6)) for run in (USUAL, other)]
    path = tmp_path / "own.tsv"
    path.write_text(runs_text(written, {}), encoding="utf-8")
    found, _ = read_runs(path)
    assert all(one in found for one in written)


@pytest.mark.parametrize("name", SWITCHES)
def test_what_was_no_column_yet_was_off(name: str, tmp_path: Path) -> None:
    run = replace(USUAL, configuration=replace(USUAL.configuration, **dict.fromkeys(SWITCHES, True)))
    usage = Usage(allocated_bytes=1, reserved_bytes=2)
    path = tmp_path / "own.tsv"
    lines = runs_text([RehearsedRun(run=run, usage=usage, use=FIT, capability=(8, 6))], {}).splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    place = rows[0].index(name)
    path.write_text("\n".join("\t".join((*row[:place], *row[place + 1 :])) for row in rows), encoding="utf-8")
    ((found,), _) = read_runs(path)
    assert found.run.configuration == replace(run.configuration, **{name: False})


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
            r"'gigantic' is not a variant. Use one of: tiny, small, base_plus, large, edgetam, sam3_tracker\. Make",
        ),
        (lambda text: text.replace("\t8.6\t", "\tnew\t", 1), "row "),
    ],
)
def test_a_broken_file_names_its_row(tmp_path: Path, change: object, complaint: str) -> None:
    path = tmp_path / "own.tsv"
    path.write_text(change(FILES[0].read_text(encoding="utf-8")), encoding="utf-8")  # type: ignore[operator]
    with pytest.raises(FileError, match=complaint):
        read_runs(path)
