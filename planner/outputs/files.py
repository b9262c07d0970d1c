"""Files that are there whole or not at all: a hidden neighbour is written, flushed to disk and renamed.

Knows nothing of masks. Neighbours have a fixed name, so that a killed process leaves at most one per file, and
the next attempt writes over it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from planner.errors import EnvironmentFailure

SUFFIX = ".partial"
SPACE = "Free some space or choose a writable place."


class WriteFailure(EnvironmentFailure):
    """A file of the answer cannot be written: a full disk, a place without permission."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(f"{path} cannot be written: {reason}.", SPACE)
        self.path = path


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary file, seekable and readable, that becomes `path` when the block ends well and vanishes when not.

    Raises WriteFailure for what opening and completing meet; errors of the block come out as they are, so that
    writes inside it stand in `failing_as`.
    """
    neighbour = neighbour_of(path)
    with failing_as(path):
        file = neighbour.open("w+b")
    try:
        yield file
        with failing_as(path):
            file.flush()
            os.fsync(file.fileno())
            file.close()
            os.replace(neighbour, path)
    except BaseException:
        with suppress(OSError):
            file.close()  # writes what is left in its buffer
        with suppress(OSError):
            neighbour.unlink()
        raise


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file by a function of the open file, whole or not at all."""
    with whole_file(path) as file, failing_as(path):
        write(file)


def neighbour_of(path: Path) -> Path:
    """The hidden name under which a file is written before it gets its own."""
    return path.with_name(f".{path.name}{SUFFIX}")


@contextmanager
def failing_as(path: Path) -> Iterator[None]:
    """What the operating system refuses inside, as WriteFailure of `path`."""
    try:
        yield
    except OSError as error:
        raise WriteFailure(path, error.strerror or error) from None
    except ValueError as error:
        # A path with a null character.
        if "null" not in str(error):
            raise
        raise WriteFailure(path, error) from None


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder, where the system can: after a power cut too, what was renamed is there."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
