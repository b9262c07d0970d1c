"""Ultralytics' predictors, simulated and rehearsed: the same bytes, in every phase."""

from dataclasses import replace
from importlib.util import find_spec

import pytest

torch = pytest.importorskip("torch", reason="the trace runs torch")
if find_spec("ultralytics") is None:  # not imported here: that would put functions of its own into Pillow and torch
    pytest.skip("the trace runs Ultralytics' code", allow_module_level=True)

from planner.measure.forking import Forks
from planner.measure.trial import RAN, Trial
from planner.nouns.run import Configuration, Run, Workload
from planner.rehearsal.machine import imaginary_gpu
from planner.simulator import settings
from planner.simulator.extension import extend
from planner.simulator.torch_adapters import FakeGpu
from tests.stages import require_stage

CAPABILITY = (8, 6)
ROOMY = imaginary_gpu(capability=CAPABILITY, total_bytes=300 * 2**30)


def run(task, *, objects=1, frames=1, prompt="box", frame_size=(270, 480), **configuration):
    usual = dict(variant="tiny", version="2.1", resolution=(256, 256), precision="float32", object_batch=objects)
    return Run(
        runtime="ultralytics",
        configuration=Configuration(**usual | configuration),
        workload=Workload(task=task, objects=objects, frames=frames, frame_size=frame_size),
        prompt=prompt,
    )


def simulated(asked, **conditions):
    """Allocated by phase, reserved, and what each frame adds for good."""
    traced = settings.trace(asked, settings.Conditions(capability=CAPABILITY, **conditions))
    played = extend(traced.trace, traced.frames, max(asked.workload.frames or 1, traced.frames))
    by_phase = {name: peak.allocated_bytes for name, peak in played.player.peaks.by_phase.items()}
    return by_phase, played.player.reserved_bytes, played.grown_bytes


@pytest.fixture(scope="module")
def forks():
    require_stage()
    with Forks() as forks:
        yield forks


RUNS = [
    run("image", objects=3),
    pytest.param(
        run("image", objects=2, precision="float16", variant="small", prompt="point"),
        marks=pytest.mark.slow,
    ),
    run("video", objects=2, frames=24),
    pytest.param(
        run("video", objects=3, frames=6, precision="float16", prompt="point", version="2.0"),
        marks=pytest.mark.slow,
    ),
    pytest.param(
        run("video", objects=2, frames=24, bounded_memory_bank=False, precision="autocast_bfloat16"),
        marks=pytest.mark.slow,
    ),
    run("video", objects=2, frames=4, prompt="mask", frame_size=(1080, 1920)),
    run("video", objects=1, frames=3, frame_size=(250, 375), variant="large"),
    run("automask", object_batch=64),
]


@pytest.mark.parametrize("asked", RUNS, ids=lambda asked: asked.id)
def test_a_simulated_run_takes_what_a_rehearsed_one_takes(forks, asked, monkeypatch):
    monkeypatch.delenv("SAM2_PLAN_CUDNN", raising=False)  # workspaces as cuDNN says them
    rehearsed = forks.run(Trial.of(asked), ROOMY)
    assert rehearsed.outcome == RAN, rehearsed.error
    kept = {"kept_fraction": 0.0} if asked.workload.task == "automask" else {}  # zeros pass no filter
    by_phase, reserved_bytes, _ = simulated(asked, **kept)
    assert by_phase == {name: peak["allocated_bytes"] for name, peak in rehearsed.phases.items()}
    assert reserved_bytes == rehearsed.reserved_bytes


def test_only_a_bank_that_is_not_pruned_grows():
    asked = run("video", objects=2, frames=40)
    assert simulated(asked)[2] == {}
    kept = replace(asked, configuration=replace(asked.configuration, bounded_memory_bank=False))
    masks = (256**2 + (256 // 4) ** 2) * 4  # at both resolutions, in float32
    each_object = masks + (256 // 16) ** 2 * 64 * 2 + 256 * 4 + 4  # memories in float16, pointer and score
    assert simulated(kept)[2] == {"memory bank": 2 * each_object}


def test_weights_that_want_gradients_are_multiplied_with_a_copy_of_what_is_not_contiguous():
    gpu = FakeGpu()
    with gpu.run():
        outside = torch.nn.Linear(8, 4).to("cuda:0")
        with torch.inference_mode():
            inside = torch.nn.Linear(8, 4).to("cuda:0")
            values = torch.zeros(2, 8, 16, device="cuda:0").permute(0, 2, 1)
            taken = []
            for layer in (inside, outside):
                before = len(gpu.trace.allocations)
                layer(values)
                taken.append([one.size_bytes for one in gpu.trace.allocations[before:]])
    out, copy = 2 * 16 * 4 * 4, 2 * 16 * 8 * 4
    assert taken == [[out], [copy, out]]
