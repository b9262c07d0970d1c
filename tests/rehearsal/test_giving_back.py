"""What a session leaves on the GPU when it is closed, or while it rests on the host: nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("sam2", reason="runs the sam2 package")

from tests.rehearsal.test_commands_on_cuda import START
from tests.stages import MB, python_on_stage

USED = """
import torch
boxes = [box, {"frame": 0, "object": 2, "box": [30, 10, 90, 60]}]
def taken():
    return [torch.cuda.memory_allocated(), torch.cuda.memory_reserved()]
def frames(tracking, count):
    return [next(tracking)[0] for _ in range(count)]
"""


def found(program: str, *words: str, **options: Any) -> Any:
    return json.loads(python_on_stage(START + USED + program, *words, **options))


@pytest.mark.parametrize("precision", ["float16", "autocast_bfloat16"])
def test_closing_gives_everything_back_although_nobody_lets_go(precision: str) -> None:
    """Clips are being tracked, and the session and they are still known by name."""
    program = """
answers = []
for _ in range(3):
    session = load(precision=sys.argv[1])
    trackings = [session.track(pictures, boxes) for _ in range(3)]
    for tracking in trackings:
        frames(tracking, 3)
    session.segment(pictures[0], boxes=[10, 20, 60, 80])
    held = taken()
    session.close()
    answers.append([held, taken()])
print(json.dumps(answers))
"""
    answers = found(program, precision)
    assert [after for _, after in answers] == [[0, 0]] * 3
    assert all(allocated > 70 * MB for (allocated, _), _ in answers)
    assert answers[1] == answers[2], "and the next one takes the same"


def test_a_session_that_rests_leaves_the_gpu_to_others_and_goes_on() -> None:
    program = """
session = load(offload_state=sys.argv[1] == "offload")
trackings = [session.track(pictures, boxes, history=2) for _ in range(2)]
for tracking in trackings:
    frames(tracking, 3)
before = taken()
session.to("cpu")
resting = taken()
from planner.errors import UsageError
try:
    next(trackings[0])
except UsageError as error:
    said = [error.message, error.hint]
session.to("cuda").to("cuda:0")
after = [frames(tracking, 3) for tracking in trackings]
session.to("cpu"); session.to("cpu")
again = taken()
session.close()
print(json.dumps([before, resting, said, after, again, taken()]))
"""
    for how in ("keep", "offload"):
        before, resting, said, after, again, closed = found(program, how)
        assert before[0] > 70 * MB
        assert resting == again == closed == [0, 0]
        assert "rests on the CPU" in said[0] and "cuda:0" in said[1]
        assert after == [[3, 4, 5], [3, 4, 5]]


def test_a_session_that_finds_no_room_when_it_comes_back_rests_on() -> None:
    program = """
session = load()
session.segment(pictures[0], boxes=[10, 20, 60, 80])
session.to("cpu")
free, total = torch.cuda.mem_get_info()
neighbour = torch.empty(free - 40 * 2**20, dtype=torch.uint8, device="cuda")
beside = torch.cuda.memory_allocated()
from planner.errors import OutOfMemory
try:
    session.to("cuda")
except OutOfMemory as error:
    said = [error.exit_code, error.message, error.hint]
held = torch.cuda.memory_allocated() - beside
del neighbour
session.to("cuda")
session.segment(pictures[0], boxes=[10, 20, 60, 80])
print(json.dumps([said, held]))
"""
    (code, message, hint), held = found(program)
    assert (code, held) == (5, 0)
    assert "brought back to cuda:0" in message and hint


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_fifty_loads_and_closes_leave_the_process_as_large_as_ten(device: str) -> None:
    """Resident memory, which the host's allocator and the imaginary driver move by single megabytes."""
    program = """
import os
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
gc.enable()
marks = []
for number in range(50):
    with load(device=sys.argv[1], precision="float32") as session:
        frames(session.track(pictures, boxes), 2)
    marks.append(resident())
print(json.dumps([marks, taken(), len(gc.get_objects())]))
"""
    marks, left, _ = found(program, device)
    assert left == [0, 0]
    # One set of weights has 156 MB.
    assert max(marks[40:]) - max(marks[:10]) < 10 * MB, marks


def test_when_one_clip_steps_down_the_memory_banks_of_all_leave_the_gpu_at_once() -> None:
    """Not when their turn comes: the frame that ran out of memory is to have the room."""
    program = """
from sam2.modeling.backbones.utils import PatchEmbed
session = load(resolution=(512, 512), fallback=True)
first, second = (session.track(pictures, boxes) for _ in range(2))
frames(first, 5); frames(second, 1)
before = taken()[0]
frames(second, 4)
full = taken()[0]
forward = PatchEmbed.forward
def fail(this, x):
    PatchEmbed.forward = forward
    raise torch.OutOfMemoryError("CUDA out of memory.")
PatchEmbed.forward = fail
frames(first, 1)
print(json.dumps([full - before, full - taken()[0], [step.carried_over for step in second.steps], frames(second, 1)]))
"""
    grown, freed, carried, later = found(program)
    assert grown > 0 and freed > 1.8 * grown, "the bank of one has grown by so much"
    assert (carried, later) == ([True], [5])
