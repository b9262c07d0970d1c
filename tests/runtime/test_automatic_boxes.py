"""Boxes around automatic masks: sam2's own, to the last bit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("sam2")

from sam2.utils.amg import batched_mask_to_box

from planner.runtime.automatic import boxes_around


@given(
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from((0.0, 0.002, 0.05, 0.5, 1.0)),
    st.integers(0, 99),
)
def test_boxes_are_those_of_sam2(count: int, height: int, width: int, filled: float, seed: int) -> None:
    masks = torch.rand(count, height, width, generator=torch.Generator().manual_seed(seed)) < filled
    ours, theirs = boxes_around(masks), batched_mask_to_box(masks)
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours, theirs)
