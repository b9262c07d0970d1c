"""A sweep: trials one after another, each row on disk before the next begins, resumable after any kill."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from planner.errors import EnvironmentFailure, Interrupted
from planner.measure.record import measurement
from planner.measure.trial import FAILED, LOST, Outcome, Trial
from planner.nouns.measurement import Measurement
from planner.nouns.words import SweepKind
from planner.profiles import profile_text
from planner.text.files import append, lock, open_journal, read_journal, write

Runner = Callable[[Trial], Outcome]
Stopping = Callable[[], bool]
TITLES: dict[SweepKind, str] = {
    "measured": "Measured with sam2-plan measure",
    "rehearsed": "Rehearsed on an imaginary GPU with sam2-plan measure --rehearse",
    "simulated": "Simulated with sam2-plan measure --simulate",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sweep is."""

    done: int
    total: int
    seconds_left: float | None
    """By the mean of this sweep's trials; None before the first."""
    trial: Trial
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep left."""

    measurements: tuple[Measurement, ...]
    """All rows of the journal that this sweep asked for, old and new."""
    ran: int
    """How many were run now."""
    profiles: tuple[Path, ...]
    """Written."""


def sweep(
    trials: Sequence[Trial],
    folder: Path,
    run: Runner,
    kind: SweepKind,
    progress: Callable[[Progress], None] | None = None,
    stopping: Stopping = lambda: False,
    versions: Mapping[str, str] | None = None,
) -> Swept:
    """Run what the journal in `folder` lacks, then write the profiles. `kind`: measured, rehearsed or simulated.

    `versions` of packages that are installed: rows that were made with others are made again, in their place.
    Raises Interrupted where `stopping` says so or the GPU is lost, with what is kept, and EnvironmentFailure where
    another sweep holds the folder or it cannot be written.
    """
    journal = folder / f"{kind}.jsonl"
    with _held(folder, kind):
        rows = read_journal(journal)
        wanted = {trial.id for trial in trials}
        todo = [trial for trial in trials if not _done(rows.get(trial.id), versions or {})]
        why = None
        began = time.monotonic()
        ran = 0
        with open_journal(journal) as file:
            try:
                for trial in todo:
                    if stopping():
                        why = "was interrupted"
                        break
                    outcome = _possible(run(trial))
                    if outcome.outcome == LOST:
                        why = f"lost the GPU: {outcome.error}"
                        break
                    rows[trial.id] = _row(trial, outcome)
                    append(file, rows[trial.id])
                    ran += 1
                    if progress:
                        left = (time.monotonic() - began) / ran * (len(todo) - ran)
                        progress(Progress(len(trials) - len(todo) + ran, len(trials), left, trial, outcome))
            except KeyboardInterrupt:
                why = "was interrupted"
        profiles = write_profiles(rows.values(), folder, kind)
    if why:
        kept = len(wanted & set(rows))
        hint = f"{kept} of {len(trials)} rows are kept in {folder}; the same command goes on with the rest."
        raise Interrupted(f"The sweep {why}.", hint)
    found = [_measurement(row, kind) for name, row in rows.items() if name in wanted]
    return Swept(tuple(found), ran, tuple(profiles))


def keep(found: Sequence[tuple[Trial, Outcome]], folder: Path, kind: SweepKind = "measured") -> list[Path]:
    """Add runs to the journal, and write the profiles of their GPUs.

    A newer run of the same trial takes the older's place. Raises EnvironmentFailure as `sweep` does.
    """
    journal = folder / f"{kind}.jsonl"
    with _held(folder, kind):
        with open_journal(journal) as file:
            for trial, outcome in found:
                append(file, _row(trial, outcome))
        touched = {f"{kind}-{_slug(outcome.gpu)}.yaml" for _, outcome in found}
        return [path for path in write_profiles(read_journal(journal).values(), folder, kind) if path.name in touched]


def _done(row: Mapping[str, Any] | None, versions: Mapping[str, str]) -> bool:
    """Whether a row stands, made with what is installed. A version that it does not name is not held against it."""
    if row is None:
        return False
    made_with = row["outcome"]["versions"]
    return all(made_with.get(name) in (None, version) for name, version in versions.items())


def _possible(outcome: Outcome) -> Outcome:
    """The outcome, or a failure that names the figures where they cannot be true."""
    sizes = (outcome.allocated_bytes, outcome.reserved_bytes, outcome.total_bytes)
    known = [size for size in sizes if size is not None]
    if known == sorted(known) and all(size >= 0 for size in known):
        return outcome
    text = "allocated {}, reserved {}, of a GPU of {} bytes: that cannot be".format(*sizes)
    return Outcome(outcome=FAILED, gpu=outcome.gpu, versions=outcome.versions, error=text)


def _row(trial: Trial, outcome: Outcome) -> dict[str, Any]:
    return {"id": trial.id, "trial": trial.to_dict(), "outcome": asdict(outcome)}


def write_profiles(rows: Any, folder: Path, kind: SweepKind) -> list[Path]:
    """A profile for each GPU of the rows, from all of them. Rows of a CPU, which nothing counts, are left out."""
    by_gpu: dict[str, list[Measurement]] = {}
    for row in rows:
        found = _measurement(row, kind)
        if found.figures or found.outcome != "ran":
            by_gpu.setdefault(_slug(row["outcome"]["gpu"]), []).append(found)
    written = []
    for slug, measurements in sorted(by_gpu.items()):
        path = folder / f"{kind}-{slug}.yaml"
        write(path, profile_text(measurements, TITLES[kind]))
        written.append(path)
    return written


def _measurement(row: dict[str, Any], kind: SweepKind) -> Measurement:
    trial, outcome = Trial.from_dict(row["trial"]), Outcome.from_dict(row["outcome"])
    return measurement(trial, outcome, kind, f"{kind}-{_slug(outcome.gpu)}")


def _slug(gpu: str | None) -> str:
    return re.sub(r"[^a-z0-9]+", "-", (gpu or "unknown").lower()).strip("-")


@contextlib.contextmanager
def _held(folder: Path, kind: SweepKind) -> Iterator[None]:
    """Make a folder and hold its lock file; a killed process lets go. Raises EnvironmentFailure naming who has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFailure(f"{folder} cannot be made: {error.strerror}.", "Give another --out.") from None
    with (folder / f"{kind}.lock").open("a+", encoding="utf-8") as file:
        try:
            lock(file)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise EnvironmentFailure(
                f"Another sweep (process {holder}) writes to {folder}.", "Wait for it, or give another --out."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
