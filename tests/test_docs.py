"""What keeps the docs whole: shelves, and the page of the Python API."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_docs import unshelved
from python_reference import python_reference

import planner
from tests.conftest import ROOT


def test_every_page_is_on_a_shelf(tmp_path: Path) -> None:
    assert unshelved(ROOT / "docs") == []
    (tmp_path / "README.md").write_text("[one](one.md), [elsewhere](../other.md)")
    for name in ("one.md", "other.md"):
        (tmp_path / name).write_text("")
    assert unshelved(tmp_path) == ["docs/README.md: other.md is on no shelf"]


def test_a_public_name_is_on_the_python_page_or_the_page_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    names = {name for name in planner.__all__ if not name.startswith("__")}
    assert {name for name in names if f"`planner.{name}`" not in page} == set()
    monkeypatch.setattr(planner, "__all__", [*planner.__all__, "forgotten"])
    with pytest.raises(ValueError, match="forgotten"):
        python_reference()
