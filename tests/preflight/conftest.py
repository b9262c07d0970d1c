"""A saved plan for each test of pre-flights."""

from __future__ import annotations

from pathlib import Path

import pytest

import planner


@pytest.fixture
def plan_path(tmp_path: Path) -> Path:
    """large 2.1 in autocast, ten objects, for 3 GB: predicted at 1241 MB, at most 1378."""
    path = tmp_path / "plan.yaml"
    planner.plan(vram="3GB", objects=10).save(path)
    return path
