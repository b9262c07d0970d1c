"""Whose turn it is to compute, where several threads share a device: one at a time, the others wait.

A step of one thread between two of another's changes no result: what a clip remembers is its own. But two at once would
take the memory of two, and which attention kernels are allowed is said for the whole process, not for a thread.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from types import TracebackType

import torch

_DEVICES: dict[str, threading.RLock] = {}
_ALL = threading.RLock()


class Turn:
    """A lock that its thread may take again; a context manager.

    `alone`: nothing computes on any other device meanwhile, because the kernel is said for the whole process.
    """

    def __init__(self, device: torch.device, *, alone: bool = False) -> None:
        with _ALL:
            self._own = _DEVICES.setdefault(str(device), threading.RLock())
        self._alone = alone
        self._held: list[ExitStack] = []

    def __enter__(self) -> Turn:
        stack = ExitStack()
        if self._alone:
            stack.enter_context(_ALL)  # no device is added while it is held, so that these are all
            for lock in _DEVICES.values():
                stack.enter_context(lock)
        else:
            stack.enter_context(self._own)
        self._held.append(stack)  # only whoever has the turn gets here
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.pop().close()
