"""Thousands of trials on imaginary GPUs: one process that has imported all, a fork of it for each."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

from planner.errors import EnvironmentFailure
from planner.measure.trial import FAILED, Outcome, Trial
from planner.rehearsal.machine import ImaginaryGpu, imaginary_gpu
from planner.rehearsal.stage import Stage
from planner.text.files import append, open_journal

COMMAND = [sys.executable, "-m", "planner.measure.forked"]
Item = TypeVar("Item")
Found = TypeVar("Found")


class Forks:
    """A context manager; `run` takes a trial and its GPU, and is for one thread at a time."""

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Forks:
        self._stage = Stage([imaginary_gpu()]).__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()
        if self._stage is not None:
            self._stage.__exit__(kind, error, traceback)

    def run(self, trial: Trial, gpu: ImaginaryGpu) -> Outcome:
        """What came of it. Raises EnvironmentFailure where the process that forks cannot be started."""
        assert self._stage is not None
        self._stage.set_again([gpu])
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(trial.to_dict()) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        if line:
            return Outcome.from_dict(json.loads(line))
        self._end()
        return Outcome(outcome=FAILED, error="The process that forks ended.")

    def _start(self) -> subprocess.Popen[str]:
        assert self._stage is not None
        environment = self._stage.environment() | {"OMP_NUM_THREADS": "1"}
        try:
            self._process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                env=environment,
            )  # fmt: skip
        except OSError as error:
            raise EnvironmentFailure(f"{sys.executable} cannot be started: {error}.") from error
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None


def kept(
    journal: Path, items: Iterable[Item], find: Callable[[Forks, Item], dict[str, Any]], jobs: int
) -> Iterator[dict[str, Any]]:
    """The rows that `find` makes of items, as soon as each is in the journal; the journal lacks them so far."""
    with open_journal(journal) as file:
        for row in side_by_side(items, find, jobs):
            append(file, row)
            yield row


def side_by_side(items: Iterable[Item], find: Callable[[Forks, Item], Found], jobs: int) -> Iterator[Found]:
    """What `find` makes of each item, as soon as it is found, in `jobs` threads with forks of their own.

    Raises what `find` raises. Whoever stops asking need not wait: the threads end with the program.
    """
    waiting: SimpleQueue[Item] = SimpleQueue()
    for item in items:
        waiting.put(item)
    count = waiting.qsize()
    done: SimpleQueue[Found | BaseException] = SimpleQueue()

    def work() -> None:
        try:
            with Forks() as forks:
                while True:
                    done.put(find(forks, waiting.get_nowait()))
        except Empty:
            pass
        except BaseException as error:  # raised where it is asked for
            done.put(error)

    for _ in range(min(jobs, count)):
        threading.Thread(target=work, daemon=True).start()
    for _ in range(count):
        found = done.get()
        if isinstance(found, BaseException):
            raise found
        yield found
