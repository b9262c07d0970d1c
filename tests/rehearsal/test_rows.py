"""`measure --rehearse`: rows from an imaginary GPU, resumable, and never called measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.profiles import load_folder
from planner.rehearsal.building import why_not_rehearsing
from tests.conftest import invoke

needs_cuda = pytest.mark.skipif(bool(why_not_rehearsing()), reason=str(why_not_rehearsing()))


@needs_cuda
def test_a_rehearsed_sweep_is_resumed_and_says_what_it_is(tmp_path: Path) -> None:
    ranges = tmp_path / "ranges.yaml"
    ranges.write_text("task: [image]\nvariant: [tiny]\nresolution: [512x512]\nframe_size: [240x320]\n")
    words = ("measure", "--rehearse", "--gpu", "RTX 3060", "--sweep", str(ranges), "--out", str(tmp_path / "rows"))
    first = invoke(*words, "--format", "json").document
    assert (first["truth"], first["ran"]) == ("rehearsed", 1)
    assert invoke(*words, "--format", "json").document["ran"] == 0, "what is there is not run again"
    (row,) = load_folder(tmp_path / "rows")
    assert row.kind == "rehearsed"
    assert "RTX 3060" in str(row.environment.gpu)
    assert {figure.metric for figure in row.figures} >= {"allocated", "reserved"}
    assert invoke(*words[:-2], "--out", str(tmp_path / "rows"), "--runtime", "stock", "--format", "json").code == 0


def test_whose_rows_they_are_must_be_one_thing(tmp_path: Path) -> None:
    for words in (
        ("--rehearse", "--simulate"),
        ("--rehearse", "--device", "0"),
        ("--gpu", "RTX 3060"),
        ("--rehearse", "--gpu", "RTX 9999"),
    ):
        found = invoke("measure", *words, "--out", str(tmp_path))
        assert found.code == 2, words
        assert found.err.startswith("error: ")
