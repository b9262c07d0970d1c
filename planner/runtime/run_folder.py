"""The folder of a run: made, held by one process at a time, and only ever filled by one run."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from planner.errors import EnvironmentFailure, FileError, UsageError
from planner.outputs.layout import Layout
from planner.runtime.run_identity import require_same
from planner.runtime.run_record import Record, read_record

OTHERWISE = "Give another folder, or --overwrite to delete that run and start again."


@contextmanager
def held_folder(folder: Path) -> Iterator[Layout]:
    """A run's folder, made if its parent is there, and locked against a second run until the block ends.

    A missing parent is not made: it is a misspelt path or a disk that is not mounted more often than a wish. Raises
    UsageError for a place that cannot be a folder or is in use, EnvironmentFailure for one that is not writable.
    """
    try:
        folder.mkdir(exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except FileExistsError:
        raise UsageError(f"{folder} is a file, not a folder.", "Give a folder for --out; it is made.") from None
    except FileNotFoundError:
        hint = f"Make it (mkdir -p {folder.parent}) if the path is right; only the last folder is made."
        raise UsageError(f"{folder} cannot be made: there is no {folder.parent}.", hint) from None
    except NotADirectoryError:
        raise UsageError(f"{folder} cannot be made: {folder.parent} is a file.", "Give another --out.") from None
    except ValueError as error:
        raise UsageError(f"{str(folder)!r} is not a path ({error}).", "Give another --out.") from None
    except OSError as error:
        raise EnvironmentFailure(f"{folder} cannot be written: {error.strerror}.", "Give a writable --out.") from None
    with _locked(folder):
        yield Layout(folder=folder)


def claim(layout: Layout, identity: Mapping[str, Any], rereadable: bool, overwrite: bool) -> Record:
    """The record to go on from: of the same run, interrupted or finished, or a new one that has been written.

    Raises UsageError where the folder holds another run, or one that cannot go on, unless `overwrite`, which deletes
    that run's files and nothing else.
    """
    try:
        if overwrite:
            layout.clear()
        elif layout.record.exists():
            return _found(layout, identity, rereadable)
        elif present := layout.present():
            names = ", ".join(path.name for path in present)
            raise UsageError(f"{layout.folder} already holds {names}, and no record of a run (run.json).", OTHERWISE)
        record = Record(identity=identity)
        record.write(layout.record)
        return record
    except OSError as error:
        raise EnvironmentFailure(f"{layout.folder}: {error.strerror or error}.", "Give another --out.") from None


def _found(layout: Layout, identity: Mapping[str, Any], rereadable: bool) -> Record:
    record = read_record(layout.record)
    require_same(record.identity, identity, layout.folder)
    if record.status == "stopped" or (record.status == "running" and record.frames and not rereadable):
        raise UsageError(
            f"The run in {layout.folder} ended at frame {record.last_frame} and cannot go on: its input passes by "
            "only once.",
            OTHERWISE,
        )
    layout.clear_partial()
    if record.status == "finished":
        layout.clear_parts()
    needed = [layout.answer(save, record.identity["task"]) for save in identity["save"]]
    if record.status == "running":
        needed = []
        if record.parts and not record.ended:
            needed = [layout.state(record.parts)]
    for path in needed:
        if not path.exists():
            raise FileError(f"{path} is gone, which run.json says was written.", OTHERWISE)
    return record


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder locked, where the system can; the lock goes when the process does, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # Others: a file system without locks.
            if isinstance(error, BlockingIOError):
                raise UsageError(
                    f"Another run is writing to {folder}.", "Wait until it is done, or give another --out."
                ) from None
        yield
    finally:
        os.close(descriptor)
