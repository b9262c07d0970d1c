"""Long clips: the shortcuts against playing every event, and what is not steady."""

import pytest

from planner.simulator.events import Allocation, Trace
from planner.simulator.extension import NotSteady, extend, frame_sizes
from planner.simulator.playback import Player, phases_of, sections_of
from planner.simulator.program import Program
from tests.simulator.runs import stock_run
from tests.simulator.simulated import traced

pytest.importorskip("torch", reason="the trace runs torch")
pytest.importorskip("sam2", reason="the trace runs the sam2 package")


@pytest.fixture(scope="module", params=["autocast_bfloat16", pytest.param("float32", marks=pytest.mark.slow)])
def trace(request):
    return traced(stock_run("video", 256, frames=20, precision=request.param, offload_video=True))


@pytest.mark.parametrize("expandable_segments", [False, True], ids=["ordinary segments", "expandable segments"])
@pytest.mark.parametrize("frames", [21, 75, 400])
def test_shortcuts_change_no_figure(trace, frames, expandable_segments):
    sections = sections_of(trace)
    last = next(number for number, section in enumerate(sections) if section.name == "frame 19")
    slow = Player(expandable_segments)
    for number, section in enumerate(sections[: last + 1]):
        slow.play(number, section.tokens, phases_of(trace, section))
    for number in range(last + 1, last + 1 + frames - 20):
        slow.play(number, sections[last].tokens, phases_of(trace, sections[last]))
    quick = extend(trace, 20, frames, expandable_segments).player
    assert quick.allocated_bytes == slow.allocated_bytes
    assert quick.reserved_bytes == slow.reserved_bytes
    assert quick.peaks == slow.peaks


def test_a_rhythm_is_counted_instead_of_played():
    trace = Trace()
    trace.mark("load")
    for frame in range(6):
        trace.mark(f"frame {frame}")
        trace.born(Allocation(5 << 20, "add", "", "track", "memory bank"))
    trace.mark("end")
    events = [extend(trace, 6, frames).player.large.allocator.events for frames in (1_000, 1_000_000)]
    assert events[0] == events[1]
    assert extend(trace, 6, 1_000_000).player.allocated_bytes == 1_000_000 * (5 << 20)


def test_frames_that_differ_are_not_extended():
    trace = Trace()
    for frame in range(6):
        trace.mark(f"frame {frame}")
        trace.born(Allocation(512 * (frame + 1), "add", "", "track", "memory bank"))
    trace.mark("end")
    with pytest.raises(NotSteady, match="frame 5"):
        extend(trace, 6, 10)


@pytest.mark.parametrize("expandable_segments", [False, True], ids=["ordinary segments", "expandable segments"])
@pytest.mark.parametrize(
    ("objects", "options", "frames"),
    [(1, {}, 300), (2, {"offload_state": True}, 200), (3, {"async_loading": True, "offload_video": True}, 100)],
    ids=["one object, 300 frames", "two objects, state offloaded", "three objects, video offloaded"],
)
def test_shortcuts_change_no_figure_for_more_objects_and_offloads(objects, options, frames, expandable_segments):
    trace = traced(stock_run("video", 512 if objects == 1 else 256, frames=20, objects=objects, **options))
    quick = extend(trace, 20, frames, expandable_segments)
    slow = _played(trace, frames, expandable_segments)
    assert quick.estimated_frames == 0
    assert quick.player.allocated_bytes == slow.allocated_bytes
    assert quick.player.reserved_bytes == slow.reserved_bytes
    assert quick.player.peaks == slow.peaks


def _played(trace, frames, expandable_segments):
    """Every event of a clip whose frames share one storage, or are on the host."""
    sections = sections_of(trace, frame_sizes(trace, 20, frames))
    last = next(number for number, section in enumerate(sections) if section.name == "frame 19")
    player = Player(expandable_segments)
    for number in range(last + 1 + frames - 20):
        section = sections[min(number, last)]
        player.play(number, section.tokens, phases_of(trace, section))
    return player


@pytest.mark.parametrize("expandable_segments", [False, True], ids=["ordinary segments", "expandable segments"])
def test_an_estimate_is_off_by_a_segment_at_most_and_says_so(trace, expandable_segments):
    exact = extend(trace, 20, 900, expandable_segments, most_frames=None)
    estimate = extend(trace, 20, 900, expandable_segments, most_frames=500)
    assert exact.estimated_frames == 0
    assert estimate.estimated_frames == 900 - 20 - 500 - 48
    assert estimate.player.allocated_bytes == exact.player.allocated_bytes
    assert estimate.player.peaks == exact.player.peaks
    assert abs(estimate.player.reserved_bytes - exact.player.reserved_bytes) <= 2 << 20


def test_a_rhythm_of_thousands_of_frames_is_found():
    trace = Trace()
    trace.mark("load")
    for frame in range(6):
        trace.mark(f"frame {frame}")
        for size_bytes in (512, 1024, 1 << 18, 1 << 19):
            trace.born(Allocation(size_bytes, "add", "", "track", "memory bank"))
    trace.mark("end")
    played = extend(trace, 6, 12_000, most_frames=None)
    assert played.estimated_frames == 0
    assert played.player.small.allocator.events < 4 * 12_000
    slow = Player()
    for number in range(12_000):
        slow.play(number, [(size, 0, 0) for size in (512, 1024, 1 << 18, 1 << 19)], ["track"] * 4)
    assert played.player.reserved_bytes == slow.reserved_bytes
    assert played.player.allocated_bytes == slow.allocated_bytes


def test_a_stretch_needs_room_for_what_it_leaves_in_pieces():
    """A and B, then A's place is too small for C: never more than 3 kB live, but 4 kB are needed."""
    kb = 1024
    tokens = [(kb, 0, 0), (kb, 0, 0), (0, 0, 0), (2 * kb, 0, 0), (0, 0, 1), (0, 0, 2)]
    player = Player()
    Program(player.small, tokens).run(0)  # opens a segment
    filling = (2 << 20) - 3 * kb
    player.small.allocator.malloc(filling // 2)
    player.small.allocator.malloc(filling // 2)
    before = player.reserved_bytes
    Program(player.small, tokens).run(1)
    assert player.reserved_bytes == before + (2 << 20)
