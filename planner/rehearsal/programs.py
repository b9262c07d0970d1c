"""Run a program of anybody's on a stage of imaginary GPUs, and gather what its processes noted.

The stage counts what the driver gives out; torch's own peaks come from inside each Python process
(inside/sitecustomize.py). What a process cannot say, because it is no Python, ignores PYTHONPATH or was killed, is
missing from its notes and never guessed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from planner.errors import EnvironmentFailure
from planner.rehearsal.stage import Stage, Use

INSIDE = Path(__file__).resolve().parent / "inside"
"""Where sitecustomize.py is, and nothing else that a program could import."""
REPORTS = "SAM2_PLAN_REHEARSAL_REPORTS"
GRACE_SECONDS = 5.0
"""For a program to end by itself once it was asked to."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a program."""

    file: str
    line: int
    function: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Where in a program something happened to its memory."""

    requested_bytes: int
    """The bytes of the request that did it."""
    places: tuple[Place, ...]
    """Innermost call first, torch's own left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What a Python process noted of torch on one device."""

    pid: int
    device: int
    """The number of the device, as the process counts them."""
    torch: str
    cuda: str | None
    allocated_bytes: int
    """torch.cuda.max_memory_allocated, whatever the program reset in between."""
    reserved_bytes: int
    """torch.cuda.max_memory_reserved, likewise."""
    retries: int
    """How often the allocator gave its cache back before it got what it asked for."""
    out_of_memory: int
    """How often it did not get it."""
    peak: Moment | None
    """Where the most was requested; None where torch's history does not reach back to it."""
    ran_out: Moment | None
    """Where memory ran out the last time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """A program that was run on a stage."""

    exit_status: int
    """As a shell says it: of a program ended by signal N, 128 + N."""
    use: Use
    notes: tuple[Notes, ...]

    @property
    def used_gpu(self) -> bool:
        """Whether any process of it made a context on an imaginary GPU."""
        return bool(self.use.processes)


def perform(
    words: Sequence[str],
    stage: Stage,
    *,
    environment: Mapping[str, str] | None = None,
    output: IO[Any] | int | None = None,
    errors: IO[Any] | int | None = None,
) -> Performance:
    """Run the program `words` on `stage` until it ends, its standard output going to `output`.

    Raises EnvironmentFailure where it cannot be started, naming it; KeyboardInterrupt goes on to the caller once the
    program and its children are gone.
    """
    with tempfile.TemporaryDirectory(prefix="sam2-plan-rehearsal-") as reports:
        surroundings = stage.environment(environment)
        surroundings[REPORTS] = reports
        before = surroundings.get("PYTHONPATH")
        surroundings["PYTHONPATH"] = os.pathsep.join([str(INSIDE), *([before] if before else [])])
        try:
            program = subprocess.Popen(list(words), env=surroundings, stdout=output, stderr=errors)
        except OSError as error:
            raise EnvironmentFailure(
                f"{words[0]} cannot be started: {error.strerror or error}.",
                "Give a program after --, with its path if it is not on PATH.",
            ) from None
        try:
            status = program.wait()
        except BaseException:
            _end(program)
            raise
        finally:
            _end_rest(stage)
        return Performance(
            exit_status=status if status >= 0 else 128 - status,
            use=stage.use(),
            notes=tuple(note for path in sorted(Path(reports).glob("*.json")) for note in _notes(path)),
        )


def _end(program: subprocess.Popen[Any]) -> None:
    """The terminal's Ctrl-C reached the program too: give it time to end by itself, then insist."""
    insist: Callable[[], None]
    for insist in (_nothing, program.terminate, program.kill):
        insist()
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            program.wait(GRACE_SECONDS)
            return


def _nothing() -> None:
    """Before anything else is tried."""


def _end_rest(stage: Stage) -> None:
    """End what the program left running on the stage: nothing of it may outlive its imaginary GPU."""
    for process in stage.use().processes:
        if process.alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)


def _notes(path: Path) -> list[Notes]:
    """What one process noted. A file that is none, as of a program that writes there itself, says nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        ran_out = found["ran_out"]
        return [
            Notes(
                pid=found["pid"],
                device=one["device"],
                torch=found["torch"],
                cuda=found["cuda"],
                allocated_bytes=one["allocated_bytes"],
                reserved_bytes=one["reserved_bytes"],
                retries=one["retries"],
                out_of_memory=one["out_of_memory"],
                peak=_moment(one["peak"]),
                ran_out=_moment(ran_out) if ran_out and ran_out["device"] == one["device"] else None,
            )
            for one in found["devices"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _moment(found: Mapping[str, Any] | None) -> Moment | None:
    if found is None:
        return None
    places = tuple(Place(one["file"], one["line"], one["function"]) for one in found["frames"])
    return Moment(requested_bytes=found["requested_bytes"], places=places)
