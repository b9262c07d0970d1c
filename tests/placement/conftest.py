"""Plans that the tests place: one for a budget, one for a GPU by name, one that is tight, one that chose nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import planner
from planner.memory_model.current import known_model
from planner.placement.job import make_job
from planner.placement.placement import Job


@pytest.fixture(scope="session")
def plan() -> planner.Plan:
    """For 24 GB, no GPU named; bfloat16, which asks for capability 8.0."""
    made = planner.plan(task="video", objects=10, vram="24GB")
    assert made.verdict == "fits" and made.budget.gpu is None
    assert made.chosen is not None and "bfloat16" in made.chosen.precision
    return made


@pytest.fixture(scope="session")
def named() -> planner.Plan:
    return planner.plan(task="video", objects=10, gpu="A100 SXM4 80 GB")


@pytest.fixture(scope="session")
def tight() -> planner.Plan:
    """Its upper bound exceeds the budget, and it is strict."""
    made = planner.plan(
        task="video", objects=10, vram="0.8GB", strict=True, variant="large", resolution=1024,
        precision="autocast_bfloat16",
    )  # fmt: skip
    assert made.verdict == "tight" and made.exit_code == 4
    assert made.estimate is not None and made.estimate.upper_bytes > made.budget.total_bytes
    return made


@pytest.fixture(scope="session")
def hopeless() -> planner.Plan:
    made = planner.plan(task="video", vram="100MB")
    assert made.chosen is None
    return made


@pytest.fixture
def job() -> Job:
    return job_of()


def job_of(**changed: object) -> Job:
    asked: dict[str, object] = {
        "source": "clip.mp4", "out": "masks", "plan_path": "plan.yaml", "checkpoint": "sam2.1_hiera_large.pt",
        "arguments": ("--point", "960,540"), "name": "sam2-plan",
    }  # fmt: skip
    return make_job(**{**asked, **changed})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_cap_of_the_tests_own() -> Iterator[None]:
    before = os.environ.pop("SAM2_PLAN_MEMORY_CAP", None)
    yield
    if before is not None:
        os.environ["SAM2_PLAN_MEMORY_CAP"] = before


def bound_of(plan: planner.Plan) -> int:
    """The upper bound where it is largest: with a Hopper's workspace. The context is that of the plan's budget."""
    assert plan.chosen is not None
    model = known_model().on(None, plan.budget.total_bytes)
    return model.estimate(plan.chosen.configuration, plan.request.workload, (9, 0)).upper_bytes


def bound_on(plan: planner.Plan, gpu: str) -> int:
    """The upper bound on a card that is named."""
    assert plan.chosen is not None
    one, work = plan.chosen.configuration, plan.request.workload
    estimate = planner.predict(
        variant=one.variant, version=one.version, resolution=one.resolution, precision=one.precision,
        attention=one.attention, object_batch=one.object_batch, offload_state=one.offload_state,
        task=work.task, objects=work.objects, frame_size=work.frame_size, gpu=gpu,
    )  # fmt: skip
    return estimate.upper_bytes
