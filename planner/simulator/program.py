"""What one frame of a long clip asks of one pool, without what leaves no mark on it.

A stretch whose births all die in it, and which gives back nothing else, leaves no mark: the allocator merges
eagerly, so free space depends only on where the living are. Such a stretch is skipped if the pool has a free block
with room for it however it is laid out, for then it asks nothing of the driver; otherwise it is played.
"""

from __future__ import annotations

from planner.simulator.playback import PoolPlayer, Token
from planner.simulator.rules import round_size, smallest_rest

_NEED_BYTES = 1 << 20
"""Stretches are joined while one block of this size, which a pool often has free, has room for each."""

_Own = list[tuple[int, int, int]]
"""This pool's tokens as (size, age, birth), births numbered too."""


class Program:
    """A frame's tokens for one pool."""

    def __init__(self, pool: PoolPlayer, tokens: list[Token]) -> None:
        self._pool = pool
        self._oldest = max((age for size, age, _ in tokens if not size), default=0)
        self._ends = {(age, birth) for size, age, birth in tokens if not size}
        self._passing = passing(tokens)
        self._steps = self._stretches(self._own(tokens))

    def run(self, number: int) -> None:
        """One frame, as section `number`."""
        pool, allocator, small = self._pool, self._pool.allocator, self._pool.small
        addresses = pool.addresses
        held = addresses.setdefault(number, {})
        for need, stretch in self._steps:
            if need and allocator.largest_free_bytes(small) >= need:
                continue
            for size, age, birth in stretch:
                if size:
                    held[birth] = allocator.malloc(size)
                else:
                    allocator.free(addresses[number - age].pop(birth))
        self._forget(number)

    def leaving(self, number: int) -> dict[int, tuple[int, int]]:
        """Addresses of what lives after frame `number` and will be given back: when born, and as which birth."""
        return {
            address: (age, birth)
            for age in range(self._oldest)
            for birth, address in self._pool.addresses.get(number - age, {}).items()
            if any((later, birth) in self._ends for later in range(age + 1, self._oldest + 1))
        }

    def _forget(self, number: int) -> None:
        """What is never given back needs no address any more."""
        held = self._pool.addresses.get(number, {})
        for birth in [birth for birth in held if birth not in self._passing]:
            del held[birth]
        if not self._pool.addresses.get(number - self._oldest, True):
            del self._pool.addresses[number - self._oldest]

    def _own(self, tokens: list[Token]) -> _Own:
        births, own, mine = 0, [], set()
        for size_bytes, _, _ in tokens:
            if size_bytes:
                if self._pool.takes(size_bytes):
                    mine.add(births)
                births += 1
        births = 0
        for size_bytes, age, birth in tokens:
            if size_bytes:
                if births in mine:
                    own.append((size_bytes, 0, births))
                births += 1
            elif birth in mine:
                own.append((0, age, birth))
        return own

    def _stretches(self, own: _Own) -> list[tuple[int, _Own]]:
        """(need, tokens) pairs. need 0: must be played. Else: skipped where a free block of `need` bytes exists."""
        partner = _partners(own)
        # Until so much is left, every block is cut to size (DeviceCachingAllocator::should_split).
        rest = smallest_rest(self._pool.small, self._pool.allocator.expandable_segments)
        steps: list[tuple[int, _Own]] = []
        start = 0
        while start < len(own):
            stop = _closed_until(start, partner)
            need = _room(own, partner, start, stop) + rest if stop > start + 1 else 0
            if steps and (steps[-1][0] > 0) == (need > 0) and max(steps[-1][0], need) <= _NEED_BYTES:
                steps[-1] = (max(steps[-1][0], need), steps[-1][1] + own[start:stop])
            else:
                steps.append((need, own[start:stop]))
            start = stop
        return steps


def passing(tokens: list[Token]) -> set[int]:
    """Birth numbers that die sooner or later, in a frame that all others are like."""
    return {birth for size_bytes, _, birth in tokens if not size_bytes}


def _partners(own: _Own) -> list[int | None]:
    """For each token the position of its counterpart in the same frame: a birth's death, a death's birth."""
    born: dict[int, int] = {}
    partner: list[int | None] = [None] * len(own)
    for position, (size, age, birth) in enumerate(own):
        if size:
            born[birth] = position
        elif age == 0:
            partner[position] = born[birth]
            partner[born[birth]] = position
    return partner


def _closed_until(start: int, partner: list[int | None]) -> int:
    """End of the shortest stretch from `start` whose births all die in it and whose deaths are all its own.

    start + 1 where there is none: the token stands alone.
    """
    stop = partner[start]
    if stop is None or stop < start:
        return start + 1
    position = start
    while position < stop:
        position += 1
        other = partner[position]
        if other is None or other < start:
            return start + 1
        stop = max(stop, other)
    return stop + 1


def _room(own: _Own, partner: list[int | None], start: int, stop: int) -> int:
    """Bytes of one free block with which the closed stretch never asks the driver, wherever its births end up.

    Such a block is cut from its lower end: its last piece shrinks by at most the births so far, those left out that
    belong to a closed stretch within, which gives back all it took.
    """
    taken = highest = 0
    position = start
    while position < stop:
        size = own[position][0]
        end = _closed_until(position, partner) if position > start else position + 1
        if end > position + 1:
            highest = max(highest, taken + _room(own, partner, position, end))
        elif size:
            taken += round_size(size)
            highest = max(highest, taken)
        position = end
    return highest
