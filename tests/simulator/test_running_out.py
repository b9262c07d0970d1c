"""Where a run ends on a GPU that is too small, by the simulator."""

from __future__ import annotations

from typing import Any

import pytest

from planner.driving.least import GRANULE
from planner.errors import UsageError
from planner.simulator import simulate
from planner.simulator.running_out import RunningOut, running_out
from planner.simulator.settings import Traced
from tests.simulator.simulated import simulated, traced_of, traces_shared

pytestmark = traces_shared
CLIP: dict[str, Any] = dict(
    task="video", variant="tiny", resolution=256, frame_size=(120, 160), offload_video=True, runtime="stock"
)
TRACED, FRAMES = 20, 1000


@pytest.fixture(scope="module")
def traced() -> Traced:
    return traced_of(**CLIP, frames=TRACED)


def ends(traced: Traced, frames: int, limit_bytes: int) -> RunningOut | None:
    return running_out(traced.trace, TRACED, frames, limit_bytes)


def test_a_long_clip_ends_on_a_later_frame_of_a_larger_gpu(traced: Traced) -> None:
    """The state of each frame stays for ever, so every limit is reached, in the order of the limits."""
    enough = simulated(**CLIP, frames=TRACED).reserved_bytes
    found = [ends(traced, FRAMES, enough + more * 10**6) for more in (0, 6, 12)]
    frames = [one.frame for one in found if one is not None and one.frame is not None]
    assert len(frames) == 3
    assert frames == sorted(set(frames))
    assert all(one is not None and one.retries > 0 for one in found), "cache is given back first"


def test_a_clip_that_fits_does_not_end(traced: Traced) -> None:
    whole = simulated(**CLIP, frames=TRACED)
    assert ends(traced, TRACED, whole.reserved_bytes) is None
    short = ends(traced, TRACED, whole.allocated_bytes - (64 << 20))
    assert short is not None
    assert short.phase in ("load", "init", "encode", "prompt", "track", "output")


def test_the_least_is_where_a_clip_just_completes(traced: Traced) -> None:
    whole = simulated(**CLIP, frames=TRACED)
    least = whole.least_bytes - whole.context_bytes
    assert whole.allocated_bytes <= least <= whole.reserved_bytes
    assert ends(traced, TRACED, least) is None
    assert least % GRANULE == 0 or least == whole.reserved_bytes
    assert ends(traced, TRACED, least - GRANULE) is not None


def test_the_least_of_a_long_clip_is_that_of_its_beginning_and_what_it_keeps(traced: Traced) -> None:
    """Playing every frame of 200 finds the same within the segments that a pool is apart."""
    long = simulate(**CLIP, frames=200)
    least = long.least_bytes - long.context_bytes
    assert ends(traced, 200, least + 4 * GRANULE) is None
    assert ends(traced, 200, least - 4 * GRANULE) is not None


def test_a_gpu_smaller_than_the_context_holds_nothing() -> None:
    end = simulate(**CLIP, frames=2, vram="100MB").runs_out
    assert end is not None
    assert (end.phase, end.frame, end.allocated_bytes) == ("load", None, 0)


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError):
        simulate(**CLIP, vram="2")
