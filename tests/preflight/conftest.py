"""A saved plan for each test of pre-flights."""

from __future__ import annotations

from pathlib import Path

import pytest

import planner


@pytest.fixture
def plan_path(tmp_path: Path) -> Path:
    """large 2.1 in autocast, ten objects in one pass, for 2 GB: predicted at 1237 MB, at most 1336."""
    path = tmp_path / "plan.yaml"
    planner.plan(vram="2GB", objects=10).save(path)
    return path
