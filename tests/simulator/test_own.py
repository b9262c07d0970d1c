"""What the runtime needs, by the simulator: small, constant, and less than the stock predictors."""

import pytest

pytest.importorskip("torch", reason="the trace runs torch")
pytest.importorskip("sam2", reason="the trace runs the sam2 package")

from planner import PlannerError, simulate
from planner.words import PRECISIONS

SMALL = {"variant": "tiny", "resolution": 256, "precision": "float16", "frame_size": (120, 160)}


def test_large_in_float16_follows_ten_objects_without_end_in_900_megabytes():
    found = simulate(variant="large", precision="float16", objects=10, frames="unlimited")
    assert found.allocated_bytes <= 900e6
    assert found.growth.per_frame_bytes == 0


def test_tiny_in_float16_does_so_in_450_megabytes_and_a_further_object_takes_4():
    ten, eleven = (
        simulate(variant="tiny", precision="float16", objects=count, frames="unlimited") for count in (10, 11)
    )
    assert ten.allocated_bytes <= 450e6
    # What it remembers: seven frames of 0.52 MB, a mask of 0.26 MB, sixteen pointers.
    assert 3.5e6 <= eleven.allocated_bytes - ten.allocated_bytes <= 4e6


def test_no_byte_is_added_after_the_memory_is_full():
    found = {frames: simulate(**SMALL, objects=2, frames=frames) for frames in (40, 2000, 50_000)}
    assert len({one.allocated_bytes for one in found.values()}) == 1
    assert all(one.growth.per_frame_bytes == 0 for one in found.values())
    assert found[2000].reserved_bytes == found[50_000].reserved_bytes


def test_repeating_what_was_traced_changes_no_byte():
    asked = {**SMALL, "objects": 2, "frames": 26}
    repeated, full = simulate(**asked), simulate(**asked, full_trace=True)
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
    kept, gone = (simulate(**SMALL, objects=8, frames=26, offload_state=value) for value in (False, True))
    bank = {name: _component(found, "memory bank") for name, found in (("kept", kept), ("gone", gone))}
    # 7 frames of 64 × 16 × 16 × 2 bytes per object stay on the host; masks and pointers stay on the GPU.
    assert bank["kept"] - bank["gone"] >= 8 * 6 * 64 * 16 * 16 * 2
    assert gone.allocated_bytes < kept.allocated_bytes


def test_larger_passes_of_objects_take_more():
    found = [simulate(**SMALL, objects=4, frames=26, object_batch=batch).allocated_bytes for batch in (1, 2, 4)]
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
    assert weights == pytest.approx(38.9e6 * (4 if "autocast" in precision or precision == "float32" else 2), rel=0.2)


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
