"""The folder of a run: made, held by one process at a time, and only ever filled by one run."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from planner.errors import EnvironmentFailure, FileError, UsageError
from planner.nouns.words import Save
from planner.outputs.layout import Layout
from planner.runs.identity import require_same
from planner.runs.record import Record, read_record
from planner.text.files import lock

OTHERWISE = "Give another folder, or --overwrite to delete that run and start again."


class FolderHeld(EnvironmentFailure):
    """Another process is writing to the folder; it passes by itself."""


@contextmanager
def held_folder(folder: Path) -> Iterator[Layout]:
    """A run's folder, made if its parent is there, and locked against a second run until the block ends.

    Raises as make_folder, and FolderHeld where it is in use.
    """
    make_folder(folder)
    with _locked(folder):
        yield Layout(folder=folder)


def make_folder(folder: Path) -> None:
    """Make a folder for files, if its parent is there and it is not.

    A missing parent is not made: it is a misspelt path or a disk that is not mounted more often than a wish. Raises
    UsageError for a place that cannot be a folder, EnvironmentFailure for one that is not writable.
    """
    try:
        folder.mkdir(exist_ok=True)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
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


def claim(
    layout: Layout, identity: Mapping[str, Any], rereadable: bool, overwrite: bool
) -> tuple[Record, Callable[[], None]]:
    """The record to go on from, of the same run, interrupted or finished, or a new one; and what begins that.

    A new record is only written, and an overwritten run only deleted, when the second is called: once the weights are
    loaded, so that a misspelt checkpoint or device leaves the folder as it was.

    Raises UsageError where the folder holds another run, or one that cannot go on, unless `overwrite`, which deletes
    that run's files and nothing else; and where it holds files of such names that no run's record speaks of.
    """
    overwritten = False
    with _failing(layout):
        if layout.record.exists():
            record = read_record(layout.record)
            if not overwrite:
                return _found(layout, record, identity, rereadable), lambda: None
            overwritten = True
        elif present := layout.present():
            # They may be anything, the user's own frames for one: no option deletes them.
            names = ", ".join(path.name for path in present)
            raise UsageError(
                f"{layout.folder} already holds {names}, and no record of a run (run.json).",
                "Give another folder, or move them away.",
            )
    record = Record(identity=identity)

    def begin() -> None:
        with _failing(layout):
            if overwritten:
                layout.clear()
            record.write(layout.record)

    return record, begin


@contextmanager
def _failing(layout: Layout) -> Iterator[None]:
    """Errors of the disk as EnvironmentFailure."""
    try:
        yield
    except OSError as error:
        raise EnvironmentFailure(f"{layout.folder}: {error.strerror or error}.", "Give another --out.") from None


def require_apart(layout: Layout, source: Any) -> None:
    """Raise UsageError for a source that is among the files that a run in this folder writes or deletes."""
    if not isinstance(source, (str, os.PathLike)):
        return
    path = Path(source).resolve()
    for own in (layout.record, layout.png, layout.npz, layout.coco, layout.video, layout.picture, layout.parts):
        if own.resolve() in (path, *path.parents):
            raise UsageError(f"INPUT {source} is what a run in {layout.folder} writes.", "Give another --out.")


def _found(layout: Layout, record: Record, identity: Mapping[str, Any], rereadable: bool) -> Record:
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
    for path in _spoken_of(layout, record, identity["save"]):
        if not path.exists():
            raise FileError(f"{path} is gone, which run.json says was written.", OTHERWISE)
    for kind in {"png", "npz"} & set(identity["save"]):
        present = {path.name for path in (layout.folder / kind).glob("[0-9]*")}
        for index in _frames(record):
            if layout.frame(kind, index).name not in present:
                raise FileError(f"{layout.frame(kind, index)} is gone, which run.json says was written.", OTHERWISE)
    return record


def _frames(record: Record) -> range:
    """Indices of the frames of complete parts: they follow each other, forward or backward."""
    if record.last_frame is None:
        return range(0)
    if record.identity["reverse"]:
        return range(record.last_frame, record.last_frame + record.frames)
    return range(record.last_frame - record.frames + 1, record.last_frame + 1)


def _spoken_of(layout: Layout, record: Record, saves: Sequence[Save]) -> Iterator[Path]:
    """The files without which a run cannot go on, or is not finished; those of frames are counted instead."""
    if record.status == "finished":
        yield from (layout.answer(save, record.identity["task"]) for save in saves)
        return
    if record.parts and not record.ended:
        yield layout.state(record.parts)
    for part in range(record.parts):
        if "coco" in saves:
            yield layout.coco_part(part)
        if "overlay" in saves:
            yield layout.video_part(part)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder locked, where the system can; the lock goes when the process does, however it ends."""
    if os.name == "nt":  # which opens no folders
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            lock(descriptor)
        except BlockingIOError:
            # It passes by itself, so it is no mistake in the call: exit code 1, as of a sweep.
            raise FolderHeld(
                f"Another run is writing to {folder}.", "Wait until it is done, or give another --out."
            ) from None
        yield
    finally:
        os.close(descriptor)
