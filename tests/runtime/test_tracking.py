"""Tracking as a user meets it: streams, prompts mid-stream, going back, saving, and memory that does not grow."""

from __future__ import annotations

import gc
import os
import pickle
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sam2")

import planner
from planner.errors import EnvironmentFailure, FileError, PlannerError, UsageError
from planner.nouns.run import Configuration
from tests.runtime.stock import SIZE, Script, StockTracking, checkpoint, clip, picture, pictures_of, stock_model

pytestmark = pytest.mark.usefixtures("pictures_encoded_once")
SIDE = 64
"""Nothing here depends on it; tests/runtime/test_equal_to_stock.py compares larger ones."""
CONFIGURATION = Configuration(variant="tiny", version="2.1", resolution=(SIDE, SIDE), precision="float32")
FIRST = {"frame": 0, "object": 1, "box": [12, 37, 48, 73]}
SECOND = {"frame": 0, "object": 2, "points": [[110, 80]], "labels": [1]}
THIRD = {"frame": 0, "object": 5, "box": [60, 10, 160, 30]}


@pytest.fixture(scope="module")
def session() -> Any:
    return planner.load(CONFIGURATION, checkpoint=checkpoint("tiny", "2.1"), device="cpu")


def stock(script: Script) -> list[Any]:
    model = stock_model("tiny", "2.1", SIDE, video=True, weights=checkpoint("tiny", "2.1"))
    return StockTracking(model, script).run()


def stream(frames: int | None, size: tuple[int, int] = SIZE) -> Iterator[numpy.ndarray]:
    """Pictures that are gone once they were given."""
    index = 0
    while frames is None or index < frames:
        yield picture(index % 40, size)
        index += 1


def assert_same(ours: list[Any], expected: list[Any]) -> None:
    assert [frame for frame, _ in ours] == [frame for frame, _ in expected]
    for (frame, one), (_, other) in zip(ours, expected, strict=True):
        assert set(one) == set(other), f"objects of frame {frame}"
        for name in other:
            assert numpy.array_equal(one[name], numpy.asarray(other[name])), f"object {name} on frame {frame}"


# -- constant memory --------------------------------------------------------------------------------------


def tensor_bytes() -> int:
    """Bytes of all tensors alive on the CPU, each storage once."""
    found = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor) and not thing.is_sparse and thing.device.type == "cpu":
            storage = thing.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


