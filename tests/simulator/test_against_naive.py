"""The model against a second, naive allocator: plain lists, searched from end to end. Ordinary segments only.

The naive one is written from the description of the rules, without a line of the model.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.simulator.allocator import CachingAllocator
from planner.simulator.driver import FIRST_ADDRESS

MIB = 1 << 20
SIZES = st.one_of(
    st.integers(1, 4096),
    st.integers(1, 2 * MIB),
    st.integers(1, 40 * MIB),
    st.sampled_from([512, MIB, MIB + 1, 2 * MIB, 10 * MIB - 512, 10 * MIB, 11 * MIB, 20 * MIB]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("malloc"), SIZES),
        st.tuples(st.just("free"), st.integers(0, 10**6)),
        st.tuples(st.just("empty"), st.just(0)),
    ),
    max_size=60,
)


class NaiveAllocator:
    """Segments are lists of [address, size, in use]; addresses count up from `first_address`."""

    def __init__(self, first_address: int) -> None:
        self.segments: list[tuple[bool, list[list[int]]]] = []
        self.next_address = first_address
        self.calls: list[tuple[str, int, int]] = []

    def malloc(self, size: int) -> int:
        size = (size + 511) // 512 * 512
        small = size <= MIB
        fitting = [
            (block[1], block[0], index, position)
            for index, (pool, blocks) in enumerate(self.segments)
            for position, block in enumerate(blocks)
            if pool == small and not block[2] and block[1] >= size
        ]
        if fitting:
            _, _, index, position = min(fitting)
        else:
            index, position = self.add_segment(small, size), 0
        blocks = self.segments[index][1]
        block = blocks[position]
        rest = block[1] - size
        if rest >= 512 if small else rest > MIB:
            blocks.insert(position + 1, [block[0] + size, rest, 0])
            block[1] = size
        block[2] = 1
        return block[0]

    def add_segment(self, small: bool, size: int) -> int:
        if small:
            total = 2 * MIB
        elif size < 10 * MIB:
            total = 20 * MIB
        else:
            total = (size + 2 * MIB - 1) // (2 * MIB) * (2 * MIB)
        self.calls.append(("segment_alloc", self.next_address, total))
        self.segments.append((small, [[self.next_address, total, 0]]))
        self.next_address += total
        return len(self.segments) - 1

    def free(self, address: int) -> None:
        for _, blocks in self.segments:
            for block in blocks:
                if block[0] == address:
                    block[2] = 0
            position = 0
            while position + 1 < len(blocks):
                if not blocks[position][2] and not blocks[position + 1][2]:
                    blocks[position][1] += blocks.pop(position + 1)[1]
                else:
                    position += 1

    def empty_cache(self) -> None:
        whole = [(small, blocks) for small, blocks in self.segments if len(blocks) == 1 and not blocks[0][2]]
        whole.sort(key=lambda segment: (segment[0], segment[1][0][1], segment[1][0][0]))
        self.calls += [("segment_free", blocks[0][0], blocks[0][1]) for _, blocks in whole]
        self.segments = [segment for segment in self.segments if segment not in whole]

    def allocated(self) -> int:
        return sum(block[1] for _, blocks in self.segments for block in blocks if block[2])

    def reserved(self) -> int:
        return sum(block[1] for _, blocks in self.segments for block in blocks)


@settings(max_examples=100, deadline=None)
@given(steps=STEPS)
def test_the_model_does_what_a_naive_allocator_does(steps: list[tuple[str, int]]) -> None:
    allocator, naive = CachingAllocator(), NaiveAllocator(FIRST_ADDRESS)
    live: list[int] = []
    for action, number in steps:
        if action == "malloc":
            live.append(allocator.malloc(number))
            assert live[-1] == naive.malloc(number)
        elif action == "empty":
            allocator.empty_cache()
            naive.empty_cache()
        elif live:
            address = live.pop(number % len(live))
            allocator.free(address)
            naive.free(address)
        assert (allocator.allocated_bytes, allocator.reserved_bytes) == (naive.allocated(), naive.reserved())
    assert [tuple(event) for event in allocator.segment_events] == naive.calls
