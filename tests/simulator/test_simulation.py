"""What simulate() answers, against what is published, computable, or found the slow way."""

import json
from functools import partial

import pytest

pytest.importorskip("torch", reason="the trace runs torch")
pytest.importorskip("sam2", reason="the trace runs the sam2 package")

from planner.errors import UsageError
from planner.simulator import simulate as simulate_any
from tests.simulator.simulated import traces_shared

pytestmark = traces_shared
simulate = partial(simulate_any, runtime="stock")
SMALL = dict(variant="tiny", resolution=256, frame_size=(270, 480))


def component(simulation, name):
    return sum(part.bytes for part in simulation.components if part.name == name)


def test_frames_of_a_long_clip_are_what_a_user_reported():
    simulation = simulate(variant="tiny", frames=1581)  # facebookresearch/sam2 issue 62
    assert component(simulation, "frames") / 2**30 == pytest.approx(18.53, abs=0.005)
    assert simulation.growth.per_object_bytes / 1e6 == pytest.approx(0.787, abs=0.001)


def test_asynchronous_loading_doubles_the_frames():
    for frames, loading, item_bytes in ((30, False, 4), (6, True, 8)):
        found = component(simulate(frames=frames, async_loading=loading, **SMALL), "frames")
        assert found == frames * 256 * 256 * 3 * item_bytes


def test_state_grows_with_the_resolution():
    half = simulate(frames=20, variant="tiny", resolution=512)
    assert half.growth.per_object_bytes == pytest.approx(787_458 / 4, rel=0.01)


def test_state_grows_with_the_objects():
    simulation = simulate(frames=20, objects=2, **SMALL)
    assert simulation.growth.per_frame_bytes == 2 * simulation.growth.per_object_bytes


def test_offloads_leave_neither_frames_nor_growth():
    simulation = simulate(frames=40, offload_video=True, offload_state=True, **SMALL)
    assert component(simulation, "frames") == 0
    assert simulation.growth.per_frame_bytes < 4096


def test_nine_objects_in_one_batch_materialize_the_published_attention():
    simulation = simulate(
        frames=18, objects=9, precision="float32", attention="math", legacy=True, frame_size=(270, 480)
    )  # ultralytics issue 18211: 3.95 GiB
    assert simulation.largest_bytes == 9 * 4096 * (7 * 4096 + 64) * 4
    assert simulation.largest_bytes / 2**30 == pytest.approx(3.946, abs=0.001)


EXTENDED = [
    pytest.param({}, id="default"),
    pytest.param({"offload_state": True, "offload_video": True}, id="offloads", marks=pytest.mark.slow),
    pytest.param({"async_loading": True}, id="asynchronous loading", marks=pytest.mark.slow),
    pytest.param(
        {"expandable_segments": True, "precision": "float32"},
        id="expandable segments, float32",
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize("options", EXTENDED)
def test_extension_equals_the_full_trace(options):
    short, full = (simulate(frames=24, full_trace=complete, **SMALL, **options) for complete in (False, True))
    assert short.provenance["traced_frames"] == 20 and full.provenance["traced_frames"] == 24
    for name in ("allocated_bytes", "reserved_bytes", "components", "phases", "peak", "growth"):
        assert getattr(short, name) == getattr(full, name), name


@pytest.mark.parametrize("task", ["image", "video", "automask"])
@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_components_add_up(task, version):
    simulation = simulate(task=task, version=version, frames=3, points_per_batch=256, **SMALL)
    assert sum(part.bytes for part in simulation.components) == simulation.total_bytes
    assert max(phase.allocated_bytes for phase in simulation.phases) == simulation.allocated_bytes
    assert simulation.allocated_bytes <= simulation.reserved_bytes < simulation.total_bytes
    json.dumps(simulation.to_dict())


@pytest.mark.parametrize("prompt", ["point", "mask"])
def test_other_prompts_can_be_traced(prompt):
    for task in ("image", "video"):
        assert simulate(task=task, prompt=prompt, frames=2, **SMALL).allocated_bytes > 0


def test_automatic_masks_follow_the_picture_and_what_is_kept():
    # 64 points x 3 masks of the picture's size, in float32, twice where a filter keeps all and copies
    few, all_kept = (
        simulate(task="automask", points_per_batch=64, kept_fraction=kept, **SMALL | {"frame_size": (1080, 1920)})
        for kept in (0.0, 1.0)
    )
    masks = 64 * 3 * 1080 * 1920 * 4
    assert all_kept.allocated_bytes - few.allocated_bytes == pytest.approx(masks, rel=0.15)


def test_the_compiled_extension_takes_memory():
    plain, with_extension = (
        simulate(task="automask", points_per_batch=256, extension_present=present, **SMALL) for present in (False, True)
    )
    assert with_extension.phases != plain.phases


@pytest.mark.parametrize("precision", ["autocast_float16", "float16", "bfloat16"])
def test_low_precision_weights_take_half(precision):
    simulation = simulate(task="image", precision=precision, **SMALL)
    encode = next(phase for phase in simulation.phases if phase.name == "encode")
    weights = next(part.bytes for part in encode.components if part.name == "weights")
    assert weights == pytest.approx(38_962_498 * (4 if "autocast" in precision else 2), rel=0.001)


def test_a_resolution_that_is_not_square_is_refused_before_tracing():
    with pytest.raises(UsageError, match="576x1024"):
        simulate(resolution=(576, 1024))


def test_an_attention_kernel_that_the_gpu_cannot_run_is_refused():
    with pytest.raises(UsageError, match="flash"):
        simulate(task="image", attention="flash", capability=(7, 5), **SMALL)
