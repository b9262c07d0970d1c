"""What the runtime needs, by the simulator: small, constant, and less than the stock predictors."""

import pytest

from planner import PlannerError, simulate
from planner.nouns.words import PRECISIONS
from planner.simulator.extension import extend
from planner.simulator.simulation import ENDLESS_FRAMES
from tests.simulator.simulated import simulated, traced_of, traces_shared

pytestmark = traces_shared
SMALL = {"variant": "tiny", "resolution": 256, "precision": "float16", "frame_size": (120, 160)}
ENDLESS = {"precision": "float16", "frames": "unlimited"}
FURTHER = 4e6
"""Bytes that each object after the first takes at most, at 1024x1024."""


def test_large_in_float16_follows_ten_objects_without_end_in_900_megabytes():
    """A further object takes 4 MB whatever the variant, as the next but one shows; the next traces all ten."""
    two = simulated(variant="large", objects=2, **ENDLESS)
    assert two.allocated_bytes + 8 * FURTHER <= 900e6
    assert two.growth.per_frame_bytes == 0


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "most"), [("large", 900e6), ("tiny", 450e6)])
def test_ten_objects_that_are_all_traced_take_no_more(variant, most):
    ten = simulated(variant=variant, objects=10, **ENDLESS)
    assert ten.allocated_bytes <= most
    assert ten.growth.per_frame_bytes == 0


def test_tiny_in_float16_does_so_in_450_megabytes_and_a_further_object_takes_4():
    one, two = (simulated(variant="tiny", objects=count, **ENDLESS) for count in (1, 2))
    assert two.allocated_bytes + 8 * FURTHER <= 450e6
    # What it remembers: seven frames of 0.52 MB, a mask of 0.26 MB, sixteen pointers.
    assert 3.5e6 <= two.allocated_bytes - one.allocated_bytes <= FURTHER


def test_no_byte_is_added_after_the_memory_is_full():
    simulation = simulated(**SMALL, objects=2, frames=26)
    traced = traced_of(**SMALL, objects=2, frames=26)
    ends = {frames: extend(traced.trace, traced.frames, frames, True) for frames in (40, ENDLESS_FRAMES, 50_000)}
    assert {end.player.peaks.highest.allocated_bytes for end in ends.values()} == {simulation.allocated_bytes}
    assert all(not any(end.grown_bytes.values()) for end in ends.values())
    # Between frames 500 and 1000 the small pool takes one page more, and none after it.
    settling = ends[50_000].player.reserved_bytes - ends[ENDLESS_FRAMES].player.reserved_bytes
    assert settling in (0, 2 * 2**20)
    assert simulation.growth.per_frame_bytes == 0


def test_repeating_what_was_traced_changes_no_byte():
    asked = {**SMALL, "objects": 2, "frames": 26}
    repeated, full = simulated(**asked), simulate(**asked, full_trace=True)
    assert repeated.allocated_bytes == full.allocated_bytes
    assert repeated.reserved_bytes == full.reserved_bytes
    assert [phase.allocated_bytes for phase in repeated.phases] == [phase.allocated_bytes for phase in full.phases]


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"task": "image"}, id="image"),
        pytest.param({"task": "video", "frames": 26, "offload_video": True}, id="video, frames on the host"),
        pytest.param({"task": "automask", "kept_fraction": 0.1}, id="automatic masks"),
    ],
)
def test_it_needs_less_than_the_stock_predictor(asked):
    settings = {"variant": "tiny", "resolution": 512, "precision": "autocast_bfloat16", **asked}
    ours, stock = simulate(**settings), simulate(**settings, runtime="stock")
    assert ours.allocated_bytes < 0.8 * stock.allocated_bytes


def test_the_memory_bank_leaves_the_gpu_when_it_is_offloaded():
    kept = simulated(**SMALL, objects=2, frames=26)
    gone = simulate(**SMALL, objects=2, frames=26, offload_state=True)
    bank = {name: _component(found, "memory bank") for name, found in (("kept", kept), ("gone", gone))}
    # 7 frames of 64 × 16 × 16 × 2 bytes per object stay on the host; masks and pointers stay on the GPU.
    assert bank["kept"] - bank["gone"] >= 2 * 6 * 64 * 16 * 16 * 2
    assert gone.allocated_bytes < kept.allocated_bytes


def test_larger_passes_of_objects_take_more():
    found = [simulate(**SMALL, objects=4, frames=4, object_batch=batch).allocated_bytes for batch in (1, 2, 4)]
    assert found == sorted(found) and len(set(found)) == 3


def test_a_picture_of_another_shape_has_a_resolution_of_its_own():
    wide, tall, square = (
        simulate(**(SMALL | {"resolution": size}), task="image").allocated_bytes
        for size in ("256x448", "448x256", "448x448")
    )
    assert wide == pytest.approx(tall, rel=0.02)
    assert wide < square


@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_precision_runs(precision):
    found = simulate(**(SMALL | {"precision": precision}), task="image")
    weights = _component(found, "weights")
    assert weights == pytest.approx((38.9e6 - 7.5e6) * (4 if precision == "float32" else 2), rel=0.03), (
        "those of video stay away"
    )


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        pytest.param({"legacy": True}, "legacy", id="a stock predictor's option"),
        pytest.param({"runtime": "stock", "resolution": "256x448"}, "256x448", id="a shape that stock cannot run"),
        pytest.param({"runtime": "stock", "frames": "unlimited"}, "without end", id="a clip without end on stock"),
        pytest.param({"runtime": "stock", "object_batch": 2}, "object_batch", id="passes of objects on stock"),
    ],
)
def test_what_the_code_asked_for_cannot_run_is_refused(asked, named):
    with pytest.raises(PlannerError, match=named):
        simulate(variant="tiny", **asked)


def _component(found, name):
    return sum(component.bytes for component in found.components if component.name == name)
