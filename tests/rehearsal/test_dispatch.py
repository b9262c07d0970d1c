"""What a frame asks of the host: kernels of the runtime beside those of sam2's own predictor, rehearsed."""

from __future__ import annotations

from typing import Any

import pytest

from planner.measure.forking import Forks
from planner.measure.trial import RAN, Trial
from planner.nouns.run import Configuration, Run, Workload
from planner.nouns.words import DrivenRuntime
from planner.rehearsal.building import why_not_rehearsing
from planner.rehearsal.machine import imaginary_gpu

pytestmark = pytest.mark.skipif(bool(why_not_rehearsing()), reason=str(why_not_rehearsing()))
FULL_BANK = 18


@pytest.fixture(scope="module")
def forks() -> Any:
    with Forks() as found:
        yield found


def kernels(forks: Forks, runtime: DrivenRuntime, variant: Any, objects: int = 1, batch: int = 1) -> float:
    """Of a frame, once the memory bank is full."""
    run = Run(
        runtime=runtime,
        configuration=Configuration(
            variant=variant,
            version="2.1",
            resolution=(1024, 1024),
            precision="autocast_bfloat16",
            object_batch=batch,
            bounded_memory_bank=runtime == "own",
        ),
        workload=Workload(task="video", objects=objects, frames=FULL_BANK, frame_size=(1080, 1920)),
    )
    found = forks.run(Trial.of(run), imaginary_gpu(total_bytes=80 * 10**9))
    assert found.outcome == RAN, found.error
    assert found.kernels_per_frame is not None
    return found.kernels_per_frame


@pytest.mark.parametrize("variant", ["tiny", "large"])
def test_a_frame_of_one_object_asks_for_no_more_kernels_than_stock(forks: Forks, variant: str) -> None:
    assert kernels(forks, "own", variant) <= 0.8 * kernels(forks, "stock", variant)


def test_ten_objects_in_a_pass_ask_for_a_fraction_of_ten_passes(forks: Forks) -> None:
    stock, one_by_one, together = (
        kernels(forks, *asked) for asked in (("stock", "tiny", 10), ("own", "tiny", 10), ("own", "tiny", 10, 10))
    )
    assert one_by_one <= 0.7 * stock
    assert together <= 0.2 * stock
