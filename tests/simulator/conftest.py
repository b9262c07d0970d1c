"""What tests of the simulator share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def traces_shared() -> Iterator[None]:
    """A run is traced once in a process under the same conditions (see tests/simulator/simulated.py)."""
    from planner.simulator import simulation
    from tests.simulator.simulated import trace_once

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "trace", trace_once)
        yield
