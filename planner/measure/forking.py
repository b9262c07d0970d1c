"""Thousands of trials on imaginary GPUs: one process that has imported all, a fork of it for each."""

from __future__ import annotations

import json
import subprocess
import sys
from types import TracebackType

from planner.errors import EnvironmentFailure
from planner.measure.trial import FAILED, Outcome, Trial
from planner.rehearsal.machine import ImaginaryGpu, imaginary_gpu
from planner.rehearsal.stage import Stage


class Forks:
    """A context manager; `run` takes a trial and its GPU, and is for one thread at a time."""

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._process: subprocess.Popen[str] | None = None
        self._begin: list[str] = [sys.executable, "-m", "planner.measure.forked"]

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
                self._begin, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
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
