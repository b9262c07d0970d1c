"""Long clips for the price of short ones: continue a trace whose frames have become alike, exactly.

From the frame on at which the memory bank is full in every respect (6 memories, 16 pointers), a stock video
predictor does the same to the allocator in every frame, and keeps a little more each time. The check is made on
the trace, not assumed: the last frames' tokens must be equal.

Three shortcuts, none of which changes a figure (tests compare with the full trace):

1. Frames further on repeat the last traced one.
2. A stretch whose births all die in it, and which gives back nothing else, leaves no mark on a pool: the allocator
   merges eagerly, so free space depends only on where the living are. Such a stretch is skipped if the pool has a
   free block that holds all of it at once, for then it asks nothing of the driver; otherwise it is played.
3. A pool whose free space looks as it did some frames ago has a rhythm; whole periods are counted, not played.
   What stays for ever counts as a wall, however thick. The small pool, into which the memory bank of low and middle
   resolutions grows, seldom has a rhythm: a frame of it costs some 2 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.errors import PlannerError
from planner.simulator.events import FRAMES, Trace
from planner.simulator.playback import Player, PoolPlayer, Section, Token, phases_of, sections_of
from planner.simulator.rules import round_size
from planner.simulator.snapshot import INACTIVE

ALIKE = 3
"""How many of the last frames must be equal for the trace to count as steady."""
_LAST_FRAMES = 48
"""Played in full at the end of a long clip: where the peak is. At least a period of the large pool, see `extend`."""


_MOST_LOOKS = 48
"""How many states of a pool are kept for comparison: a pool without a rhythm by then is played on."""
_NEED_BYTES = 1 << 20
"""Stretches are joined while one block of this size, which a pool often has free, holds the need of each."""


class NotSteady(PlannerError):
    """The frames of a trace have not become alike."""


@dataclass(frozen=True, slots=True)
class Played:
    """A trace that was played to the end of a clip, and how to read the player's section numbers."""

    player: Player
    sections: list[Section]
    last_traced: int
    """Number of the section of the last traced frame; higher numbers repeat it."""
    grown_bytes: dict[str, int]
    """By component: what every frame keeps, requested bytes."""


def extend(trace: Trace, traced_frames: int, frames: int, expandable_segments: bool = False) -> Played:
    """Play a trace of a clip of `traced_frames` as if the clip had `frames` (at least as many).

    Marks: "frame t" begins the section of frame t; frame 0 belongs to "propagate". Raises NotSteady.
    """
    sections = sections_of(trace, _frame_sizes(trace, traced_frames, frames))
    names = {section.name: number for number, section in enumerate(sections)}
    last = names.get(f"frame {traced_frames - 1}", len(sections) - 2)
    player = Player(expandable_segments)
    for number, section in enumerate(sections[: last + 1]):
        phases = phases_of(trace, section)
        loaded = _loaded_one_by_one(trace, section, traced_frames) if section.name == "init" else 0
        births = player.play(number, section.tokens[:loaded], phases)
        if loaded:
            _load_more_frames(player, number, section.tokens[loaded - 1][0], frames - traced_frames, loaded)
        player.play(number, section.tokens[loaded:], phases, loaded, births)
    if frames > traced_frames:
        _check_steady(sections, last)
        _continue(player, sections[last].tokens, phases_of(trace, sections[last]), last, last + frames - traced_frames)
    return Played(player, sections, last, grown_by(trace, sections, last))


def grown_by(trace: Trace, sections: list[Section], last: int) -> dict[str, int]:
    """Requested bytes that the last traced frame keeps for good, by component."""
    section = sections[last]
    stop = section.start + len(section.tokens)
    born = [event - 1 for event in trace.events[section.start : stop] if event > 0]
    passing = _passing(section.tokens)
    grown: dict[str, int] = {}
    for number, index in enumerate(born):
        if number not in passing:
            allocation = trace.allocations[index]
            grown[allocation.component] = grown.get(allocation.component, 0) + allocation.size_bytes
    return grown


