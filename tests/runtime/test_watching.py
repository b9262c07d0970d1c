"""Memory that is watched while a run goes on: the series stays small, and a warning comes before an error."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("av", reason="overlay videos need PyAV")
pytest.importorskip("pycocotools", reason="COCO documents need pycocotools")

from planner.nouns.watched import MemorySample
from planner.runs.record import read_record
from planner.runs.run import perform
from planner.runs.watching import INTERVAL_SECONDS, MOST_SAMPLES, MemoryWatch, joined
from planner.wire.run import RUN
from tests.conftest import validate
from tests.runtime.fakes import FakeSession, job, video_plan


def sample(seconds: float, size: int = 10, process: int | None = None) -> MemorySample:
    return MemorySample(
        seconds=seconds, frames=int(seconds * 10), allocated_bytes=size, reserved_bytes=size, process_bytes=process
    )


@given(st.lists(st.tuples(st.floats(0.001, 40), st.integers(1, 10**9)), min_size=1, max_size=600))
def test_a_series_stays_small_and_in_order_and_loses_no_peak(steps: list[tuple[float, int]]) -> None:
    found: tuple[MemorySample, ...] = ()
    now, sizes = 0.0, []
    for apart, size in steps:
        now += apart
        sizes.append(size)
        found = joined(found, sample(now, size))
        assert len(found) <= MOST_SAMPLES
    assert max(one.reserved_bytes for one in found) == max(sizes)
    seconds = [one.seconds for one in found]
    assert seconds == sorted(set(seconds)) and seconds[-1] == now


def test_of_an_endless_run_the_samples_are_spread_over_all_of_it() -> None:
    found: tuple[MemorySample, ...] = ()
    for second in range(1, 100_000):
        found = joined(found, sample(float(second)))
    seconds = [one.seconds for one in found]
    assert len(found) > MOST_SAMPLES / 3
    assert max(after - before for before, after in pairwise(seconds)) < 100_000 / 25


def test_what_the_driver_did_not_say_once_is_not_lost() -> None:
    one, other = joined((sample(0.1, process=5),), sample(0.2)), joined((sample(0.1),), sample(0.2))
    assert [entry.process_bytes for entry in (*one, *other)] == [5, None]


class Memory:
    """A session whose memory a test sets."""

    def __init__(self) -> None:
        self.reserved, self.process, self.looked = 0, None, 0

    def memory(self) -> Any:
        self.looked += 1
        return SimpleNamespace(
            allocated_bytes=self.reserved, reserved_bytes=self.reserved,
            peak_allocated_bytes=self.reserved, peak_reserved_bytes=self.reserved,
        )  # fmt: skip

    def process_bytes(self) -> int | None:
        return self.process


def warned(watch: MemoryWatch, session: Memory, reserved: int, process: int | None = None) -> str | None:
    session.reserved, session.process = reserved, process
    return watch.look(session, video_plan())[1]  # type: ignore[arg-type]


@pytest.fixture
def watch() -> MemoryWatch:
    ticks = iter(range(1000))
    return MemoryWatch(lambda: float(next(ticks)), {})


def test_a_warning_comes_once_when_the_bound_is_passed_and_once_when_the_budget_is_nearly_full(
    watch: MemoryWatch,
) -> None:
    plan, session = video_plan(), Memory()
    bound = plan.estimate.upper_bytes - plan.estimate.context_high_bytes
    assert warned(watch, session, plan.estimate.reserved_bytes) is None
    assert warned(watch, session, bound) is None
    text = warned(watch, session, bound + 10**6)
    assert text and "above the plan's bound" in text
    assert warned(watch, session, bound + 2 * 10**6) is None
    budget = plan.budget.total_bytes
    assert warned(watch, session, bound, int(budget * 0.94)) is None
    text = warned(watch, session, bound, int(budget * 0.96))
    assert text and "the plan's budget" in text and "4000 MB" in text
    assert warned(watch, session, bound, budget) is None
    assert len(watch.warnings) == 2


def test_where_the_driver_does_not_count_the_context_is_as_planned_and_a_cap_goes_before_the_budget() -> None:
    plan, session = video_plan(), Memory()
    cap = plan.estimate.total_bytes
    ticks = iter(range(1000))
    watch = MemoryWatch(lambda: float(next(ticks)), {"SAM2_PLAN_MEMORY_CAP": f"{cap // 1000 + 1}kB"})
    assert warned(watch, session, plan.estimate.reserved_bytes // 2) is None
    text = warned(watch, session, plan.estimate.reserved_bytes)
    assert text and "SAM2_PLAN_MEMORY_CAP" in text


def test_memory_is_looked_at_now_and_then_not_on_every_frame() -> None:
    now = [0.0]
    watch, session = MemoryWatch(lambda: now[0], {}), Memory()
    for _ in range(100):
        watch.look(session, video_plan())  # type: ignore[arg-type]
        now[0] += INTERVAL_SECONDS / 10
    assert 9 <= session.looked <= 11


def test_a_run_keeps_the_series_and_the_warning_and_a_resumed_one_goes_on_with_it(tmp_path: Path) -> None:
    plan = video_plan()
    reserved = plan.estimate.upper_bytes

    def load(chosen: Any) -> FakeSession:
        session = FakeSession(chosen.chosen.configuration)
        session.counted = SimpleNamespace(
            allocated_bytes=7, reserved_bytes=reserved, peak_allocated_bytes=8, peak_reserved_bytes=reserved
        )
        return session

    summary = perform(job(tmp_path / "out", load=load))
    assert {one.reserved_bytes for one in summary.memory.samples} == {reserved}
    assert summary.memory.samples[-1].frames == 25
    assert any("above the plan's bound" in text for text in summary.warnings)
    validate(RUN.write(summary))
    path = tmp_path / "out" / "run.json"
    record = read_record(path)
    assert record.samples == summary.memory.samples
    document = json.loads(path.read_text())
    del document["samples"]
    path.write_text(json.dumps(document))
    assert read_record(path).samples == (), "a run of an earlier release kept none"