@pytest.mark.parametrize(
    ("object_batch", "history"),
    [
        pytest.param(1, 0, id="one by one"),
        pytest.param(3, 4, id="in one pass, with a history"),
        pytest.param(1, 4, id="one by one, with a history", marks=pytest.mark.slow),
        pytest.param(3, 0, id="in one pass", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("every_picture_encoded")
def test_no_byte_is_added_per_frame_once_the_window_is_full(object_batch: int, history: int) -> None:
    """The memory is full from frame 16 on, and from 20 with a history of 4; what would grow does so on each of the
    frames that are looked at.
    """
    wanted = replace(CONFIGURATION, resolution=(64, 64), object_batch=object_batch)
    loaded = planner.load(wanted, checkpoint=checkpoint("tiny", "2.1"), device="cpu")
    counts = {}
    still = picture(0)
    with loaded.track((still for _ in iter(int, 1)), [FIRST, SECOND, THIRD], history=history) as tracking:
        for frame, _ in tracking:
            if frame < 2 or frame >= 21:
                time.sleep(0.02)  # What is read ahead is ready, on every frame alike.
                counts[frame] = tensor_bytes()
            if frame == 28:
                break
    full = [counts[frame] for frame in range(21, 29)]
    assert min(full) > counts[0] > 0, "the memory bank was not counted"
    assert len(set(full)) == 1, f"tensors took between {min(full)} and {max(full)} bytes"


def test_prompts_mid_stream_leave_nothing_behind_but_their_own_memory(session: Any) -> None:
    """A corrected frame costs as much as any other; a new object costs what the first one did."""
    still = picture(0)
    counts = []
    with session.track((still for _ in iter(int, 1)), [FIRST]) as tracking:
        for frame, _ in tracking:
            if frame == 22:
                tracking.add({"frame": 22, "object": 1, "points": [[30, 55]], "labels": [1]})
            if frame == 42:
                tracking.add({"frame": 42, "object": 2, "points": [[110, 80]], "labels": [1]})
            if frame == 62:
                tracking.remove(2)
            if frame in (21, 41, 61, 64):
                time.sleep(0.05)
                counts.append(tensor_bytes())
            if frame == 64:
                break
    before, corrected, two, removed = counts
    assert corrected == before
    assert two > before
    assert removed == before


def test_arrays_on_the_host_do_not_grow_either() -> None:
    loaded = planner.load(replace(CONFIGURATION, resolution=(64, 64)), random_weights=True, device="cpu")
    still = picture(0)
    marks = {}
    tracemalloc.start()
    try:
        with loaded.track((still for _ in iter(int, 1)), [FIRST]) as tracking:
            for frame, _ in tracking:
                if frame in (30, 70):
                    time.sleep(0.05)
                    gc.collect()
                    marks[frame] = tracemalloc.get_traced_memory()[0]
                if frame == 70:
                    break
    finally:
        tracemalloc.stop()
    # Interpreter and allocator settle for a while: some 100 bytes per frame. A mask would be 19,200, a picture 57,600.
    assert marks[70] - marks[30] < 40 * 1000


def test_masks_that_were_given_are_not_changed_by_later_frames(session: Any) -> None:
    kept = []
    for frame, masks in session.track(stream(6), [FIRST], scores=True):
        kept.append((frame, {name: values.copy() for name, values in masks.items()}, masks))
    for _, copied, masks in kept:
        assert_same([(0, masks)], [(0, copied)])
    assert len({masks[1].tobytes() for _, masks, _ in kept}) > 1


# -- objects that come and go -----------------------------------------------------------------------------


def test_an_object_removed_mid_stream_is_removed_as_by_stock(session: Any) -> None:
    script = Script(clip(10), [FIRST, SECOND, THIRD], {3: [{"remove": 2}], 6: [{"remove": 1}]})
    found = []
    with session.track(script.folder, script.prompts, scores=True) as tracking:
        for frame, scores in tracking:
            found.append((frame, scores))
            for action in script.afterwards.get(frame, ()):
                tracking.remove(action["remove"])
        assert tracking.objects == (5,)
    assert [sorted(scores) for _, scores in found] == [[1, 2, 5]] * 4 + [[1, 5]] * 3 + [[5]] * 3
    assert_same(found, stock(script))


@pytest.mark.parametrize("form", ["folder", "stream", "added"])
def test_an_end_is_a_removal_before_that_frame(session: Any, form: str) -> None:
    folder = clip(8)

    def source() -> Any:
        return iter(pictures_of(folder)) if form == "stream" else folder

    ends = [{"frame": 2, "object": 2, "end": True}, {"frame": 5, "object": 1, "end": True}]
    removed = []
    with session.track(source(), [FIRST, SECOND], scores=True) as tracking:
        for frame, scores in tracking:
            removed.append((frame, scores))
            if frame == 1:
                tracking.remove(2)
    prompts = [FIRST, SECOND, *(ends if form != "added" else ())]
    with session.track(source(), prompts, scores=True) as tracking:
        if form == "added":
            assert [tracking.add(end) for end in ends] == [{}, {}]
        assert_same(list(tracking), removed[:5])
        assert list(tracking) == [] and tracking.objects == ()
        with pytest.raises(UsageError, match="Object 1 cannot end at frame 3: frame 4 has been given"):
            tracking.add({"frame": 3, "object": 1, "end": True})
        with pytest.raises(UsageError, match="no object 9 to end"):
            tracking.add({"frame": 6, "object": 9, "end": True})
        tracking.add({**THIRD, "frame": 4})
        assert [(frame, list(found)) for frame, found in tracking] == [(frame, [5]) for frame in (5, 6, 7)]


def test_going_back_before_an_end_finds_the_object_there_again(session: Any) -> None:
    prompts = [FIRST, SECOND, {"frame": 3, "object": 2, "end": True}]
    with session.track(clip(8), prompts, scores=True, history=5) as tracking:
        first = [next(tracking) for _ in range(5)]
        assert [sorted(found) for _, found in first] == [[1, 2]] * 3 + [[1]] * 2
        tracking.add({**THIRD, "frame": 1})
        assert [(frame, sorted(found)) for frame, found in tracking] == [(2, [1, 2, 5])] + [
            (frame, [1, 5]) for frame in range(3, 8)
        ]


def test_an_object_may_be_replaced_by_another_as_in_stock(session: Any) -> None:
    again = {"frame": 3, "object": 2, "points": [[104, 80]], "labels": [1]}
    script = Script(clip(8), [FIRST], {3: [{"remove": 1}, again]})
    found = []
    with session.track(script.folder, script.prompts, scores=True) as tracking:
        for frame, scores in tracking:
            found.append((frame, scores))
            if frame == 3:
                tracking.remove(1)
                tracking.add(again)
    assert_same(found, stock(script))


def test_an_object_that_is_not_tracked_cannot_be_removed(session: Any) -> None:
    with session.track(stream(3), [FIRST]) as tracking:
        next(tracking)
        with pytest.raises(UsageError, match="9"):
            tracking.remove(9)
        assert next(tracking)[0] == 1


def test_an_object_is_added_to_a_stream_as_in_stock(session: Any) -> None:
    """On the frame last given: its picture is still known."""
    added = {"frame": 4, "object": 2, "box": [90, 66, 120, 94]}
    script = Script(clip(18), [FIRST], {4: [added]})
    expected = stock(script)
    found = []
    with session.track(iter(pictures_of(script.folder)), script.prompts, scores=True) as tracking:
        for frame, scores in tracking:
            found.append((frame, scores))
            if frame == 4:
                said = tracking.add(added)
                assert set(said) == {1, 2}
    assert_same(found, expected)


def test_a_prompt_announced_for_a_frame_to_come_of_a_stream_is_kept_until_then(session: Any) -> None:
    coming = {"frame": 5, "object": 2, "points": [[104, 80]], "labels": [1]}
    announced, given = [], []
    with session.track(stream(9), [FIRST], scores=True) as tracking:
        for frame, scores in tracking:
            announced.append((frame, scores))
            if frame == 2:
                assert tracking.add(coming) == {}
    for frame, scores in session.track(stream(9), [FIRST, coming], scores=True):
        given.append((frame, scores))
    assert [sorted(scores) for _, scores in given] == [[1]] * 5 + [[1, 2]] * 4
    assert_same(announced, given)


def test_a_stream_gives_nothing_before_its_first_prompted_frame(session: Any) -> None:
    prompt = {"frame": 3, "object": 1, "box": [12, 37, 48, 73]}
    frames = [frame for frame, masks in session.track(stream(6), [prompt]) if masks]
    assert frames == [3, 4, 5]


# -- going back -------------------------------------------------------------------------------------------


def test_a_correction_goes_back_as_far_as_the_history(session: Any) -> None:
    """As the stock predictor driven to frame 9, corrected on frame 6, and driven on from frame 7."""
    correction = {"frame": 6, "object": 1, "points": [[80, 50]], "labels": [1]}
    script = Script(clip(18), [FIRST, SECOND], {9: [correction]})
    expected = stock(script)
    assert [frame for frame, _ in expected] == [*range(10), *range(7, 18)]
    for source in (script.folder, iter(pictures_of(script.folder))):
        found = []
        corrected = False
        with session.track(source, script.prompts, scores=True, history=3) as tracking:
            for frame, scores in tracking:
                found.append((frame, scores))
                if frame == 9 and not corrected:
                    corrected = True
                    said = tracking.add(correction)
                    assert not numpy.array_equal(said[1], found[6][1][1])
        assert_same(found, expected)


def test_an_object_may_be_added_a_few_frames_back(session: Any) -> None:
    added = {"frame": 5, "object": 2, "points": [[104, 80]], "labels": [1]}
    script = Script(clip(18), [FIRST], {7: [added]})
    expected = stock(script)
    found = []
    done = False
    with session.track(iter(pictures_of(script.folder)), script.prompts, scores=True, history=2) as tracking:
        for frame, scores in tracking:
            found.append((frame, scores))
            if frame == 7 and not done:
                done = True
                tracking.add(added)
    assert_same(found, expected)


def test_going_back_works_in_reverse_too(session: Any) -> None:
    correction = {"frame": 14, "object": 1, "points": [[80, 50]], "labels": [1]}
    script = Script(clip(18), [{**FIRST, "frame": 17}], {12: [correction]}, reverse=True)
    expected = stock(script)
    assert [frame for frame, _ in expected] == [*range(17, 11, -1), *range(13, -1, -1)]
    found = []
    done = False
    with session.track(script.folder, script.prompts, scores=True, history=2, reverse=True) as tracking:
        for frame, scores in tracking:
            found.append((frame, scores))
            if frame == 12 and not done:
                done = True
                tracking.add(correction)
    assert_same(found, expected)


def test_history_that_is_not_used_changes_nothing(session: Any) -> None:
    without = list(session.track(clip(18), [FIRST, SECOND], scores=True))
    assert_same(list(session.track(clip(18), [FIRST, SECOND], scores=True, history=5)), without)


@pytest.mark.parametrize(("history", "frame"), [(0, 7), (0, 0), (3, 4), (3, 0)])
def test_a_prompt_on_a_frame_that_is_gone_says_how_far_back_one_may_go(session: Any, history: int, frame: int) -> None:
    with session.track(stream(12), [FIRST], history=history) as tracking:
        for index, _ in tracking:
            if index == 8:
                break
        with pytest.raises(UsageError) as caught:
            tracking.add({"frame": frame, "object": 1, "points": [[30, 55]], "labels": [1]})
        message = str(caught.value)
        assert f"{frame}" in message and "8" in message and f"history={8 - frame}" in message
        assert next(tracking)[0] == 9, "the refusal left the tracking as it was"


def test_a_negative_history_is_refused(session: Any) -> None:
    with pytest.raises(UsageError, match="-1"):
        session.track(stream(2), [FIRST], history=-1)


# -- saving and going on ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
def test_a_saved_tracking_goes_on_with_the_same_masks(session: Any, tmp_path: Path, reverse: bool) -> None:
    """Saved while the memory fills, when it just did and later; and saving changes nothing of what follows."""
    prompts = [{**FIRST, "frame": 21 if reverse else 0}, {**SECOND, "frame": 16 if reverse else 5}]
    options: dict[str, Any] = dict(reverse=reverse, scores=True)
    whole = list(session.track(clip(22), prompts, **options))
    stops = (0, 5, 17)
    saved = []
    with session.track(clip(22), prompts, **options) as tracking:
        for number, given in enumerate(tracking):
            saved.append(given)
            if number in stops:
                tracking.save(tmp_path / f"{number}.pt")
    assert_same(saved, whole)
    for stop in stops:
        rest = list(session.track(clip(22), resume=tmp_path / f"{stop}.pt", **options))
        assert_same(rest, whole[stop + 1 :])


def test_what_was_saved_of_a_stream_goes_on_with_the_same_pictures_from_a_folder(session: Any, tmp_path: Path) -> None:
    """The stream itself cannot be given again from its middle, and says so."""
    frames = pictures_of(clip(22))
    whole = list(session.track(iter(frames), [FIRST, SECOND], scores=True))
    path = tmp_path / "state.pt"
    with session.track(iter(frames), [FIRST, SECOND], scores=True) as tracking:
        for _ in range(18):
            next(tracking)
        tracking.save(path)
    assert_same(list(session.track(clip(22), resume=path, scores=True)), whole[18:])
    with pytest.raises(PlannerError) as caught:
        list(session.track(iter(frames), resume=path, scores=True))
    assert "18" in str(caught.value) and caught.value.hint


def test_a_tracking_saved_after_a_correction_goes_on_with_the_same_masks(session: Any, tmp_path: Path) -> None:
    correction = {"frame": 6, "object": 1, "points": [[80, 50]], "labels": [1]}
    path = tmp_path / "state.pt"
    whole = []
    with session.track(clip(12), [FIRST, SECOND], scores=True) as tracking:
        for frame, scores in tracking:
            whole.append((frame, scores))
            if frame == 6:
                tracking.add(correction)
                tracking.remove(2)
                tracking.save(path)
    resumed = session.track(clip(12), resume=path, scores=True)
    assert resumed.objects == (1,)
    assert_same(list(resumed), whole[7:])


def test_a_resumed_tracking_takes_prompts_and_corrections(session: Any, tmp_path: Path) -> None:
    added = {"frame": 9, "object": 3, "box": [60, 10, 160, 30]}
    path = tmp_path / "state.pt"
    whole = []
    with session.track(clip(12), [FIRST], scores=True) as tracking:
        for frame, scores in tracking:
            whole.append((frame, scores))
            if frame == 6:
                tracking.save(path)
            if frame == 9:
                tracking.add(added)
    rest = []
    with session.track(clip(12), resume=path, scores=True) as tracking:
        for frame, scores in tracking:
            rest.append((frame, scores))
            if frame == 9:
                tracking.add(added)
    assert_same(rest, whole[7:])


def test_a_tracking_saved_on_the_last_frame_has_nothing_to_go_on_with(session: Any, tmp_path: Path) -> None:
    with session.track(clip(5), [FIRST]) as tracking:
        for _ in tracking:
            pass
        tracking.save(tmp_path / "state.pt")
    assert list(session.track(clip(5), resume=tmp_path / "state.pt")) == []


def test_nothing_can_be_saved_before_the_first_frame(session: Any, tmp_path: Path) -> None:
    with session.track(clip(5), [FIRST]) as tracking, pytest.raises(UsageError):
        tracking.save(tmp_path / "state.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_cannot_be_written_is_an_error_of_the_environment(session: Any, tmp_path: Path) -> None:
    with session.track(clip(5), [FIRST]) as tracking:
        next(tracking)
        with pytest.raises(EnvironmentFailure, match="nowhere"):
            tracking.save(tmp_path / "nowhere" / "state.pt")
        assert next(tracking)[0] == 1


class Payload:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


def test_a_state_that_is_missing_damaged_hostile_or_of_another_kind_is_refused(session: Any, tmp_path: Path) -> None:
    with session.track(clip(5), [FIRST]) as tracking:
        next(tracking)
        tracking.save(tmp_path / "state.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "state.pt").read_bytes()[:-2000])
    (tmp_path / "text.pt").write_text("no state")
    torch.save({"version": 1}, tmp_path / "incomplete.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"version": 1, "made_for": Payload(tmp_path / "executed")}, tmp_path / "hostile.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Payload(tmp_path / "executed")))
    for name in ("missing.pt", "cut.pt", "text.pt", "incomplete.pt", "list.pt", "hostile.pt", "pickle.pt"):
        with pytest.raises(FileError) as caught:
            session.track(clip(5), resume=tmp_path / name)
        assert name in str(caught.value)
    assert not (tmp_path / "executed").exists()


def test_a_state_of_another_configuration_picture_size_or_direction_is_refused(session: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    with session.track(clip(5), [FIRST]) as tracking:
        next(tracking)
        tracking.save(path)
    other = planner.load(replace(CONFIGURATION, resolution=(2 * SIDE, 2 * SIDE)), random_weights=True, device="cpu")
    with pytest.raises(UsageError):
        other.track(clip(5), resume=path)
    with pytest.raises(UsageError):
        session.track(clip(5, (90, 90)), resume=path)
    with pytest.raises(UsageError):
        session.track(clip(5), resume=path, reverse=True)


# -- prompts that are refused -----------------------------------------------------------------------------

BAD_PROMPTS: dict[str, dict[str, Any]] = {
    "no points": {"points": [], "labels": []},
    "nothing at all": {},
    "a point outside": {"points": [[160.5, 20]], "labels": [1]},
    "a point above": {"points": [[20, -1]], "labels": [1]},
    "a point that is no number": {"points": [[float("nan"), 20]], "labels": [1]},
    "a point at infinity": {"points": [[float("inf"), 20]], "labels": [1]},
    "a point of three numbers": {"points": [[1, 2, 3]], "labels": [1]},
    "a point of words": {"points": [["left", "top"]], "labels": [1]},
    "fewer labels than points": {"points": [[1, 2], [3, 4]], "labels": [1]},
    "labels without points": {"labels": [1]},
    "a label that means nothing": {"points": [[1, 2]], "labels": [7]},
    "a box of three numbers": {"box": [1, 2, 3]},
    "a box outside": {"box": [10, 10, 500, 50]},
    "a box turned round": {"box": [50, 50, 10, 10]},
    "a box of no width": {"box": [50, 10, 50, 60]},
    "a mask of another size": {"mask": numpy.ones((10, 10), bool)},
    "a mask of three dimensions": {"mask": numpy.ones((*SIZE, 3), bool)},
    "a mask and a box": {"mask": numpy.ones(SIZE, bool), "box": [12, 37, 48, 73]},
    "a word that is not known": {"bbox": [12, 37, 48, 73]},
    "a negative frame": {"frame": -1, "box": [12, 37, 48, 73]},
    "a frame after the last": {"frame": 4, "box": [12, 37, 48, 73]},
    "a frame that is a fraction": {"frame": 0.5, "box": [12, 37, 48, 73]},
    "an object that is a list": {"object": [1], "box": [12, 37, 48, 73]},
}


@pytest.mark.parametrize("fault", BAD_PROMPTS.values(), ids=BAD_PROMPTS)
def test_a_prompt_that_makes_no_sense_is_refused(session: Any, fault: dict[str, Any]) -> None:
    before = threading.active_count()
    with pytest.raises(UsageError) as caught:
        session.track(clip(4), [FIRST, {"frame": 0, "object": 2} | fault])
    assert caught.value.message
    with session.track(clip(4), [FIRST]) as tracking:
        next(tracking)
        with pytest.raises(UsageError):
            tracking.add({"frame": 0, "object": 2} | fault)
        frame, masks = next(tracking)
        assert frame == 1 and set(masks) == {1}, "the refusal left the tracking as it was"
    assert threading.active_count() == before


def test_a_prompt_without_frame_or_object_is_a_new_object_on_frame_0(session: Any) -> None:
    box = {"box": [96, 66, 124, 94]}
    frame, masks = next(session.track(clip(4), [{"object": 3, **box}, box]))
    assert frame == 0 and sorted(masks) == [3, 4]


def test_tracking_without_a_prompt_is_refused(session: Any) -> None:
    for source in (clip(4), stream(4)):
        with pytest.raises(UsageError, match="prompt"):
            session.track(source)


def test_starting_on_a_frame_that_is_not_there_is_refused(session: Any) -> None:
    for start in (-1, 4):
        with pytest.raises(UsageError):
            session.track(clip(4), [FIRST], start=start)


def test_tracking_starts_where_it_is_told_to(session: Any) -> None:
    prompt = {**FIRST, "frame": 3}
    assert [frame for frame, _ in session.track(clip(6), [prompt])] == [3, 4, 5]
    assert [frame for frame, _ in session.track(clip(6), [prompt], start=1)] == [1, 2, 3, 4, 5]
    assert [frame for frame, _ in session.track(clip(6), [prompt], reverse=True)] == [3, 2, 1, 0]
    assert [frame for frame, _ in session.track(clip(6), [prompt], reverse=True, start=5)] == [5, 4, 3, 2, 1, 0]


# -- sources ----------------------------------------------------------------------------------------------


def test_a_source_without_frames_is_refused(session: Any, tmp_path: Path) -> None:
    before = threading.active_count()
    for source in ([], iter([]), tmp_path, numpy.zeros((0, 8, 8, 3), numpy.uint8)):
        with pytest.raises(PlannerError):
            list(session.track(source, [FIRST]))
    assert threading.active_count() == before


def test_what_a_stream_raises_comes_out_after_the_frames_before_it(session: Any) -> None:
    def broken() -> Iterator[numpy.ndarray]:
        yield from stream(4)
        raise RuntimeError("the camera was unplugged")

    before = threading.active_count()
    found = []
    with pytest.raises(RuntimeError, match="unplugged"):
        for frame, _ in session.track(broken(), [FIRST]):
            found.append(frame)
    assert found == [0, 1, 2, 3]
    assert wait_for_threads(before)


def test_frames_of_another_size_end_the_tracking_with_their_number(session: Any) -> None:
    frames = [picture(0), picture(1), picture(2, (60, 80))]
    found = []
    with pytest.raises(PlannerError) as caught:
        for frame, _ in session.track(iter(frames), [FIRST]):
            found.append(frame)
    assert found == [0, 1]
    assert "2" in str(caught.value) and "60" in str(caught.value)


def wait_for_threads(count: int) -> bool:
    """Whether no more than `count` threads are left, within a second."""
    for _ in range(100):
        if threading.active_count() <= count:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("way", ["close", "with", "end"])
def test_a_tracking_that_ended_leaves_no_thread_behind(session: Any, way: str) -> None:
    before = threading.active_count()
    ended = []

    def source() -> Iterator[numpy.ndarray]:
        try:
            yield from stream(6 if way == "end" else None)
        finally:
            ended.append(True)

    tracking = session.track(source(), [FIRST])
    if way == "end":
        list(tracking)
    elif way == "with":
        with tracking:
            next(tracking)
    else:
        next(tracking)
        tracking.close()
        tracking.close()
    assert wait_for_threads(before)
    assert ended == [True], "the generator was not closed"


def test_a_tracking_that_is_forgotten_leaves_no_thread_behind(session: Any) -> None:
    before = threading.active_count()
    tracking = session.track(stream(None), [FIRST])
    next(tracking)
    del tracking
    gc.collect()
    assert wait_for_threads(before)


def test_a_closed_tracking_gives_no_more_frames(session: Any) -> None:
    tracking = session.track(stream(None), [FIRST])
    next(tracking)
    tracking.close()
    assert list(tracking) == []


def test_a_stream_is_not_read_far_ahead(session: Any) -> None:
    read = []

    def counted() -> Iterator[numpy.ndarray]:
        for index in range(40):
            read.append(index)
            yield picture(index)

    with session.track(counted(), [FIRST]) as tracking:
        for frame, _ in tracking:
            time.sleep(0.02)
            assert len(read) <= frame + 6
            if frame == 20:
                break


def test_two_trackings_of_one_session_do_not_disturb_each_other(session: Any) -> None:
    alone = list(session.track(clip(8), [FIRST], scores=True))
    other = list(session.track(clip(8), [SECOND], scores=True))
    one, two = session.track(clip(8), [FIRST], scores=True), session.track(clip(8), [SECOND], scores=True)
    pairs = list(zip(one, two, strict=True))
    assert_same([first for first, _ in pairs], alone)
    assert_same([second for _, second in pairs], other)


def test_a_picture_segmented_while_tracking_does_not_disturb_it(session: Any) -> None:
    alone = list(session.track(clip(6), [FIRST], scores=True))
    found = []
    for frame, scores in session.track(clip(6), [FIRST], scores=True):
        found.append((frame, scores))
        session.segment(picture(frame + 9), points=[[30, 55]], labels=[1])
    assert_same(found, alone)


def test_prompts_whose_pictures_are_one_pixel_high_or_wide_are_tracked(session: Any) -> None:
    """Sources far from the usual shapes."""
    for size in ((1, 1), (1, 300), (300, 1)):
        prompt = {"frame": 0, "object": 1, "points": [[0, 0]], "labels": [1]}
        frames = list(session.track(numpy.zeros((3, *size, 3), numpy.uint8), [prompt]))
        assert [masks[1].shape for _, masks in frames] == [size] * 3
