"""Work done in a thread, one piece after another, while the caller goes on: a frame is written, the next tracked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

DEPTH = 2
"""Pieces that may wait: enough to even out a slow one; each holds a frame and its masks."""


class Behind:
    """A thread that does one piece of work after another; leaving the block waits for all of them.

    What a piece raises comes out of the caller's next `do` or `wait`, or of the block, and what comes after that
    piece is not done. Where the block is left by an error, waiting pieces are dropped and only the one at hand ends.
    """

    def __init__(self, depth: int = DEPTH) -> None:
        self._depth = depth
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def __enter__(self) -> Behind:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sam2-plan-write")
        return self

    def do(self, work: Callable[..., None], *arguments: Any) -> None:
        """Hand over a piece of work; waits while too many wait already."""
        while len(self._waiting) >= self._depth:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._attempt, work, arguments))

    def wait(self) -> None:
        """Wait until all that was handed over is done."""
        while self._waiting:
            self._waiting.popleft().result()

    def _attempt(self, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if self._failed:
            return
        try:
            work(*arguments)
        except BaseException:
            self._failed = True
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._failed = True
            self._waiting.clear()
            self._end()

    def _end(self) -> None:
        """Wait for the piece at hand, whatever comes: what it works on is closed next."""
        interrupted = False
        while True:
            try:
                self._thread.shutdown(wait=True, cancel_futures=True)
                break
            except KeyboardInterrupt:
                interrupted = True
        if interrupted:
            raise KeyboardInterrupt
