"""Long clips: the shortcuts against playing every event, and what is not steady."""

import pytest

pytest.importorskip("torch", reason="the trace runs torch")
pytest.importorskip("sam2", reason="the trace runs the sam2 package")

from planner.simulator.events import Allocation, Trace
from planner.simulator.extension import NotSteady, extend
from planner.simulator.playback import Player, phases_of, sections_of
from planner.simulator.stock import REPEATED, StockRun, trace_stock
from planner.simulator.torch_adapters import FakeGpu


@pytest.fixture(scope="module", params=["autocast_bfloat16", "float32"])
def trace(request):
    run = StockRun(
        task="video",
        variant="tiny",
        version="2.1",
        side=256,
        frames=20,
        objects=1,
        precision=request.param,
        frame_size=(270, 480),
        offload_video=True,
    )
    return trace_stock(run, FakeGpu(repeat=REPEATED))


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
