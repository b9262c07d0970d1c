"""Several clips of one session: each as in a run of its own, in one thread or many, also where memory runs out."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sam2")

from sam2.modeling.backbones.utils import PatchEmbed
from sam2.modeling.memory_encoder import MaskDownSampler

import planner
from planner.errors import OutOfMemory, UsageError
from planner.nouns.run import Configuration
from planner.runtime import session as runtime_session
from tests.runtime.stock import checkpoint, picture
from tests.runtime.test_out_of_memory import Trap

pytestmark = pytest.mark.usefixtures("pictures_encoded_once")
CONFIGURATION = Configuration(variant="tiny", version="2.1", resolution=(64, 64), precision="float32")
PROMPTS = (
    [{"frame": 0, "object": 1, "box": [12, 37, 48, 73]}],
    [{"frame": 0, "object": 1, "points": [[110, 80]]}, {"frame": 3, "object": 2, "box": [60, 10, 160, 30]}],
    [{"frame": 2, "object": 7, "box": [30, 20, 90, 60]}, {"frame": 2, "object": 8, "points": [[20, 20]]}],
)
FRAMES = (24, 20, 9)
SIZES = ((90, 120), (96, 176), (80, 200))
"""Rows and columns: clips of one session need not be alike."""


def load(wanted: Any = CONFIGURATION, **options: Any) -> Any:
    return planner.load(wanted, checkpoint=checkpoint("tiny", "2.1"), device="cpu", **options)


def source(number: int) -> list[numpy.ndarray]:
    return [picture(index + 5 * number, SIZES[number]) for index in range(FRAMES[number])]


def track(session: Any, number: int) -> Any:
    return session.track(source(number), PROMPTS[number], scores=True)


Found = list[tuple[int, dict[int, numpy.ndarray]]]


@lru_cache(maxsize=1)
def alone() -> list[Found]:
    """Each clip in a session of its own."""
    return [list(track(load(), number)) for number in range(3)]


def assert_same(found: Found, expected: Found) -> None:
    assert [frame for frame, _ in found] == [frame for frame, _ in expected]
    for (frame, one), (_, other) in zip(found, expected, strict=True):
        assert set(one) == set(other)
        for name in other:
            assert numpy.array_equal(one[name], other[name]), f"object {name} on frame {frame}"


def in_turns(trackings: list[Any], before: Callable[[int], object] = lambda _: None) -> list[Found]:
    """A frame of each after the other, until all have ended; `before` is called with the number of each step."""
    found: list[Found] = [[] for _ in trackings]
    left, steps = list(range(len(trackings))), itertools.count()
    while left:
        for number in list(left):
            before(next(steps))
            shot = next(trackings[number], None)
            if shot is None:
                left.remove(number)
            else:
                found[number].append(shot)
    return found


def test_interleaved_clips_are_each_as_in_a_run_of_its_own() -> None:
    session = load()
    for found, expected in zip(in_turns([track(session, n) for n in range(3)]), alone(), strict=True):
        assert_same(found, expected)


def test_clips_in_threads_are_each_as_in_a_run_of_its_own() -> None:
    """Pictures are segmented meanwhile, by the same weights."""
    session = load()
    expected_masks = session.segment(picture(1), boxes=[12, 37, 48, 73]).masks
    found: dict[int, Found] = {}
    masks: list[Any] = []

    def work(number: int) -> None:
        found[number] = list(track(session, number))

    def segment() -> None:
        masks.extend(session.segment(picture(1), boxes=[12, 37, 48, 73]).masks for _ in range(5))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    threads.append(threading.Thread(target=segment))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, expected in enumerate(alone()):
        assert_same(found[number], expected)
    assert len(masks) == 5 and all(numpy.array_equal(one, expected_masks) for one in masks)


def test_one_thread_computes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most = 0, 0
    forward = MaskDownSampler.forward
    meet = threading.Barrier(2)

    def counting(this: Any, *arguments: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            threading.Event().wait(0.02)  # another would come in meanwhile
            return forward(this, *arguments)
        finally:
            inside -= 1

    monkeypatch.setattr(MaskDownSampler, "forward", counting)
    sessions = [load(), load()]  # two sets of weights on one device

    def work(session: Any) -> None:
        meet.wait()
        list(session.track(source(2)[:4], PROMPTS[0], scores=True))

    threads = [threading.Thread(target=work, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_correction_finds_the_features_that_went_with_the_other_clips_frame() -> None:
    correction = {"frame": 4, "object": 1, "points": [[30, 55]], "labels": [1]}

    def corrected(tracking: Any, others: list[Any]) -> Found:
        found = []
        for frame, scores in tracking:
            for other in others:
                next(other, None)
            found.append((frame, tracking.add(correction) if frame == 4 else scores))
        return found

    lonely = corrected(track(load(), 0), [])
    session = load()
    assert_same(corrected(track(session, 0), [track(session, 1), track(session, 2)]), lonely)


# -- running out of memory --------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [3, 7, 19])
def test_when_one_steps_down_all_follow_and_no_mask_changes(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With passes of several objects and the bank on the host: the bank is carried over."""
    trap = Trap(monkeypatch, PatchEmbed)
    session = load(fallback=True)
    trackings = [track(session, number) for number in range(3)]

    def arm(number: int) -> None:
        trap.failures = number == step

    for found, expected in zip(in_turns(trackings, arm), alone(), strict=True):
        assert_same(found, expected)
    assert trap.sprung == 1
    assert session.configuration.offload_state
    assert [one.configuration.offload_state for one in session.steps] == [True]
    for number, tracking in enumerate(trackings):
        assert [(one.configuration, one.carried_over) for one in tracking.steps] == [(session.configuration, True)]
        frame = tracking.steps[0].frame
        assert frame == PROMPTS[number][0]["frame"] + step // 3 + (number < step % 3)


