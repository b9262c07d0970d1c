"""How many objects go through one pass: as many as surely fit, and never at the cost of anything else."""

from __future__ import annotations

from math import ceil
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import planner
from planner.planning.candidates import batches_of
from tests.conftest import invoke


@given(st.integers(1, 3000))
def test_passes_that_are_offered_are_even_and_of_several(objects: int) -> None:
    offered = batches_of(objects)
    assert offered == sorted(set(offered), reverse=True)
    for batch in offered:
        assert 2 <= batch <= min(16, objects)
        assert ceil(objects / (batch - 1)) > ceil(objects / batch), "with fewer in each there are more of them"


def test_ten_objects_go_in_one_pass_or_in_even_ones() -> None:
    assert batches_of(10) == [10, 5, 4, 2]
    assert batches_of(1) == []


@settings(max_examples=25)
@given(
    megabytes=st.integers(300, 6000),
    objects=st.integers(1, 40),
    prefer=st.sampled_from(("quality", "speed", "balanced")),
    strict=st.booleans(),
)
def test_memory_that_is_surely_left_is_spent_on_passes_and_on_nothing_else(
    megabytes: int, objects: int, prefer: Any, strict: bool
) -> None:
    plan = planner.plan(task="video", objects=objects, vram=f"{megabytes}MB", prefer=prefer, strict=strict)
    if plan.chosen is None:
        return
    usable, one = plan.budget.usable_bytes, plan.chosen.configuration

    def bound(batch: int) -> int:
        asked = {
            name: getattr(one, name) for name in ("variant", "version", "resolution", "precision", "offload_state")
        }
        return planner.predict(task="video", objects=objects, frames=None, object_batch=batch, **asked).upper_bytes

    larger = [batch for batch in batches_of(objects) if batch > one.object_batch]
    if one.object_batch > 1:
        assert plan.chosen.estimate.upper_bytes <= usable
    if plan.verdict == "fits":
        assert all(bound(batch) > usable for batch in larger)
    else:
        assert one.object_batch == 1, "what fits only tightly is not made tighter"
    assert plan.limits.max_objects is None or plan.limits.max_objects >= objects


def test_a_scarce_budget_keeps_one_object_a_pass_and_the_same_choice() -> None:
    roomy, scarce = (planner.plan(task="video", objects=10, variant="large", vram=vram) for vram in ("6GB", "0.9GB"))
    assert roomy.chosen is not None and scarce.chosen is not None
    assert roomy.chosen.configuration.object_batch == 10
    assert scarce.chosen.configuration.object_batch == 1
    assert scarce.chosen.estimate.upper_bytes < roomy.chosen.estimate.total_bytes


def test_one_object_a_pass_stands_among_what_else_fits() -> None:
    out = invoke("--vram", "6GB", "--task", "video", "--objects", "10").out
    assert "10 objects per pass" in out
    assert "1 object per pass" in out
