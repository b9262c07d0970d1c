"""Logs of torch's own allocator, replayed: they agree byte for byte, changed ones show where, broken ones say why."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import PlannerError
from planner.simulator.allocator import CachingAllocator
from planner.simulator.history import History, HistoryError, HistoryEvent, parse_history, read_history
from planner.simulator.replay import ReplayResult, replay
from tests.simulator.worked_logs import EXPANDABLE_LOG, ORDINARY_LOG

ROOT = Path(__file__).resolve().parents[2]
LOGS = sorted((ROOT / "tests" / "data").glob("history-*.json.gz"))
MIB = 1 << 20
ADDRESS = 0x7F00_0000_0000


def log(events: list[list[object]], **other: object) -> dict[str, object]:
    return {"events": events, **other}


def played(events: list[list[object]], **other: object) -> Any:
    return replay(parse_history(log(events, **other), "a log"))


def assert_agrees(result: ReplayResult) -> None:
    assert result.first_divergence is None
    assert result.agrees
    assert result.peak_allocated_bytes == result.logged_peak_allocated_bytes
    assert result.peak_reserved_bytes == result.logged_peak_reserved_bytes


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name.removesuffix(".json.gz"))
def test_a_log_of_torchs_own_allocator_agrees_byte_for_byte(path: Path) -> None:
    assert_agrees(replay(read_history(path)))


@pytest.mark.parametrize("worked", [ORDINARY_LOG, EXPANDABLE_LOG], ids=["ordinary", "expandable"])
def test_a_log_worked_out_by_hand_agrees_byte_for_byte(worked: dict[str, Any]) -> None:
    assert_agrees(replay(parse_history(worked, "worked out")))


@pytest.mark.parametrize(
    ("name", "action", "least"),
    [
        pytest.param("image", "segment_alloc", 10, id="an image makes segments"),
        pytest.param("video", "segment_alloc", 10, id="a video makes segments"),
        pytest.param("expandable", "segment_map", 10, id="expandable segments are mapped"),
        pytest.param("retries", "segment_free", 2, id="running out of memory gives segments back"),
    ],
)
def test_the_logs_hold_what_they_are_there_for(name: str, action: str, least: int) -> None:
    history = read_history(ROOT / "tests" / "data" / f"history-{name}.json.gz")
    assert sum(event.action == action for event in history.events) >= least
    assert history.torch
    assert "imaginary" in history.gpu


def test_ties_broken_by_address_alone_would_not_agree_after_segments_were_given_back() -> None:
    history = read_history(ROOT / "tests" / "data" / "history-retries.json.gz")
    assert not replay(dataclasses.replace(history, torch="2.12.0")).agrees


def test_the_samples_follow_the_running_total_worked_out_by_hand() -> None:
    history = parse_history(ORDINARY_LOG, "worked out")
    allocated = [sample.allocated_bytes for sample in replay(history, sample_every=1).samples]
    by_hand = [1_024, 1_536, 1_050_624, 5_244_928, 27_245_056, 28_313_600, 27_264_512, 29_361_664, 25_167_360]
    by_hand += [30_410_752, 8_410_624, 8_412_160, 7_343_616, 17_829_376, 30_412_288]
    assert allocated == by_hand


@pytest.mark.parametrize(
    ("index", "what", "change"),
    [
        pytest.param(1, "address", lambda e: e[1].__setitem__(1, e[1][1] + 512), id="a block elsewhere"),
        pytest.param(1, "driver", lambda e: e[0].__setitem__(2, 4 * MIB), id="a segment of another size"),
        pytest.param(0, "driver", lambda e: e.__delitem__(0), id="a segment that the log lacks"),
        pytest.param(3, "driver", lambda e: e.insert(2, ["segment_alloc", ADDRESS + 64 * MIB, 2 * MIB]), id="one more"),
        pytest.param(6, "driver", lambda e: e.append(["segment_alloc", ADDRESS, 2 * MIB]), id="one more at the end"),
        pytest.param(4, "active_bytes", lambda e: e[4].__setitem__(2, 1), id="other active bytes in a snapshot"),
        pytest.param(3, "driver", lambda e: e.insert(3, ["segment_free", ADDRESS, 2 * MIB]), id="a release too many"),
    ],
)
def test_the_first_divergence_is_shown(index: int, what: str, change: Callable[[list[list[object]]], None]) -> None:
    events: list[list[object]] = [
        ["segment_alloc", ADDRESS, 2 * MIB],
        ["alloc", ADDRESS, 1000],
        ["alloc", ADDRESS + 1024, 2000],
        ["alloc", ADDRESS + 3072, 1],
        ["snapshot", 0, 3584],
    ]
    assert played(events).agrees
    change(events)
    divergence = played(events).first_divergence
    assert divergence is not None
    assert (divergence.index, divergence.what) == (index, what)
    assert divergence.expected != divergence.got


def test_a_release_that_the_model_would_have_made_too_is_missed() -> None:
    events: list[list[object]] = []
    for address, size in ((ADDRESS, 30 * MIB), (ADDRESS + 64 * MIB, 40 * MIB)):
        events += [["segment_alloc", address, size], ["alloc", address, size]]
    for address, size in ((ADDRESS, 30 * MIB), (ADDRESS + 64 * MIB, 40 * MIB)):
        events += [["free_requested", address, size], ["free_completed", address, size]]
    released = [["segment_free", ADDRESS, 30 * MIB], ["segment_free", ADDRESS + 64 * MIB, 40 * MIB]]
    assert played(events + released).agrees
    for wrong in (released[:1], released[::-1]):
        divergence = played(events + wrong).first_divergence
        assert divergence is not None
        assert divergence.what == "driver"


@pytest.mark.parametrize("which", ["peak_allocated_bytes", "peak_reserved_bytes"])
def test_a_peak_that_differs_is_shown_at_the_end(which: str) -> None:
    events: list[list[object]] = [["segment_alloc", ADDRESS, 2 * MIB], ["alloc", ADDRESS, 1000]]
    peaks: dict[str, object] = {"peak_allocated_bytes": 1024, "peak_reserved_bytes": 2 * MIB}
    assert played(events, **peaks).agrees
    divergence = played(events, **{**peaks, which: 1}).first_divergence
    assert divergence is not None
    assert (divergence.index, divergence.what, divergence.expected) == (2, which, 1)


def test_actions_that_change_nothing_are_passed_over() -> None:
    events: list[list[object]] = [["oom", 5, 7], ["user_defined", 0, 0], ["snapshot", 0, 0]]
    assert played(events).agrees


REQUESTS = st.lists(st.tuples(st.booleans(), st.integers(1, 40 * MIB), st.integers(0, 99)), max_size=40)


@settings(max_examples=50, deadline=None)
@given(requests=REQUESTS, expandable=st.booleans())
def test_what_the_model_would_have_logged_agrees_with_itself(
    requests: list[tuple[bool, int, int]], expandable: bool
) -> None:
    allocator = CachingAllocator(expandable_segments=expandable)
    events: list[HistoryEvent] = []
    live: list[tuple[int, int]] = []
    logged = 0
    for take, size, pick in requests:
        if take or not live:
            live.append((allocator.malloc(size), size))
            entry = [HistoryEvent("alloc", *live[-1])]
        else:
            freed = live.pop(pick % len(live))
            allocator.free(freed[0])
            entry = [HistoryEvent("free_requested", *freed), HistoryEvent("free_completed", *freed)]
            if pick < 10:
                allocator.empty_cache()
                entry += [HistoryEvent(*event) for event in allocator.segment_events[logged:]]
                logged = len(allocator.segment_events)
        events += [HistoryEvent(*event) for event in allocator.segment_events[logged:]]
        logged = len(allocator.segment_events)
        events += entry
    history = History(
        name="the model",
        events=tuple(events),
        expandable_segments=expandable,
        peak_allocated_bytes=allocator.peak_allocated_bytes,
        peak_reserved_bytes=allocator.peak_reserved_bytes,
    )
    assert replay(history).first_divergence is None


@settings(max_examples=100, deadline=None)
@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(
                ["alloc", "free_requested", "free_completed", "segment_alloc", "segment_free", "segment_map"]
            ),
            st.integers(0, 8).map(lambda number: ADDRESS + number * MIB),
            st.sampled_from([0, 1, MIB, 2 * MIB, 20 * MIB]),
        ).map(list),
        max_size=30,
    )
)
def test_nonsense_is_replayed_or_refused_but_never_crashes(events: list[list[object]]) -> None:
    try:
        result = played(events)  # a log like this was forged, or cut in the middle
    except HistoryError as error:
        assert "a log: entry" in str(error)
    else:
        assert result.agrees or result.divergences


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"not gzip", "cannot be read as gzip", id="not gzip"),
        pytest.param(gzip.compress(b"{" * 100)[:-9], "cannot be read as gzip", id="cut short"),
        pytest.param(gzip.compress(b"{,"), "is not JSON", id="not JSON"),
        pytest.param(gzip.compress(b"[" * 100_000), "is not JSON", id="nested without end"),
        pytest.param(gzip.compress(b"[]"), "has no list named events", id="not an object"),
        pytest.param(gzip.compress(b"{}"), "has no list named events", id="no events"),
    ],
)
def test_a_file_that_is_no_log_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "history-broken.json.gz"
    path.write_bytes(content)
    with pytest.raises(HistoryError, match=says) as caught:
        read_history(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlannerError, match="nothing-here"):
        read_history(tmp_path / "nothing-here.json.gz")


@pytest.mark.parametrize(
    ("events", "says"),
    [
        pytest.param([["alloc", 512]], "entry 0 is not", id="two values"),
        pytest.param([{"action": "alloc"}], "entry 0 is not", id="an object"),
        pytest.param(
            [["snapshot", 0, 0], ["steal", 1, 1]], "entry 1 has the unknown action 'steal'", id="unknown action"
        ),
        pytest.param([[["alloc"], 1, 1]], "unknown action", id="an action that is a list"),
        pytest.param([["alloc", "0x7f", 1]], "entry 0 .alloc. has an address or size", id="an address as text"),
        pytest.param([["alloc", 512, -1]], "entry 0 .alloc. has an address or size", id="a negative size"),
        pytest.param([["alloc", 512, True]], "entry 0 .alloc. has an address or size", id="a truth value"),
        pytest.param([["alloc", 512, 1.5]], "entry 0 .alloc. has an address or size", id="half a byte"),
        pytest.param(
            [["free_requested", 512, 1]], "entry 0 .free_requested.: .* 0x200 was not allocated", id="unknown"
        ),
        pytest.param([["alloc", 512, 1]] * 2, "entry 1 .alloc.: .* is allocated already", id="allocated twice"),
        pytest.param([["alloc", 512, 0]], "0 bytes", id="nothing allocated"),
        pytest.param(
            [["alloc", 512, 1], ["free_requested", 512, 1], ["free_requested", 512, 1]],
            "entry 2 .free_requested.: .* was freed already",
            id="freed twice",
        ),
        pytest.param(
            [["alloc", 512, 1], ["free_completed", 512, 1]], "entry 1 .* was not asked to be freed", id="half freed"
        ),
    ],
)
def test_a_bad_entry_is_named(events: list[list[object]], says: str) -> None:
    with pytest.raises(HistoryError, match=says):
        played(events)


@pytest.mark.parametrize(
    "unmodelled",
    [
        {"max_split_size": 20 * MIB},
        {"garbage_collection_threshold": 0.8},
        {"roundup_power2_divisions": {"1": 4}},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_settings_that_the_model_does_not_follow_are_refused(unmodelled: dict[str, object]) -> None:
    with pytest.raises(HistoryError, match=next(iter(unmodelled))):
        played([], allocator_settings=unmodelled)


def test_default_settings_as_torch_writes_them_are_accepted() -> None:
    divisions = {str(1 << power): 0 for power in range(16)}
    settings_of_torch = {"PYTORCH_CUDA_ALLOC_CONF": "", "max_split_size": -1, "garbage_collection_threshold": 0.0}
    assert played([], allocator_settings={**settings_of_torch, "roundup_power2_divisions": divisions}).agrees


@pytest.mark.parametrize("value", [-1, "12", 1.5], ids=repr)
def test_a_peak_that_is_no_number_of_bytes_is_refused(value: object) -> None:
    with pytest.raises(HistoryError, match="peak_allocated_bytes"):
        played([], peak_allocated_bytes=value)


def test_a_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "log.json.gz"
    with gzip.open(path, "wt") as file:
        json.dump(
            log([["segment_map", ADDRESS, 2 * MIB]], torch="2.12.0", gpu="H100", configuration={"task": "image"}), file
        )
    history = read_history(path)
    assert (history.torch, history.gpu, history.configuration) == ("2.12.0", "H100", {"task": "image"})
    assert history.expandable_segments
    assert history.events == (HistoryEvent("segment_map", ADDRESS, 2 * MIB),)
