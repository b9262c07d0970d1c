"""A run's folder on a worker, and its copy at an address: brought here to be resumed, sent there part by part.

What a run has written is complete when its record says so. So files go first and the record follows them, and what the
record no longer needs goes last: whoever dies on the way leaves what a killed run leaves in a folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from planner.fleet.places import Place
from planner.outputs.layout import Layout

EVERY_SECONDS = 30.0
"""Parts that are complete are sent so often: what a lost worker costs, beside the part it was at."""

State = tuple[int, int]


class Mirror:
    """One folder and its place."""

    def __init__(self, folder: Path, place: Place, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._place, self._clock = folder, place, clock
        self._record = Layout(folder=folder).record.name
        self._sent: dict[str, State] = {}
        self._next = 0.0

    def bring(self) -> None:
        """What is there, here."""
        for name in self._place.below():
            path = self._folder / name
            (self._place / name).read(path)
            self._sent[name] = _state(path)

    def begin(self) -> None:
        """Send a record that is new: what lies there is an earlier run's, and goes before."""
        self._forget(self._names())
        self._send(self._record)
        self._next = self._clock() + EVERY_SECONDS

    def commit(self) -> None:
        """Send what is complete, unless that was done a moment ago."""
        if self._clock() >= self._next:
            self.send()

    def send(self) -> None:
        """Send what is new, then the record, then take away what is gone."""
        names = self._names()
        for name in sorted(names - {self._record}):
            self._send(name)
        if self._record in names:
            self._send(self._record)
        self._forget(names)
        self._next = self._clock() + EVERY_SECONDS

    def _send(self, name: str) -> None:
        state = _state(self._folder / name)
        if self._sent.get(name) != state:
            (self._place / name).write(self._folder / name)
            self._sent[name] = state

    def _forget(self, kept: set[str]) -> None:
        for name in sorted(set(self._sent) - kept):
            (self._place / name).delete()
            del self._sent[name]

    def _names(self) -> set[str]:
        """Files, relative to the folder. None is half written: whoever fails takes such a one away."""
        return {path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file()}


def _state(path: Path) -> State:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
