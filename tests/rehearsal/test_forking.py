"""Runs from one process that forks take what runs in processes of their own take, to the byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

import pytest

from planner.measure.forking import Forks
from planner.measure.trial import FAILED, OUT_OF_MEMORY, RAN, Trial, run_trial
from planner.nouns.run import Configuration, Workload
from planner.rehearsal.building import Libraries
from planner.rehearsal.machine import imaginary_gpu
from planner.rehearsal.stage import Stage

TINY = Configuration(variant="tiny", version="2.1", resolution=(256, 256), precision="autocast_bfloat16")


def trial(runtime: str, task: str, **more: int) -> Trial:
    workload = Workload(task=task, frames=more.get("frames", 1), objects=more.get("objects", 1), frame_size=(240, 320))
    configuration = replace(TINY, bounded_memory_bank=runtime != "stock", object_batch=more.get("object_batch", 1))
    return Trial(runtime=runtime, configuration=configuration, workload=workload)


@pytest.fixture(scope="module")
def forks(built: Libraries) -> Iterator[Forks]:
    """One for all: what a fork takes does not depend on those before it."""
    with Forks() as made:
        yield made


@pytest.mark.parametrize(
    "asked",
    [
        trial("own", "video", frames=3, objects=2),
        trial("stock", "video", frames=3),
        trial("own", "image"),
        trial("stock", "automask", object_batch=16),
        pytest.param(
            trial("ultralytics", "video", frames=3, objects=2, object_batch=2),
            marks=pytest.mark.skipif(find_spec("ultralytics") is None, reason="Ultralytics is not installed"),
        ),
    ],
    ids=lambda asked: f"{asked.runtime} {asked.workload.task}",
)
def test_a_fork_takes_what_a_process_of_its_own_takes(forks: Forks, asked: Trial) -> None:
    gpu = imaginary_gpu("RTX 3060")
    with Stage([gpu], zero_scalars=True) as stage:
        alone = run_trial(asked, environment=stage.environment())
    forked = forks.run(asked, gpu)
    assert (alone.outcome, forked.outcome) == (RAN, RAN), (alone.error, forked.error)
    assert forked.phases == alone.phases
    assert forked.reserved_bytes == alone.reserved_bytes


def test_each_fork_has_its_own_gpu_and_its_end_is_not_the_next_one_s(forks: Forks) -> None:
    asked = trial("own", "image")
    small = forks.run(asked, imaginary_gpu("RTX 3060", total_bytes=60 * 2**20, context_bytes=0))
    large = forks.run(asked, imaginary_gpu("RTX 5090"))
    impossible = forks.run(asked, imaginary_gpu("Tesla T4"))
    assert small.outcome == OUT_OF_MEMORY
    assert (large.outcome, large.capability) == (RAN, (12, 0))
    assert (impossible.outcome, "bfloat16 needs" in str(impossible.error)) == (FAILED, True)
