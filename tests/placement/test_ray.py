"""Ray: fractions that its own arithmetic does not round down, and a real local Ray that schedules by them.

The GPU is a logical one: Ray counts it, nothing runs on it. Where a worker allocates, the allocator is the simulator's.
"""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import planner
from planner.catalog.gpus import known_gpus
from planner.machine.cap import cap_from
from planner.placement.placement import ShareTooLarge
from planner.placement.ray import UNITS, accelerator_type, driver_name, fraction
from tests.conftest import ROOT
from tests.placement.conftest import bound_of

GB = 10**9
CARD = 24 * GB


# -- the fraction -----------------------------------------------------------------------------------------


@given(gpu=st.integers(10**9, 2 * 10**11), part=st.floats(1e-5, 1.0))
def test_so_many_shares_as_ray_counts_fit_the_gpu(gpu: int, part: float) -> None:
    share = max(1, int(gpu * part))
    asked = fraction(share, gpu)
    units = int(asked * UNITS)  # as Ray reads it
    assert units * gpu >= share * UNITS, "a fraction holds the share"
    assert (UNITS // units) * share <= gpu, "so many as Ray starts"
    assert 0 < asked <= 1


def test_a_fraction_that_ray_would_round_down_is_passed_over() -> None:
    """0.1667 × 10,000 is 1,666.99…, of which Ray keeps 1,666: six would fit where five do."""
    assert int(0.1667 * UNITS) == 1666
    assert fraction(1667, UNITS) == 0.1668
    assert int(fraction(1667, UNITS) * UNITS) == 1668


def test_a_share_of_the_whole_gpu_is_one_and_more_is_refused(plan: planner.Plan) -> None:
    assert plan.ray_options(gpu="24GB", share="budget")["num_gpus"] == 1.0
    with pytest.raises(ShareTooLarge, match=r"24.0 GB.*20.0 GB"):
        plan.ray_options(gpu="20GB", share="budget")


def test_the_options_cap_the_worker_at_the_share_to_the_byte(plan: planner.Plan) -> None:
    options = plan.ray_options(gpu=CARD)
    assert set(options) == {"num_gpus", "runtime_env"}, "no name, no accelerator type"
    assert plan.estimate is not None
    assert cap_from(options["runtime_env"]["env_vars"]) == bound_of(plan)


def test_a_plan_without_a_gpu_needs_to_be_told_one(plan: planner.Plan, named: planner.Plan) -> None:
    with pytest.raises(planner.PlannerError, match="neither the plan nor you") as caught:
        plan.ray_options()
    assert caught.value.exit_code == 2 and "24GB" in caught.value.hint
    assert named.ray_options()["accelerator_type"] == "A100"


@pytest.mark.parametrize(
    ("gpu", "kind"),
    [
        ("L4", "L4"),
        ("A100 80 GB", "A100"),
        ("H200", "H200"),
        ("RTX 3090", "GeForce-RTX-3090"),
        ("RTX 3060 12 GB", "GeForce-RTX-3060"),
        ("RTX A6000", "RTX-A6000"),
        ("RTX PRO 6000 Blackwell Server", "RTX-PRO-6000"),
    ],
)
def test_the_type_is_what_ray_calls_the_card(plan: planner.Plan, gpu: str, kind: str) -> None:
    assert plan.ray_options(gpu=gpu)["accelerator_type"] == kind


def test_a_type_that_also_means_smaller_cards_is_told(plan: planner.Plan) -> None:
    from planner.placement.ray import place_on_ray

    [told] = place_on_ray(plan, gpu="A100 SXM4 80 GB").warnings
    assert told.startswith("Ray calls these A100 too") and "A100 PCIe 40 GB" in told
    assert place_on_ray(plan, gpu="L40S").warnings == ()
    assert place_on_ray(plan, gpu="24GB").warnings == ()


def test_errors_come_out_of_another_process_whole(plan: planner.Plan, hopeless: planner.Plan) -> None:
    from planner.simulator.allocator import CachingAllocator

    for raising, names in (
        (lambda: plan.ray_options(gpu="1GB"), ("message", "hint")),
        (lambda: hopeless.ray_options(gpu="1GB"), ("message", "hint", "rejected", "suggestions")),
        (lambda: CachingAllocator(limit_bytes=1).malloc(2), ("message", "limit_bytes", "requested_bytes")),
    ):
        with pytest.raises(planner.PlannerError) as caught:
            raising()
        again = pickle.loads(pickle.dumps(caught.value))
        assert type(again) is type(caught.value) and str(again) == str(caught.value)
        assert [getattr(again, name) for name in names] == [getattr(caught.value, name) for name in names]


# -- a real Ray -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A local Ray with one logical GPU and room for many tasks, in a folder of its own."""
    module = pytest.importorskip("ray", reason="schedules on Ray")
    # Sockets have short paths, so pytest's own folder will not do.
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    here = {
        "HOME": folder,
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    before = {name: os.environ.get(name) for name in here}
    os.environ.update(here)
    try:
        module.init(
            address="local",
            num_cpus=32,
            num_gpus=1,
            resources={"accelerator_type:L4": 1},
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=100 * 2**20,
            _temp_dir=folder,
            # Workers need this checkout, and OpenMP's threads of sixteen of them would be in each other's way.
            runtime_env={"env_vars": {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}},
        )
        yield module
    finally:
        module.shutdown()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


def test_ray_counts_in_the_units_that_fractions_are_rounded_to(ray: Any) -> None:
    from ray import _raylet

    assert _raylet.RESOURCE_UNIT_SCALING == UNITS


def test_the_accelerator_type_is_rays_own_for_every_known_card(ray: Any) -> None:
    from ray._private.accelerators.nvidia_gpu import NvidiaGPUAcceleratorManager

    theirs = NvidiaGPUAcceleratorManager._gpu_name_to_accelerator_type
    for gpu in known_gpus():
        for name in (driver_name(gpu.name), f"NVIDIA {gpu.name}", f"NVIDIA {gpu.name.replace(' ', '-')}", gpu.name):
            assert accelerator_type(name) == theirs(name), name


def test_eight_plans_run_as_many_at_a_time_as_fit_and_none_starves(ray: Any) -> None:
    """Shares of 0.1667 too, of which Ray would start six if they were handed to it as they are."""
    from tests.placement.ray_work import Gate, stay

    made = planner.plan(task="video", objects=3, vram="4.0003GB")
    options = made.ray_options(gpu=CARD, share="budget")
    fits = CARD // made.budget.total_bytes
    assert fits == 5 and options["num_gpus"] == 0.1668
    gate = ray.remote(num_cpus=0)(Gate).remote()
    task = ray.remote(**options)(stay)
    done = ray.get([task.remote(gate, name, fits) for name in range(8)], timeout=120)
    assert [one["name"] for one in done] == list(range(8)), "all came to an end"
    assert ray.get(gate.seen.remote()) == fits, "never more at once, and as many as fit"
    assert sorted(ray.get(gate.entered.remote())) == list(range(8))
    assert {one["cap"] for one in done} == {made.budget.total_bytes}
    assert {tuple(one["gpus"]) for one in done} == {(0,)}
    assert len({one["pid"] for one in done}) == 8, "a worker that stayed would keep its memory on the GPU"


def test_plans_of_different_sizes_share_the_gpu_by_their_bounds(ray: Any) -> None:
    from tests.placement.ray_work import Gate, stay

    plans = [planner.plan(task="video", objects=count, vram="24GB", variant="tiny") for count in (1, 2, 40, 80)]
    # On an L4 as by the plans themselves: both are Ada or Ampere to what is predicted.
    shares = [made.estimate.upper_bytes for made in plans if made.estimate is not None]
    assert sum(shares) <= CARD
    gate = ray.remote(num_cpus=0)(Gate).remote()
    tasks = [ray.remote(**made.ray_options(gpu="L4"))(stay) for made in plans]
    done = ray.get([task.remote(gate, name, len(plans)) for name, task in enumerate(tasks)], timeout=120)
    assert [one["cap"] for one in done] == shares
    assert ray.get(gate.seen.remote()) == len(plans), "all at once"


def test_one_too_many_waits_until_there_is_room_and_one_too_large_is_refused(ray: Any) -> None:
    from tests.placement.ray_work import Gate

    made = planner.plan(task="video", objects=3, vram="12GB")
    options = made.ray_options(gpu=CARD, share="budget")
    actor = ray.remote(**options)(Gate)
    running = [actor.remote() for _ in range(2)]
    ray.get([one.seen.remote() for one in running], timeout=60)
    third = actor.remote()
    waiting = third.seen.remote()
    assert ray.wait([waiting], timeout=1)[0] == [], "the GPU is full"
    ray.kill(running[0])
    assert ray.get(waiting, timeout=60) == 0
    for one in (running[1], third):
        ray.kill(one)
    larger = planner.plan(task="video", vram="30GB")
    with pytest.raises(planner.PlannerError, match=r"30.0 GB.*24.0 GB"):
        larger.ray_options(gpu=CARD, share="budget")
    with pytest.raises(ValueError, match=r"1\.25"):
        ray.remote(Gate).options(num_gpus=larger.budget.total_bytes / CARD).remote()


def test_a_worker_that_overruns_its_cap_fails_alone(ray: Any) -> None:
    """The allocator is simulated; the cap, its way into the worker and the arithmetic are the real ones."""
    from planner.simulator.allocator import SimulatedOutOfMemory
    from tests.placement.ray_work import Gate, fill

    made = planner.plan(task="video", objects=3, vram="24GB", variant="tiny")
    assert made.estimate is not None
    context, share = made.estimate.context_bytes, bound_of(made)
    options = made.ray_options(gpu=CARD)
    gate = ray.remote(num_cpus=0)(Gate).remote()
    task = ray.remote(**options)(fill)
    within, beyond = made.estimate.reserved_bytes // 2, share - context + 1
    running = [task.remote(gate, name, 4, beyond if name == 2 else within, context) for name in range(4)]
    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        ray.get(running[2], timeout=120)
    assert isinstance(caught.value, planner.PlannerError), "as whoever calls ray.get expects it"
    assert isinstance(caught.value.cause, SimulatedOutOfMemory)
    assert caught.value.cause.limit_bytes == share - context
    others = ray.get([running[name] for name in (0, 1, 3)], timeout=120)
    assert [one["name"] for one in others] == [0, 1, 3]
    assert all(one["reserved_bytes"] + context <= one["cap"] == share for one in others)
    assert ray.get(gate.seen.remote()) == 4, "they ran beside each other"
    # Its place is free again.
    assert ray.get(task.remote(gate, 9, 1, within, context), timeout=60)["name"] == 9
    _wait_for(lambda: ray.available_resources().get("GPU", 0) == 1.0)


def _wait_for(condition: Any) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