def test_other_weights_are_there_once_and_all_are_prompted_again_by_their_last_masks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = planner.plan(task="video", vram="2GB", variant="tiny", version="2.1", resolution=128, precision="float32")
    smaller = replace(plan.chosen, configuration=CONFIGURATION, estimate=replace(plan.estimate, least_bytes=1))
    plan = replace(plan, alternatives=(smaller,))
    trap = Trap(monkeypatch, PatchEmbed)
    session = load(plan, fallback=True)
    trackings = [track(session, number) for number in range(2)]
    model = weakref.ref(session._ladder.network.model)
    for _ in range(3):
        for tracking in trackings:
            next(tracking)
    gone: list[bool] = []

    def model_from(*arguments: Any, **options: Any) -> Any:
        gone.append(model() is None)
        return read(*arguments, **options)

    read = runtime_session.model_from
    monkeypatch.setattr(runtime_session, "model_from", model_from)
    trap.failures = 2  # the bank on the host does not help
    frame, _ = next(trackings[0])
    assert (frame, session.configuration) == (3, CONFIGURATION)
    assert gone == [True], "the old weights go before the new ones come, whoever else tracks with them"
    rest = [list(tracking) for tracking in trackings]
    assert [frame for frame, _ in rest[1]] == list(range(3, FRAMES[1]))
    assert set(rest[1][-1][1]) == {1, 2}, "and objects that come later do come"
    assert [step.carried_over for step in trackings[1].steps] == [True, False]


def test_a_picture_that_runs_out_takes_clips_along(monkeypatch: pytest.MonkeyPatch) -> None:
    trap = Trap(monkeypatch, PatchEmbed)
    session = load(fallback=True)
    tracking = track(session, 0)
    begun = [next(tracking), next(tracking)]
    trap.failures = 1
    session.segment(picture(1), points=[[5, 5]])
    assert session.configuration.offload_state
    assert_same([*begun, *tracking], alone()[0])
    assert [(step.frame, step.carried_over) for step in tracking.steps] == [(2, True)]


def test_without_fallback_one_that_runs_out_leaves_the_others_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    trap = Trap(monkeypatch, PatchEmbed)
    session = load()
    first, second = track(session, 0), track(session, 1)
    next(first)
    begun = [next(second), next(second)]
    trap.failures = 1
    with pytest.raises(OutOfMemory):
        next(first)
    first.close()
    assert_same([*begun, *second], alone()[1])


# -- closing and resting ----------------------------------------------------------------------------------


def test_a_closed_session_says_so_and_holds_nothing() -> None:
    with load() as session:
        tracking = track(session, 0)
        next(tracking)
        model = weakref.ref(session._ladder.network.model)
    assert model() is None
    for ask in (
        lambda: next(tracking),
        lambda: tracking.add({"frame": 1, "object": 3, "points": [[5, 5]]}),
        lambda: session.segment(picture(0), points=[[5, 5]]),
        lambda: session.automask(picture(0), points_per_side=1),
        lambda: session.track(source(0), PROMPTS[0]),
        lambda: session.to("cpu"),
    ):
        with pytest.raises(UsageError, match="closed") as caught:
            ask()
        assert caught.value.hint
    session.close()
    assert (session.device, session.configuration, session.memory()) == ("cpu", CONFIGURATION, None)


def test_closing_ends_the_reading_of_clips() -> None:
    session = load()
    before = threading.active_count()
    trackings = [track(session, number) for number in range(3)]
    for tracking in trackings:
        next(tracking)
    assert threading.active_count() > before
    session.close()
    assert threading.active_count() == before


def test_a_session_is_brought_to_its_own_device_or_the_cpu_only() -> None:
    session = load()
    assert session.to("cpu") is session
    assert session.segment(picture(0), points=[[5, 5]]).masks.shape == (1, 1, *picture(0).shape[:2])
    for device in ("cuda:3", "tpu", "", "cpu:1"):
        with pytest.raises(UsageError, match="cannot be brought") as caught:
            session.to(device)
        assert repr(device) in str(caught.value)
