"""Find the rhythm of a pool that gets the same frame over and over, and count whole periods instead of playing them.

A pool's form decides what happens next: its free blocks, and those that will be given back, in the order of their
addresses. What stays for ever counts as a wall, however thick, and a full segment drops out. Where the form comes
back, everything does, for ever.

The large pool finds its rhythm within some ten frames. The small pool, into which the memory bank grows, needs
thousands: small things that stay wear its holes, and at 1024 with one object its form first comes back after 4096
frames, the units of 512 bytes in a segment. So after `MOST_FRAMES` without a rhythm the rest of the growth is
estimated: allocated bytes exactly, reserved bytes from the trend of what stays free. Measured against playing on
(docs/log.md): at 1024, where as much stays free for ever, at most one segment of 2 MiB off, whatever the length.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.simulator.playback import PoolPlayer, Token
from planner.simulator.pool import UNMAPPED, Block
from planner.simulator.program import Program
from planner.simulator.rules import page_size

MOST_FRAMES = 1000
"""How many frames are played in search of a rhythm. What comes after is estimated."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was counted, or estimated, but not played."""

    allocated_bytes: int = 0
    reserved_bytes: int = 0
    estimated_frames: int = 0
    """Over how many frames the growth of reserved bytes is an estimate; 0: all is exact."""


@dataclass(frozen=True, slots=True)
class _Figures:
    number: int
    allocated_bytes: int
    reserved_bytes: int


def shorten(
    pool: PoolPlayer, tokens: list[Token], last: int, until: int, most_frames: int | None = MOST_FRAMES
) -> Skipped:
    """Bring a pool from section `last` to section `until`. None for `most_frames`: play on until a rhythm shows."""
    program = Program(pool, tokens)
    seen: dict[object, _Figures] = {}
    history: list[_Figures] = []
    number = last
    while number < until:
        number += 1
        program.run(number)
        now = _Figures(number, pool.allocator.allocated_bytes, pool.allocator.reserved_bytes)
        history.append(now)
        before = seen.setdefault(_form(pool, program, number), now)
        period = number - before.number
        if period:
            periods = (until - number) // period
            _renumber(pool, period * periods)
            for rest in range(number + period * periods + 1, until + 1):
                program.run(rest)
            return Skipped(
                (now.allocated_bytes - before.allocated_bytes) * periods,
                (now.reserved_bytes - before.reserved_bytes) * periods,
            )
        if most_frames is not None and len(history) >= most_frames and number < until:
            _renumber(pool, until - number)
            return _estimated(history, until - number, page_size(pool.small))
    return Skipped()


def _estimated(history: list[_Figures], frames: int, segment_bytes: int) -> Skipped:
    """What stays free goes on as it did in the second half of what was played: a line fitted to it.

    Where a frame keeps nothing, nothing wears the holes: a step on the way is no trend (played to 12,000 frames, the
    level of the first thousand stayed).
    """
    now, before = history[-1], history[-2]
    if now.allocated_bytes == before.allocated_bytes:
        return Skipped(estimated_frames=frames)
    grown_bytes = (now.allocated_bytes - before.allocated_bytes) * frames
    free = [figures.reserved_bytes - figures.allocated_bytes for figures in history[len(history) // 2 :]]
    middle, mean = (len(free) - 1) / 2, sum(free) / len(free)
    spread = sum((place - middle) ** 2 for place in range(len(free)))
    slope = sum((place - middle) * (free_bytes - mean) for place, free_bytes in enumerate(free)) / spread
    free_bytes = mean + slope * (len(free) - 1 + frames - middle)
    wanted_bytes = now.allocated_bytes + grown_bytes + free_bytes - now.reserved_bytes
    return Skipped(grown_bytes, max(0, round(wanted_bytes / segment_bytes)) * segment_bytes, frames)


def _form(pool: PoolPlayer, program: Program, number: int) -> tuple[object, ...]:
    """The pool's free space and who will go, as far as it decides what happens next."""
    leaving = program.leaving(number)
    landmarks = [block for *_, block in pool.allocator.pool(pool.small).free]
    landmarks += map(pool.allocator.block_at, leaving)
    landmarks.sort(key=lambda block: block.address)
    form: list[object] = []
    before: Block | None = None
    for block in landmarks:
        if before is None or block.base != before.base:
            form.append("segment")
        if block.previous is not None and block.previous is not before:
            form.append("wall")
        form.append((block.size, leaving.get(block.address)))
        if block.next is None or block.next.state == UNMAPPED:
            form.append("end" if block.next is None else "room")
        before = block
    return tuple(form)


def _renumber(pool: PoolPlayer, ahead: int) -> None:
    pool.addresses = {section + ahead: held for section, held in pool.addresses.items()}
