"""Long clips for the price of short ones: continue a trace whose frames have become alike, exactly.

From the frame on at which the memory bank is full in every respect (6 memories, 16 pointers), a stock video
predictor does the same to the allocator in every frame, and keeps a little more each time. The check is made on
the trace, not assumed: the last frames' tokens must be equal.

Frames further on repeat the last traced one. Most of them are not played, yet no figure changes (tests compare with
playing every event): what leaves no mark on a pool is skipped (program.py), and whole periods of a pool with a rhythm
are counted (rhythm.py). Only a pool that shows no rhythm for a thousand frames is estimated, and said to be. The last
frames, where the peak is, are played in full.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.errors import PlannerError
from planner.simulator.events import Trace
from planner.simulator.playback import Player, Section, Token, phases_of, sections_of
from planner.simulator.program import passing
from planner.simulator.rhythm import MOST_FRAMES, shorten

ALIKE = 3
"""How many of the last frames must be equal for the trace to count as steady."""
_LAST_FRAMES = 48
"""Played in full at the end of a long clip: where the peak is. At least a period of the large pool, see `extend`."""


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
    estimated_frames: int = 0
    """Over how many frames the growth of reserved bytes is an estimate (rhythm.py); 0: every figure is exact."""


def extend(
    trace: Trace,
    traced_frames: int,
    frames: int,
    expandable_segments: bool = False,
    most_frames: int | None = MOST_FRAMES,
) -> Played:
    """Play a trace of a clip of `traced_frames` as if the clip had `frames` (at least as many).

    Marks: "frame t" begins the section of frame t; frame 0 belongs to "propagate". A pool that shows no rhythm within
    `most_frames` further ones is estimated from there on; None plays every frame until it does. Raises NotSteady.
    """
    sections = sections_of(trace, frame_sizes(trace, traced_frames, frames))
    names = {section.name: number for number, section in enumerate(sections)}
    last = names.get(f"frame {traced_frames - 1}", len(sections) - 2)
    player = Player(expandable_segments)
    for number, section in enumerate(sections[: last + 1]):
        phases = phases_of(trace, section)
        loaded = loaded_one_by_one(trace, section, traced_frames) if section.name == "init" else 0
        births = player.play(number, section.tokens[:loaded], phases)
        if loaded:
            _load_more_frames(player, number, section.tokens[loaded - 1][0], frames - traced_frames, loaded)
        player.play(number, section.tokens[loaded:], phases, loaded, births)
    estimated_frames = 0
    if frames > traced_frames:
        _check_steady(sections, last)
        final = last + frames - traced_frames
        estimated_frames = _continue(
            player, sections[last].tokens, phases_of(trace, sections[last]), last, final, most_frames
        )
    return Played(player, sections, last, grown_by(trace, sections, last), estimated_frames)


def grown_by(trace: Trace, sections: list[Section], last: int) -> dict[str, int]:
    """Requested bytes that the last traced frame keeps for good, by component."""
    section = sections[last]
    stop = section.start + len(section.tokens)
    born = [event - 1 for event in trace.events[section.start : stop] if event > 0]
    dying = passing(section.tokens)
    grown: dict[str, int] = {}
    for number, index in enumerate(born):
        if number not in dying:
            allocation = trace.allocations[index]
            grown[allocation.component] = grown.get(allocation.component, 0) + allocation.size_bytes
    return grown


def frame_sizes(trace: Trace, traced_frames: int, frames: int) -> dict[int, int]:
    """The one storage that holds all frames, resized to the whole clip."""
    held = [index for index, allocation in enumerate(trace.allocations) if allocation.component == "frames"]
    if trace.whole_clip or len(held) != 1:
        return {}
    return {held[0]: trace.allocations[held[0]].size_bytes // traced_frames * frames}


def loaded_one_by_one(trace: Trace, section: Section, traced_frames: int) -> int:
    """Tokens of "init" up to the load of the last frame; 0 where frames share one storage, or none."""
    stop = section.start + len(section.tokens)
    births = [
        offset + 1
        for offset, event in enumerate(trace.events[section.start : stop])
        if event > 0 and trace.allocations[event - 1].component == "frames"
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


def _continue(
    player: Player, tokens: list[Token], phases: list[str], last: int, final: int, most_frames: int | None
) -> int:
    """Play sections last + 1 to `final`, all with the same tokens: shortened, then the last ones in full.

    Over how many of them reserved bytes are estimated.
    """
    shortened_to = max(last, final - _LAST_FRAMES)
    skipped = [shorten(pool, tokens, last, shortened_to, most_frames) for pool in (player.small, player.large)]
    for part in skipped:
        player.offset_bytes += part.allocated_bytes
        player.reserved_offset_bytes += part.reserved_bytes
    for number in range(shortened_to + 1, final + 1):
        player.play(number, tokens, phases)
    return max(part.estimated_frames for part in skipped)
