"""The catalogue: GPUs by the names people and drivers give them; accuracy and speed as published."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog import load_catalog
from planner.catalog.gpus import find_gpu, known_gpus, search_gpus
from planner.domain import VARIANTS, VERSIONS
from planner.errors import UsageError
from tests import published
from tests.conftest import invoke, refusal

CATALOG = load_catalog()
SIDES = st.integers(8, 32).map(lambda steps: steps * 32)
"""256 to 1024: what the published figures span."""

SPOKEN = {
    "RTX 3060": (8, (8, 6)),
    "GeForce RTX 3060 12 GB": (12, (8, 6)),
    "rtx 3060 12gb": (12, (8, 6)),
    "rtx4090": (24, (8, 9)),
    "RTX-4090": (24, (8, 9)),
    "A100": (40, (8, 0)),
    "a100 80 gb": (80, (8, 0)),
    "H100": (64, (9, 0)),
    "T4": (16, (7, 5)),
    "Tesla T4": (16, (7, 5)),
    "GTX 1080 Ti": (11, (6, 1)),
    "L4": (24, (8, 9)),
    "RTX A6000": (48, (8, 6)),
    "H200": (141, (9, 0)),
}
BY_DRIVER = {
    "NVIDIA GeForce RTX 3060": 8,
    "NVIDIA GeForce RTX 4090": 24,
    "NVIDIA GeForce RTX 3080 Ti Laptop GPU": 16,
    "NVIDIA GeForce GTX 1080 Ti": 11,
    "Tesla T4": 16,
    "Tesla V100-SXM2-16GB": 16,
    "NVIDIA L4": 24,
    "NVIDIA L40S": 48,
    "NVIDIA A10G": 24,
    "NVIDIA RTX A6000": 48,
    "NVIDIA RTX 6000 Ada Generation": 48,
    "Quadro RTX 8000": 48,
    "NVIDIA A100-SXM4-40GB": 40,
    "NVIDIA A100-SXM4-80GB": 80,
    "NVIDIA A100 80GB PCIe": 80,
    "NVIDIA A100-PCIE-40GB": 40,
    "NVIDIA H100 80GB HBM3": 80,
    "NVIDIA H100 PCIe": 80,
    "NVIDIA H200": 141,
    "NVIDIA B200": None,
}
"""As NVML reports them, with gigabytes."""


@pytest.mark.parametrize(("name", "expected"), SPOKEN.items(), ids=SPOKEN)
def test_a_gpu_is_found_by_the_name_people_use(name: str, expected: tuple[int, tuple[int, int]]) -> None:
    gpu = find_gpu(name).gpu
    assert gpu.total_bytes == expected[0] * 10**9
    assert gpu.capability == expected[1]


@pytest.mark.parametrize(("name", "gigabytes"), BY_DRIVER.items(), ids=BY_DRIVER)
def test_a_gpu_is_found_by_the_name_its_driver_gives(name: str, gigabytes: int | None) -> None:
    gpu = find_gpu(name).gpu
    if gigabytes is not None:
        assert gpu.total_bytes == gigabytes * 10**9


def test_of_cards_with_one_name_the_smallest_is_taken_and_said() -> None:
    found = find_gpu("RTX 3060")
    assert found.gpu.name == "GeForce RTX 3060 8 GB"
    assert [other.total_bytes for other in found.also] == [12 * 10**9]
    plan = invoke("--gpu", "RTX 3060", "--format", "json").document
    assert plan["budget"]["total_bytes"] == 8 * 10**9
    assert any("12 GB" in warning and "8 GB" in warning for warning in plan["warnings"])
    assert "12 GB" in invoke("--gpu", "RTX 3060").out
    assert not find_gpu("GeForce RTX 3060 12 GB").also


def test_a_laptop_card_is_not_its_desktop_namesake() -> None:
    assert find_gpu("RTX 4090").gpu != find_gpu("RTX 4090 Laptop GPU").gpu
    assert find_gpu("RTX 4090 Mobile").gpu == find_gpu("NVIDIA GeForce RTX 4090 Laptop GPU").gpu


@pytest.mark.parametrize(
    ("name", "near"),
    [("RTX 3061", "RTX 3060"), ("RTX 409", "RTX 4090"), ("A1000000", "A1000"), ("GTX 1080 Tie", "1080 Ti")],
)
def test_near_matches_are_named(name: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_gpu(name)
    assert repr(name) in caught.value.message
    assert near in caught.value.hint
    assert "--vram" in caught.value.hint


@given(st.text(max_size=20))
def test_any_text_is_a_gpu_or_a_usage_error(name: str) -> None:
    error = refusal(UsageError, find_gpu, name)
    assert error is None or repr(name) in error.message


def test_every_known_gpu_is_found_by_its_own_name_first() -> None:
    gpus = known_gpus()
    assert len(gpus) > 200
    assert len({gpu.name for gpu in gpus}) == len(gpus)
    for gpu in gpus[::7]:
        assert find_gpu(gpu.name).gpu.total_bytes <= gpu.total_bytes
        assert gpu.total_bytes >= 10**9
        assert gpu.capability is not None
        assert gpu.capability >= (5, 0)


def test_search_wants_all_words() -> None:
    assert all("rtx" in gpu.name.lower() and "40" in gpu.name for gpu in search_gpus("RTX 40"))
    assert search_gpus("rtx zzz") == []


def test_the_catalogue_holds_the_published_figures() -> None:
    assert {name: shape.parameters for name, shape in CATALOG.shapes.items()} == published.PARAMETERS
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
