"""MIG slices: the smallest that holds the share, by what nvidia-smi prints and not by what the name promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import planner
from planner.catalog.gpus import find_gpu
from planner.errors import FileError, UsageError
from planner.placement.mig import MigCard, mig_cards, smallest_profile
from planner.placement.placement import Card, ShareTooLarge
from planner.placement.tables import listed

GIB = 2**30
BY_HAND = {
    "NVIDIA A30": (24, 25_769_803_776),
    "NVIDIA A100-SXM4-40GB": (40, 42_949_672_960),
    "NVIDIA A100-PCIE-40GB": (40, 42_949_672_960),
    "NVIDIA A100 80GB PCIe": (80, 85_899_345_920),
    "NVIDIA H100 PCIe": (80, 81_559 * 2**20),
    "NVIDIA H100 80GB HBM3": (80, 81_559 * 2**20),
    "NVIDIA H100 NVL": (94, 95_830 * 2**20),
    "NVIDIA H200": (141, 143_771 * 2**20),
    "NVIDIA B200": (180, 183_359 * 2**20),
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": (96, 97_887 * 2**20),
}
"""Cards as their drivers name and count them."""


def card_named(name: str) -> Card:
    found = find_gpu(name).gpu
    return Card(name=found.name, total_bytes=found.total_bytes, capability=found.capability)


@pytest.mark.parametrize("name", BY_HAND)
def test_a_card_that_is_present_is_found_by_its_drivers_name(name: str) -> None:
    gigabytes, total = BY_HAND[name]
    found = listed(Card(name=name, total_bytes=total), mig_cards())
    assert found is not None and found.gigabytes == gigabytes


@pytest.mark.parametrize("name", [one.names[0] for one in mig_cards()])
def test_every_card_that_an_error_proposes_is_one_of_the_catalogue(name: str) -> None:
    assert listed(card_named(name), mig_cards()) is not None


@pytest.mark.parametrize("name", ["L4", "H100 SXM5 64 GB", "H100 SXM5 96 GB", "A100X", "GeForce RTX 4090"])
def test_a_card_whose_profiles_are_not_known_is_refused_with_those_known(name: str) -> None:
    with pytest.raises(UsageError, match="are not known") as caught:
        smallest_profile(card_named(name), GIB)
    assert "A100 80 GB" in caught.value.hint


@given(card=st.sampled_from(mig_cards()), share=st.integers(1, 200 * GIB))
def test_the_profile_holds_the_share_and_no_smaller_one_does(card: MigCard, share: int) -> None:
    asked = Card(name=card.names[0], total_bytes=card.gigabytes * GIB)
    enough = [profile for profile in card.profiles if profile.usable_bytes >= share]
    if not enough:
        with pytest.raises(ShareTooLarge):
            smallest_profile(asked, share)
        return
    found = smallest_profile(asked, share)
    assert found in enough
    assert all((found.usable_bytes, found.slices) <= (other.usable_bytes, other.slices) for other in enough)


def test_no_profile_holds_what_its_name_promises_and_each_is_within_its_card() -> None:
    for card in mig_cards():
        for profile in card.profiles:
            promised = int(profile.name.partition(".")[2].removesuffix("gb")) * 10**9
            assert profile.usable_bytes < min(promised * 1.074, card.gigabytes * GIB), (card.names, profile)
            assert profile.usable_bytes > 0.85 * promised, (card.names, profile)
            assert 1 <= profile.slices <= 7


def test_an_h200_slice_of_18_gb_has_16_gib() -> None:
    """17.5 GB would fit what the name says."""
    assert smallest_profile(card_named("H200"), 17_000_000_000).name == "1g.18gb"
    assert smallest_profile(card_named("H200"), 17_500_000_000).name == "1g.35gb"


def test_of_two_slices_with_the_same_memory_the_one_with_fewer_compute_slices_is_taken() -> None:
    assert smallest_profile(card_named("A100 40 GB"), 8 * 10**9).name == "1g.10gb"


def test_two_decimals_are_read_as_the_least_that_prints_so() -> None:
    """11.6875 GiB is printed as 11.69: a share between the two does not fit."""
    assert smallest_profile(card_named("A30"), int(11.685 * GIB)).name == "2g.12gb"
    assert smallest_profile(card_named("A30"), int(11.6876 * GIB)).name == "4g.24gb"


def test_beyond_the_largest_known_profile_it_says_so_and_whether_larger_ones_exist() -> None:
    with pytest.raises(ShareTooLarge) as caught:
        smallest_profile(card_named("A100 40 GB"), 40 * GIB)
    assert "7g.40gb" in caught.value.message and "not known" not in caught.value.message
    with pytest.raises(ShareTooLarge, match="larger profiles is not known"):
        smallest_profile(Card(name="NVIDIA B200", total_bytes=180 * GIB), 60 * GIB)


def test_a_broken_table_is_a_file_error_with_its_line(tmp_path: Path) -> None:
    for text, line in (("schema_version: 2\ncards: []\n", 1), ("schema_version: 1\ncards:\n  - {names: [A]}\n", 3)):
        path = tmp_path / f"mig{line}.yaml"
        path.write_text(text)
        with pytest.raises(FileError, match=f"line {line}"):
            mig_cards(path)


def test_a_plan_for_a_card_names_its_slice(named: planner.Plan) -> None:
    documents = named.kubernetes_job(
        image="registry/sam2-plan:1", claim="data", source="clip.mp4", checkpoint="large.pt", sharing="mig"
    )
    container = documents[1]["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"nvidia.com/mig-1g.10gb": 1}
