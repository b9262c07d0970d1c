"""The model of the caching allocator: examples worked out from the C++ rules, and properties of random runs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import PlannerError
from planner.simulator.allocator import CachingAllocator, SimulatedOutOfMemory
from planner.simulator.checker import find_fault
from planner.simulator.driver import SegmentEvent

KIB, MIB = 1 << 10, 1 << 20


def segment_sizes(allocator: CachingAllocator) -> list[tuple[str, int]]:
    return [(event.action, event.size_bytes) for event in allocator.segment_events]


def assert_sound(allocator: CachingAllocator) -> None:
    fault = find_fault(
        allocator.snapshot(),
        allocated_bytes=allocator.allocated_bytes,
        reserved_bytes=allocator.reserved_bytes,
        requested_bytes=allocator.requested_bytes,
    )
    assert fault is None


@pytest.mark.parametrize(
    ("requested", "allocated", "reserved"),
    [
        pytest.param(0, 0, 0, id="nothing takes no block"),
        pytest.param(1, 512, 2 * MIB, id="one byte takes 512 of a small segment"),
        pytest.param(512, 512, 2 * MIB, id="512 bytes are not rounded"),
        pytest.param(513, 1024, 2 * MIB, id="one byte more takes the next 512"),
        pytest.param(MIB, MIB, 2 * MIB, id="1 MiB is still small"),
        pytest.param(MIB + 1, MIB + 512, 20 * MIB, id="1 MiB and a byte is large and reserves 20 MiB"),
        pytest.param(MIB + 512, MIB + 512, 20 * MIB, id="1 MiB and 512 bytes is large"),
        pytest.param(10 * MIB - 512, 10 * MIB - 512, 20 * MIB, id="just under 10 MiB reserves 20 MiB"),
        pytest.param(10 * MIB - 511, 10 * MIB, 10 * MIB, id="rounded up to 10 MiB is made to measure"),
        pytest.param(10 * MIB, 10 * MIB, 10 * MIB, id="10 MiB is made to measure"),
        pytest.param(11 * MIB, 12 * MIB, 12 * MIB, id="a rest of exactly 1 MiB is not split off"),
        pytest.param(11 * MIB - 512, 11 * MIB - 512, 12 * MIB, id="a rest above 1 MiB is split off"),
        pytest.param(1000 * MIB + 1, 1000 * MIB + 512, 1002 * MIB, id="segments are multiples of 2 MiB"),
        pytest.param(1001 * MIB + 1, 1002 * MIB, 1002 * MIB, id="a rest below 1 MiB counts whole"),
    ],
)
def test_one_request(requested: int, allocated: int, reserved: int) -> None:
    allocator = CachingAllocator()
    address = allocator.malloc(requested)
    assert (allocator.allocated_bytes, allocator.reserved_bytes) == (allocated, reserved)
    assert allocator.requested_bytes == requested
    assert (address == 0) == (requested == 0)
    assert_sound(allocator)


def test_a_negative_request_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 bytes"):
        CachingAllocator().malloc(-1)


def test_small_blocks_share_a_segment_until_it_is_full() -> None:
    allocator = CachingAllocator()
    addresses = [allocator.malloc(MIB) for _ in range(3)]
    assert addresses[1] == addresses[0] + MIB
    assert segment_sizes(allocator) == [("segment_alloc", 2 * MIB)] * 2


def test_the_smallest_free_block_that_fits_is_taken() -> None:
    allocator = CachingAllocator()
    blocks = [allocator.malloc(size * KIB) for size in (300, 100, 200, 100, 400)]
    for index in (0, 2, 4):  # free: 300, 200 and the end of the segment, 400 and the rest
        allocator.free(blocks[index])
    assert allocator.malloc(150 * KIB) == blocks[2]
    assert allocator.malloc(250 * KIB) == blocks[0]


def test_among_equal_blocks_the_lowest_address_is_taken() -> None:
    allocator = CachingAllocator()
    blocks = [allocator.malloc(100 * KIB) for _ in range(5)]
    allocator.free(blocks[3])
    allocator.free(blocks[1])
    assert allocator.malloc(100 * KIB) == blocks[1]
    assert allocator.malloc(100 * KIB) == blocks[3]


@pytest.mark.parametrize(
    ("older_first", "wins"),
    [
        pytest.param(True, 64 * MIB, id="torch 2.13 and later: the older segment"),
        pytest.param(False, 32 * MIB, id="before: the lower address"),
    ],
)
def test_who_wins_a_tie_between_two_segments(older_first: bool, wins: int) -> None:
    addresses = iter([64 * MIB, 32 * MIB])
    allocator = CachingAllocator(placement=lambda size_bytes: next(addresses), older_segment_first=older_first)
    first, second = allocator.malloc(12 * MIB), allocator.malloc(12 * MIB)
    allocator.free(first)
    allocator.free(second)
    assert allocator.malloc(12 * MIB) == wins


def test_a_request_takes_the_low_part_of_a_block() -> None:
    allocator = CachingAllocator()
    block = allocator.malloc(20 * MIB)
    allocator.free(block)
    assert allocator.malloc(2 * MIB) == block
    assert allocator.malloc(2 * MIB) == block + 2 * MIB


def test_small_and_large_requests_never_share_a_segment() -> None:
    allocator = CachingAllocator()
    allocator.free(allocator.malloc(20 * MIB))
    allocator.malloc(1)
    assert segment_sizes(allocator) == [("segment_alloc", 20 * MIB), ("segment_alloc", 2 * MIB)]


def test_free_neighbours_merge_on_both_sides() -> None:
    allocator = CachingAllocator()
    first, middle, last = (allocator.malloc(6 * MIB) for _ in range(3))
    for block in (first, last, middle):
        allocator.free(block)
    assert allocator.malloc(20 * MIB) == first
    assert allocator.reserved_bytes == 20 * MIB


def test_a_block_freed_elsewhere_is_not_used_again_before_it_is_complete() -> None:
    allocator = CachingAllocator()
    block = allocator.malloc(20 * MIB)
    allocator.request_free(block)
    assert (allocator.allocated_bytes, allocator.active_bytes, allocator.requested_bytes) == (0, 20 * MIB, 20 * MIB)
    assert allocator.malloc(20 * MIB) != block
    allocator.complete_free(block)
    assert allocator.malloc(20 * MIB) == block


@pytest.mark.parametrize("expandable", [False, True], ids=["ordinary segments", "expandable segments"])
def test_freeing_what_is_not_allocated_is_refused(expandable: bool) -> None:
    allocator = CachingAllocator(expandable_segments=expandable)
    block = allocator.malloc(5)
    allocator.free(0)
    allocator.free(block)
    for wrong in (block, block + 512, 7):
        with pytest.raises(KeyError):
            allocator.free(wrong)


def test_emptying_the_cache_releases_whole_segments_only_large_ones_first() -> None:
    allocator = CachingAllocator()
    small, large, held, partner = (allocator.malloc(size) for size in (1, 30 * MIB, 2 * MIB, 2 * MIB))
    for block in (small, large, partner):
        allocator.free(block)
    allocator.empty_cache()
    assert segment_sizes(allocator)[-2:] == [("segment_free", 30 * MIB), ("segment_free", 2 * MIB)]
    assert allocator.reserved_bytes == 20 * MIB
    allocator.free(held)
    assert_sound(allocator)


def test_cached_segments_are_released_before_memory_runs_out() -> None:
    allocator = CachingAllocator(limit_bytes=50 * MIB)
    allocator.free(allocator.malloc(30 * MIB))
    allocator.malloc(40 * MIB)
    assert segment_sizes(allocator) == [
        ("segment_alloc", 30 * MIB),
        ("segment_free", 30 * MIB),
        ("segment_alloc", 40 * MIB),
    ]
    assert allocator.retries == 1


@pytest.mark.parametrize("expandable", [False, True], ids=["ordinary segments", "expandable segments"])
def test_out_of_memory_carries_its_figures_and_leaves_a_usable_allocator(expandable: bool) -> None:
    allocator = CachingAllocator(expandable_segments=expandable, limit_bytes=64 * MIB)
    block = allocator.malloc(30 * MIB)
    with pytest.raises(SimulatedOutOfMemory) as caught:
        allocator.malloc(40 * MIB + 1)
    error = caught.value
    assert isinstance(error, PlannerError)
    assert (error.requested_bytes, error.segment_bytes) == (40 * MIB + 1, 42 * MIB)
    assert (error.allocated_bytes, error.limit_bytes) == (30 * MIB, 64 * MIB)
    assert "67 MB limit" in str(error)
    assert_sound(allocator)
    allocator.free(block)
    allocator.malloc(40 * MIB + 1)
    assert_sound(allocator)


def test_fragmentation_can_stop_what_would_fit_and_expandable_segments_cure_it() -> None:
    def run(expandable: bool) -> CachingAllocator:
        allocator = CachingAllocator(expandable_segments=expandable, limit_bytes=120 * MIB)
        allocator.free(allocator.malloc(60 * MIB))
        allocator.malloc(2 * MIB)  # pins 60 MiB, of which an expandable segment can use the rest
        allocator.malloc(80 * MIB)
        return allocator

    with pytest.raises(SimulatedOutOfMemory):
        run(expandable=False)
    assert run(expandable=True).reserved_bytes == 100 * MIB


def test_expandable_segments_map_pages_of_20_and_2_mib() -> None:
    allocator = CachingAllocator(expandable_segments=True)
    large = allocator.malloc(21 * MIB)
    assert allocator.malloc(25 * MIB) == large + 21 * MIB
    small = allocator.malloc(MIB)
    allocator.malloc(MIB)
    allocator.malloc(1)
    assert allocator.segment_events == [
        SegmentEvent("segment_map", large, 40 * MIB),
        SegmentEvent("segment_map", large + 40 * MIB, 20 * MIB),
        SegmentEvent("segment_map", small, 2 * MIB),
        SegmentEvent("segment_map", small + 2 * MIB, 2 * MIB),
    ]


def test_expandable_segments_release_whole_pages_and_fill_the_gap_first() -> None:
    allocator = CachingAllocator(expandable_segments=True)
    first, middle, last = (allocator.malloc(30 * MIB) for _ in range(3))
    allocator.free(middle)  # 30 to 60 MiB: one whole page, from 40 to 60
    allocator.empty_cache()
    assert allocator.segment_events[-1] == SegmentEvent("segment_unmap", first + 40 * MIB, 20 * MIB)
    assert_sound(allocator)
    assert allocator.malloc(30 * MIB) == middle
    assert allocator.segment_events[-1] == SegmentEvent("segment_map", first + 40 * MIB, 20 * MIB)
    assert last


def test_an_expandable_block_that_cannot_grow_is_taken_before_one_that_can() -> None:
    allocator = CachingAllocator(expandable_segments=True)
    hole = allocator.malloc(10 * MIB)
    allocator.malloc(27 * MIB)  # 40 MiB are mapped, 3 MiB are free at the growing end
    allocator.free(hole)
    assert allocator.malloc(2 * MIB) == hole


def test_among_equal_expandable_blocks_the_lowest_address_is_taken() -> None:
    allocator = CachingAllocator(expandable_segments=True)
    blocks = [allocator.malloc(5 * MIB) for _ in range(5)]
    allocator.free(blocks[3])
    allocator.free(blocks[1])
    assert allocator.malloc(5 * MIB) == blocks[1]


def test_expandable_segments_do_not_grow_into_a_block_that_another_stream_still_reads() -> None:
    allocator = CachingAllocator(expandable_segments=True)
    first, gap, pending = (allocator.malloc(20 * MIB) for _ in range(3))
    allocator.free(gap)
    allocator.empty_cache()
    allocator.request_free(pending)
    assert allocator.malloc(30 * MIB) == first + 60 * MIB


def test_the_limit_itself_can_be_reached() -> None:
    allocator = CachingAllocator(limit_bytes=30 * MIB)
    allocator.malloc(30 * MIB)
    assert (allocator.reserved_bytes, allocator.retries) == (30 * MIB, 0)


def test_peaks_are_kept_and_can_be_reset() -> None:
    allocator = CachingAllocator()
    block = allocator.malloc(30 * MIB)
    allocator.free(block)
    allocator.empty_cache()
    assert (allocator.peak_allocated_bytes, allocator.peak_reserved_bytes) == (30 * MIB, 30 * MIB)
    allocator.reset_peaks()
    assert (allocator.peak_allocated_bytes, allocator.peak_reserved_bytes) == (0, 0)


def test_samples_show_fragmentation_over_time() -> None:
    allocator = CachingAllocator(sample_every=2)
    first = allocator.malloc(100)
    allocator.malloc(MIB + 1)
    allocator.free(first)
    allocator.malloc(100)
    assert [sample.event for sample in allocator.samples] == [2, 4]
    assert allocator.samples[0].fragmentation_bytes == 22 * MIB - 512 - (MIB + 512)
    assert allocator.samples[0].rounding_bytes == (512 - 100) + 511
    assert allocator.sample() == allocator.samples[1]


SIZES = st.one_of(
    st.integers(1, 4 * KIB),
    st.integers(1, 2 * MIB),
    st.integers(1, 60 * MIB),
    st.sampled_from([512, MIB, MIB + 1, MIB + 512, 10 * MIB - 512, 10 * MIB, 11 * MIB, 20 * MIB]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("malloc"), SIZES),
        st.tuples(st.sampled_from(["free", "request", "complete"]), st.integers(0, 10**6)),
        st.tuples(st.just("empty"), st.just(0)),
    ),
    max_size=60,
)


def take_step(allocator: CachingAllocator, live: list[int], pending: list[int], action: str, number: int) -> None:
    if action == "malloc":
        try:
            live.append(allocator.malloc(number))
        except SimulatedOutOfMemory as error:
            assert error.reserved_bytes + error.segment_bytes > error.limit_bytes or allocator.expandable_segments
    elif action == "free" and live:
        allocator.free(live.pop(number % len(live)))
    elif action == "request" and live:
        pending.append(live.pop(number % len(live)))
        allocator.request_free(pending[-1])
    elif action == "complete" and pending:
        allocator.complete_free(pending.pop(number % len(pending)))
    elif action == "empty":
        allocator.empty_cache()


@pytest.mark.parametrize("expandable", [False, True], ids=["ordinary segments", "expandable segments"])
@pytest.mark.parametrize("limit_bytes", [None, 100 * MIB], ids=["no limit", "100 MiB limit"])
@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_the_state_is_sound_after_every_step(
    expandable: bool, limit_bytes: int | None, steps: list[tuple[str, int]]
) -> None:
    allocator = CachingAllocator(expandable_segments=expandable, limit_bytes=limit_bytes)
    live: list[int] = []
    pending: list[int] = []
    for action, number in steps:
        take_step(allocator, live, pending, action, number)
        assert_sound(allocator)
        assert len(set(live + pending)) == len(live) + len(pending)
        assert limit_bytes is None or allocator.reserved_bytes <= limit_bytes
        assert allocator.allocated_bytes <= allocator.peak_allocated_bytes
        assert allocator.reserved_bytes <= allocator.peak_reserved_bytes
    for address in live:
        allocator.free(address)
    for address in pending:
        allocator.complete_free(address)
    allocator.empty_cache()
    assert allocator.sample()[1:] == (0, 0, 0)
    assert allocator.snapshot() == []


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, expandable=st.booleans())
def test_reserved_is_what_the_driver_events_add_up_to(steps: list[tuple[str, int]], expandable: bool) -> None:
    allocator = CachingAllocator(expandable_segments=expandable)
    live: list[int] = []
    for action, number in steps:
        take_step(allocator, live, [], action, number)
    signs = {"segment_alloc": 1, "segment_map": 1, "segment_free": -1, "segment_unmap": -1}
    assert allocator.reserved_bytes == sum(signs[event.action] * event.size_bytes for event in allocator.segment_events)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, expandable=st.booleans())
def test_the_same_requests_give_the_same_account(steps: list[tuple[str, int]], expandable: bool) -> None:
    def run() -> tuple[object, ...]:
        allocator = CachingAllocator(expandable_segments=expandable)
        live: list[int] = []
        pending: list[int] = []
        for action, number in steps:
            take_step(allocator, live, pending, action, number)
        return (allocator.sample(), allocator.segment_events, allocator.snapshot())

    assert run() == run()