def _frame_sizes(trace: Trace, traced_frames: int, frames: int) -> dict[int, int]:
    """The one storage that holds all frames, resized to the whole clip."""
    held = [index for index, allocation in enumerate(trace.allocations) if allocation.component == FRAMES]
    if len(held) != 1:
        return {}
    return {held[0]: trace.allocations[held[0]].size_bytes // traced_frames * frames}


def _loaded_one_by_one(trace: Trace, section: Section, traced_frames: int) -> int:
    """Tokens of "init" up to the load of the last frame; 0 where frames share one storage, or none."""
    stop = section.start + len(section.tokens)
    births = [
        offset + 1
        for offset, event in enumerate(trace.events[section.start : stop])
        if event > 0 and trace.allocations[event - 1].component == FRAMES
    ]
    return births[-1] if len(births) == traced_frames > 1 else 0


def _load_more_frames(player: Player, number: int, size_bytes: int, count: int, offset: int) -> None:
    """The frames beyond the traced ones, right after these."""
    pool = player.small if player.small.takes(size_bytes) else player.large
    for extra in range(count):
        pool.birth(number, -1 - extra, size_bytes)
    player.peaks.see("init", player.allocated_bytes, number, offset)


def _check_steady(sections: list[Section], last: int) -> None:
    for earlier in range(last - ALIKE + 1, last):
        if earlier < 0 or sections[earlier].tokens != sections[last].tokens:
            raise NotSteady(
                f"Section {sections[last].name!r} does not do what {sections[earlier].name!r} did.",
                "Trace more frames before extending.",
            )


def _passing(tokens: list[Token]) -> set[int]:
    """Birth numbers that die sooner or later, in a frame that all others are like."""
    return {birth for size_bytes, _, birth in tokens if not size_bytes}


# -- the stretch without its end ----------------------------------------------------------------------


def _continue(player: Player, tokens: list[Token], phases: list[str], last: int, final: int) -> None:
    """Play sections last + 1 to `final`, all with the same tokens: shortened, then the last ones in full."""
    window = min(_LAST_FRAMES, final - last)
    shortened_to = final - window
    for pool in (player.small, player.large):
        skipped = _shorten(pool, tokens, last, shortened_to)
        player.offset_bytes += skipped[0]
        player.reserved_offset_bytes += skipped[1]
    for number in range(shortened_to + 1, final + 1):
        player.play(number, tokens, phases)


def _shorten(pool: PoolPlayer, tokens: list[Token], last: int, until: int) -> tuple[int, int]:
    """Bring a pool from section `last` to section `until`; (allocated, reserved) bytes counted but not played."""
    program = _Program(pool, tokens)
    seen: dict[object, tuple[int, int, int]] = {}
    sketches: set[tuple[int, ...]] = set()
    number, ahead = last, 0
    counted = (0, 0)
    while number + ahead < until:
        number += 1
        program.run(number)
        if ahead:
            continue
        sizes = pool.allocator.free_sizes(pool.small)
        repeated = sizes in sketches
        sketches.add(sizes)
        if not repeated or len(seen) == _MOST_LOOKS:
            continue
        look = program.look(number)
        now = (number, pool.allocator.allocated_bytes, pool.allocator.reserved_bytes)
        before = seen.setdefault(look, now)
        period = number - before[0]
        if period:
            periods = (until - number) // period
            ahead = periods * period
            counted = ((now[1] - before[1]) * periods, (now[2] - before[2]) * periods)
    if ahead:
        _renumber(pool, ahead)
    return counted


def _renumber(pool: PoolPlayer, ahead: int) -> None:
    pool.addresses = {section + ahead: held for section, held in pool.addresses.items()}


class _Program:
    """A frame's tokens for one pool, with the stretches that leave no mark set apart."""

    def __init__(self, pool: PoolPlayer, tokens: list[Token]) -> None:
        self._pool = pool
        self._oldest = max((age for size, age, _ in tokens if not size), default=0)
        self._deaths = {(age, birth) for size, age, birth in tokens if not size}
        self._passing = _passing(tokens)
        self._steps = self._stretches(self._own(tokens))

    def _own(self, tokens: list[Token]) -> list[tuple[int, int, int]]:
        """This pool's tokens as (size, age, birth), births numbered too."""
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

    def _stretches(self, own: list[tuple[int, int, int]]) -> list[tuple[int, list[tuple[int, int, int]]]]:
        """(need, tokens) pairs. need 0: must be played. Else: skipped where a free block of `need` bytes exists."""
        partner = _partners(own)
        steps: list[tuple[int, list[tuple[int, int, int]]]] = []
        start = 0
        while start < len(own):
            stop = _closed_until(start, partner)
            stretch = own[start:stop]
            need = _most_at_once(stretch) if stop > start + 1 else 0
            if steps and (steps[-1][0] > 0) == (need > 0) and max(steps[-1][0], need) <= _NEED_BYTES:
                steps[-1] = (max(steps[-1][0], need), steps[-1][1] + stretch)
            else:
                steps.append((need, stretch))
            start = stop
        return steps

    def run(self, number: int) -> None:
        """One frame."""
        pool = self._pool
        for need, stretch in self._steps:
            if need and pool.allocator.largest_free_bytes(pool.small) >= need:
                continue
            for size, age, birth in stretch:
                if size:
                    pool.birth(number, birth, size)
                else:
                    pool.death(number - age, birth)
        self._forget(number)

    def _forget(self, number: int) -> None:
        """What is never given back needs no address any more."""
        held = self._pool.addresses.get(number - self._oldest, {})
        for birth in [birth for birth in held if birth not in self._passing]:
            del held[birth]

    def look(self, number: int) -> object:
        """The pool's free space and who will go, as far as it decides what happens next."""
        leaving = {}
        for age in range(self._oldest):
            for birth, address in self._pool.addresses.get(number - age, {}).items():
                if any((later, birth) in self._deaths for later in range(age + 1, self._oldest + 1)):
                    leaving[address] = (age, birth)
        segments = []
        for segment in self._pool.allocator.snapshot():
            form: list[object] = []
            for block in segment["blocks"]:
                if block["state"] == INACTIVE:
                    form.append(block["size"])
                elif block["address"] in leaving:
                    form.append((block["size"], leaving[block["address"]]))
                elif not form or form[-1] is not None:
                    form.append(None)  # what stays for ever is a wall, however thick
            if form != [None]:
                segments.append(tuple(form))
        return tuple(segments)


def _partners(own: list[tuple[int, int, int]]) -> list[int | None]:
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


def _most_at_once(stretch: list[tuple[int, int, int]]) -> int:
    """Bytes, rounded, that a closed stretch holds at its highest."""
    held = {birth: round_size(size) for size, _, birth in stretch if size}
    live = highest = 0
    for size, _, birth in stretch:
        live += held[birth] if size else -held[birth]
        highest = max(highest, live)
    return highest
