"""The catalogue: accuracy and speed as published. Its GPUs are in test_gpus."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog import load_catalog
from planner.nouns.words import ALL_VARIANTS, VARIANTS, VERSIONS
from tests import published

CATALOG = load_catalog()
SIDES = st.integers(8, 32).map(lambda steps: steps * 32)
"""256 to 1024: what the published figures span."""


def test_the_catalogue_holds_the_published_figures() -> None:
    assert {name: CATALOG.shapes[name].parameters for name in VARIANTS} == published.PARAMETERS
    assert set(CATALOG.shapes) == set(ALL_VARIANTS)
    for version, variant in itertools.product(VERSIONS, VARIANTS):
        quality = CATALOG.quality(variant, version, (1024, 1024))
        assert quality.value == published.ACCURACY[version, variant]
        assert quality.is_estimate is False
        speed = CATALOG.frames_per_second(variant, version, (1024, 1024), 1, False)
        assert speed == published.FRAMES_PER_SECOND[version, variant]


@given(st.sampled_from(VARIANTS), st.sampled_from(VERSIONS), st.integers(2, 80), st.integers(2, 80))
def test_accuracy_elsewhere_is_the_ablation_and_says_that_it_is_an_estimate(
    variant: str, version: str, high: int, wide: int
) -> None:
    resolution = (high * 32, wide * 32)
    quality = CATALOG.quality(variant, version, resolution)
    assert (quality.is_estimate, quality.value) == pytest.approx(
        published.quality(variant, version, resolution), abs=0.051
    )
    assert quality.is_estimate == (resolution != (1024, 1024))


@given(st.sampled_from(VARIANTS), st.sampled_from(VERSIONS), st.integers(2, 80), st.integers(1, 50), st.booleans())
def test_speed_elsewhere_scales_as_published_times_do(
    variant: str, version: str, steps: int, objects: int, offload: bool
) -> None:
    resolution = (steps * 32, steps * 32)
    expected = published.frames_per_second(variant, version, resolution, objects, offload)
    assert CATALOG.frames_per_second(variant, version, resolution, objects, offload) == pytest.approx(
        expected, rel=0.02, abs=0.01
    )


@given(st.sampled_from(VARIANTS), st.sampled_from(VERSIONS), SIDES, SIDES, st.integers(0, 20), st.integers(0, 20))
def test_more_pixels_are_never_less_accurate_nor_faster(
    variant: str, version: str, height: int, width: int, higher: int, wider: int
) -> None:
    small, large = (height, width), (height + 32 * higher, width + 32 * wider)
    assert CATALOG.quality(variant, version, small).value <= CATALOG.quality(variant, version, large).value
    slow, fast = (CATALOG.frames_per_second(variant, version, size, 1, False) for size in (large, small))
    assert slow <= fast


@given(st.sampled_from(VARIANTS), SIDES, st.integers(1, 500))
def test_more_objects_and_a_bank_on_the_host_are_never_faster(variant: str, side: int, objects: int) -> None:
    alone, more, hosted = (
        CATALOG.frames_per_second(variant, "2.1", (side, side), count, offload)
        for count, offload in ((objects, False), (objects + 1, False), (objects, True))
    )
    assert more <= alone
    assert hosted <= alone
    assert more > 0


@given(SIDES, SIDES)
def test_a_larger_variant_is_never_less_accurate_nor_faster(height: int, width: int) -> None:
    for small, large in itertools.pairwise(VARIANTS):
        resolution = (height, width)
        assert CATALOG.quality(small, "2.1", resolution).value <= CATALOG.quality(large, "2.1", resolution).value
        slow, fast = (CATALOG.frames_per_second(name, "2.1", resolution, 1, False) for name in (large, small))
        assert slow <= fast
