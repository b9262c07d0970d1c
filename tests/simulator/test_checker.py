"""The independent checker finds each kind of fault, by name, in a snapshot that was sound before."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from planner.simulator.checker import find_fault
from planner.simulator.snapshot import BlockState, SegmentState

MIB = 1 << 20
BASE = 1 << 40


def block(address: int, size: int, requested: int = 0, state: str = "inactive") -> BlockState:
    return BlockState(address=address, size=size, requested_size=requested, state=state)


def sound() -> list[SegmentState]:
    """A small segment with two blocks in use, and a 20 MiB one with a block in use, a pending one and a free end."""
    small = [
        block(BASE, 1024, 1000, "active_allocated"),
        block(BASE + 1024, 512, 512, "active_allocated"),
        block(BASE + 1536, 2 * MIB - 1536),
    ]
    start = BASE + 8 * MIB
    large = [
        block(start, 5 * MIB + 512, 5 * MIB, "active_allocated"),
        block(start + 5 * MIB + 512, 2 * MIB, 2 * MIB, "active_pending_free"),
        block(start + 7 * MIB + 512, 13 * MIB - 512),
    ]
    return [
        SegmentState(address=BASE, total_size=2 * MIB, segment_type="small", is_expandable=False, blocks=small),
        SegmentState(address=start, total_size=20 * MIB, segment_type="large", is_expandable=False, blocks=large),
    ]


COUNTERS = {"allocated_bytes": 1536 + 5 * MIB + 512, "reserved_bytes": 22 * MIB, "requested_bytes": 1512 + 7 * MIB}


def test_a_sound_snapshot_has_no_fault() -> None:
    assert find_fault(sound(), **COUNTERS) is None


def test_no_segments_are_sound() -> None:
    assert find_fault([], allocated_bytes=0, reserved_bytes=0, requested_bytes=0) is None


def change_block(segment: int, index: int, **values: object) -> Callable[[list[SegmentState]], None]:
    def change(segments: list[SegmentState]) -> None:
        segments[segment]["blocks"][index].update(values)  # type: ignore[typeddict-item]

    return change


def change_segment(segment: int, **values: object) -> Callable[[list[SegmentState]], None]:
    def change(segments: list[SegmentState]) -> None:
        segments[segment].update(values)  # type: ignore[typeddict-item]

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("empty_segment", change_segment(0, blocks=[]), id="a segment without blocks"),
        pytest.param("segment_size", change_segment(0, total_size=MIB), id="a segment of 1 MiB"),
        pytest.param("segment_overlap", change_segment(1, address=BASE + MIB), id="a segment inside another"),
        pytest.param("block_gap", change_block(0, 0, size=512, requested_size=500), id="bytes that belong to no block"),
        pytest.param("block_overlap", change_block(0, 1, size=1024, requested_size=1024), id="blocks that overlap"),
        pytest.param("segment_end", change_block(0, 2, size=MIB), id="blocks that end before their segment"),
        pytest.param("block_size", change_block(0, 0, size=1000), id="a block off the grid of 512 bytes"),
        pytest.param("block_state", change_block(0, 0, state="lost"), id="an unknown state"),
        pytest.param("free_neighbours", change_block(0, 1, state="inactive"), id="free neighbours that did not merge"),
        pytest.param("request_too_large", change_block(0, 0, requested_size=1025), id="a request above its block"),
        pytest.param("slack", change_block(0, 0, requested_size=100), id="a small block that was not split"),
        pytest.param("slack", change_block(1, 0, requested_size=3 * MIB), id="a large block that was not split"),
        pytest.param("slack", change_segment(1, is_expandable=True), id="an expandable block that was not split"),
        pytest.param("wrong_pool", change_block(1, 1, requested_size=MIB), id="a small request in the large pool"),
    ],
)
def test_each_fault_has_its_name(name: str, change: Callable[[list[SegmentState]], None]) -> None:
    segments = sound()
    change(segments)
    fault = find_fault(segments)
    assert fault is not None
    assert fault.name == name
    assert fault.message
    assert fault.address is not None


@pytest.mark.parametrize("counter", list(COUNTERS))
@pytest.mark.parametrize("error_bytes", [-512, 512], ids=["too few", "too many"])
def test_a_counter_that_disagrees_with_the_blocks_is_named(counter: str, error_bytes: int) -> None:
    fault = find_fault(sound(), **{**COUNTERS, counter: COUNTERS[counter] + error_bytes})
    assert fault is not None
    assert fault.name == counter.removesuffix("_bytes") + "_sum"
    assert f"{COUNTERS[counter]} B" in fault.message


def test_the_snapshot_is_not_changed() -> None:
    segments = sound()
    before = copy.deepcopy(segments)
    find_fault(segments[::-1], **COUNTERS)
    assert segments == before
