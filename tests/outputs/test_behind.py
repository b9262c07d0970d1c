"""Work behind the caller's back: in order, bounded, and its errors come out."""

from __future__ import annotations

import threading

import pytest

from planner.outputs.behind import Behind


def test_pieces_are_done_in_order_and_all_before_the_block_ends() -> None:
    done: list[int] = []
    with Behind(depth=2) as behind:
        for number in range(50):
            behind.do(done.append, number)
    assert done == list(range(50))


def test_a_slow_worker_holds_the_caller_back() -> None:
    gate, started = threading.Event(), []

    def piece(number: int) -> None:
        started.append(number)
        gate.wait(10)

    with Behind(depth=2) as behind:
        behind.do(piece, 0)
        behind.do(piece, 1)
        caller = threading.Thread(target=behind.do, args=(piece, 2))
        caller.start()
        caller.join(0.1)
        assert caller.is_alive(), "two wait already"
        gate.set()
        caller.join(10)
    assert started == [0, 1, 2]


def test_an_error_comes_out_and_nothing_after_it_is_done() -> None:
    done: list[int] = []

    def piece(number: int) -> None:
        if number == 3:
            raise ValueError("three")
        done.append(number)

    with pytest.raises(ValueError, match="three"), Behind(depth=2) as behind:
        for number in range(20):
            behind.do(piece, number)
    assert done == [0, 1, 2]


def test_the_last_error_comes_out_at_the_end() -> None:
    def piece() -> None:
        raise ValueError("last")

    with pytest.raises(ValueError, match="last"), Behind() as behind:
        behind.do(piece)
    with pytest.raises(ValueError, match="last"), Behind() as behind:
        behind.do(piece)
        behind.wait()


def test_an_error_of_the_caller_drops_what_waits() -> None:
    gate, done = threading.Event(), []

    def piece(number: int) -> None:
        gate.wait(10)
        done.append(number)

    with pytest.raises(KeyboardInterrupt), Behind(depth=5) as behind:
        for number in range(5):
            behind.do(piece, number)
        threading.Timer(0.1, gate.set).start()
        raise KeyboardInterrupt
    assert done in ([], [0])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sam2-plan-write")]
