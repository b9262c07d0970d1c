"""Iterators whose items are made ahead of time by threads, at most a few at once.

Knows nothing of what the items are. Decoding the next frame overlaps with the computation on this one.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

from planner.errors import UsageError

Item = TypeVar("Item")
Asked = TypeVar("Asked")

PATIENCE_SECONDS = 10.0
"""How long close() waits for a producer that sits in a call of its own (a camera, a network); then it is left
behind. It is a daemon, so the program still ends."""
_GLANCE_SECONDS = 0.5
"""How often the consumer looks up: on Windows a wait without end cannot be interrupted by Ctrl-C."""


class Ahead(Generic[Item]):
    """Iterates over `iterable` in a thread that keeps at most `depth` items ready.

    An exception of the iterable is raised where the consumer would have met it: after the items before it. `close`
    stops early; leaving a `with` block, exhaustion and garbage collection do so too. Raises UsageError for a depth
    below 1.
    """

    def __init__(self, iterable: Iterable[Item], depth: int = 2) -> None:
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
            raise UsageError(f"{depth!r} items cannot be kept ready.", "Give a depth of 1 or more.")
        self._desk: _Desk[Item] = _Desk(depth)
        self._thread = threading.Thread(
            target=_produce, args=(self._desk, iter(iterable)), name="sam2-plan-ahead", daemon=True
        )
        # The thread holds the desk, not the iterator: one that is dropped unclosed can be collected, and stops it.
        self._finalizer = weakref.finalize(self, self._desk.close)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        try:
            return self._desk.take()
        except BaseException as error:
            if isinstance(error, StopIteration) or self._desk.over:
                self._end()
            raise

    @property
    def ready(self) -> bool:
        """Whether the next call answers at once: with an item, an exception or the end."""
        return self._desk.ready

    def __enter__(self) -> Ahead[Item]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the thread, close the iterable if it is a generator, and drop what was ready. May be repeated."""
        self._desk.close()
        self._end()

    def _end(self) -> None:
        self._finalizer.detach()
        if self._thread is not threading.current_thread():
            self._thread.join(PATIENCE_SECONDS)


def in_order(function: Callable[[Asked], Item], items: Iterable[Asked], threads: int) -> Iterator[Item]:
    """`function` of each item, in order, worked out by several threads, each at most one item ahead.

    An exception is raised where its item would have come. For items that are there: it looks `threads` items ahead.
    """
    pending: deque[Future[Item]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="sam2-plan-in-order") as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for one in pending:
                one.cancel()


class _Desk(Generic[Item]):
    """What producer and consumer share: items that are ready, and whether more will come."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._done = False
        self._error: BaseException | None = None

    @property
    def over(self) -> bool:
        """True once nothing will come any more."""
        return self._done and not self._items

    @property
    def ready(self) -> bool:
        """True if nobody would have to wait for an item."""
        return bool(self._items) or self._done or self._closed

    def wait_for_room(self) -> bool:
        """Wait until another item may be made; False when nobody wants one."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._depth)
            return not self._closed

    def put(self, item: Item) -> None:
        with self._changed:
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()

    def finish(self, error: BaseException | None) -> None:
        with self._changed:
            self._done, self._error = True, None if self._closed else error
            self._changed.notify_all()

    def take(self) -> Item:
        """The next item, or the producer's exception, or StopIteration."""
        with self._changed:
            while not (self._items or self._done or self._closed):
                self._changed.wait(_GLANCE_SECONDS)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._error = None
            self._changed.notify_all()


def _produce(desk: _Desk[Item], iterator: Iterator[Item]) -> None:
    """The thread's work. A generator is closed here, where it ran: its clean-up may belong to this thread."""
    error: BaseException | None = None
    try:
        try:
            while desk.wait_for_room():
                try:
                    item = next(iterator)
                except StopIteration:
                    break
                desk.put(item)
                del item
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
    except BaseException as raised:  # whatever it is, it belongs to the consumer
        error = raised
    desk.finish(error)
