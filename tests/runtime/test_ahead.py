"""Items made ahead: in order, few at once, and no thread left behind."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from planner.errors import UsageError
from planner.sources.ahead import Ahead, in_order


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert wait_for(lambda: not threads()), threads()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "sam2-plan-ahead"]


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def test_items_come_in_order_and_the_thread_ends_with_them() -> None:
    ahead = Ahead(range(100))
    assert list(ahead) == list(range(100))
    assert not threads()
    assert list(ahead) == []


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_at_most_depth_items_are_made_ahead(depth: int) -> None:
    made = []

    def make() -> Iterator[int]:
        for item in range(50):
            made.append(item)
            yield item

    with Ahead(make(), depth=depth) as ahead:
        assert wait_for(lambda: len(made) == depth)
        time.sleep(0.05)
        assert len(made) == depth
        for taken in range(1, 20):
            next(ahead)
            assert len(made) <= taken + depth


def test_an_error_comes_after_the_items_before_it() -> None:
    def make() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("three")

    ahead = Ahead(make(), depth=5)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(KeyError, match="three"):
        next(ahead)
    assert list(ahead) == []
    assert not threads()


def test_closing_stops_a_producer_that_waits_for_room_and_closes_the_generator() -> None:
    closed = []

    def make() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.current_thread().name)

    ahead = Ahead(make())
    next(ahead)
    start = time.monotonic()
    ahead.close()
    assert time.monotonic() - start < 1
    assert closed == ["sam2-plan-ahead"] and not threads()
    ahead.close()
    assert list(ahead) == []


def test_closing_at_once_and_without_a_single_item() -> None:
    for _ in range(50):
        Ahead(iter(range(10))).close()
    assert list(Ahead([])) == []


def test_leaving_the_block_by_an_error_stops_the_thread() -> None:
    with pytest.raises(KeyboardInterrupt), Ahead(iter(int, 1)) as ahead:
        next(ahead)
        raise KeyboardInterrupt
    assert not threads()


def test_one_that_is_forgotten_stops_its_thread() -> None:
    ahead = Ahead(iter(int, 1))
    next(ahead)
    del ahead
    gc.collect()
    assert wait_for(lambda: not threads())


def test_a_consumer_that_closes_while_another_waits_lets_it_go() -> None:
    gate = threading.Event()

    def make() -> Iterator[int]:
        gate.wait(10)
        yield 1

    ahead = Ahead(make())
    got: list[list[int]] = []
    waiting = threading.Thread(target=lambda: got.append(list(ahead)))
    waiting.start()
    threading.Timer(0.1, gate.set).start()
    ahead.close()
    waiting.join(5)
    assert got == [[]]


@pytest.mark.parametrize("depth", [0, -1, True, 1.5, None])
def test_a_depth_below_one_is_refused(depth: object) -> None:
    with pytest.raises(UsageError, match="kept ready"):
        Ahead([], depth=depth)  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_while_waiting_for_an_item_ends_the_program() -> None:
    program = """
import os, signal, threading, time
from planner.sources.ahead import Ahead, in_order
def make():
    yield 1
    time.sleep(1)
    yield 2
with Ahead(make()) as ahead:
    next(ahead)
    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    next(ahead)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert "KeyboardInterrupt" in ended.stderr and ended.returncode != 0


def test_the_program_ends_with_one_still_open() -> None:
    program = """
from planner.sources.ahead import Ahead, in_order
ahead = Ahead(iter(int, 1))
next(ahead)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, "")


# -- worked out by several threads ------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 20])
def test_what_several_threads_work_out_comes_in_order(threads: int, count: int) -> None:
    def slow_at_first(number: int) -> int:
        time.sleep(0.01 if number % 3 == 0 else 0)
        return number * number

    assert list(in_order(slow_at_first, range(count), threads)) == [number * number for number in range(count)]


def test_several_are_worked_out_at_once_and_no_more_are_looked_at_than_asked_for() -> None:
    both, looked = threading.Barrier(2, timeout=5), []

    def items() -> Iterator[int]:
        for number in range(6):
            looked.append(number)
            yield number

    def together(number: int) -> int:
        both.wait()  # nobody passes alone
        return number

    found = in_order(together, items(), 2)
    assert next(found) == 0
    assert looked == [0, 1, 2]
    assert list(found) == [1, 2, 3, 4, 5]


def test_an_error_comes_where_its_item_would_have() -> None:
    found = in_order(lambda number: 10 // (3 - number), range(6), 2)
    assert [next(found) for _ in range(3)] == [3, 5, 10]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_whoever_stops_early_leaves_no_thread() -> None:
    found = in_order(lambda number: number, range(1000), 2)
    next(found)
    found.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sam2-plan-in-order")]
