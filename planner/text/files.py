"""Files that are there whole or not at all, locks that go with whoever holds them, and journals.

Knows nothing of what is written. A whole file is written beside its place under a hidden name, flushed to disk and
renamed. A journal is a JSON object a line, on disk before it counts as done, so that killed work goes on where it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any

from planner.errors import EnvironmentFailure, FileError

SUFFIX = ".partial"
SPACE = "Free some space or choose a writable place."


class WriteFailure(EnvironmentFailure):
    """A file cannot be written: a full disk, a place without permission."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(f"{path} cannot be written: {reason}.", SPACE)
        self.path = path


def write(path: Path, text: str) -> None:
    """Write a text file whole or not at all, beside whoever writes the same one.

    It keeps its permissions; a link keeps pointing where it points; what is no file (a pipe, /dev/stdout) is written
    to as it is. Raises WriteFailure.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        import tempfile  # only those who write pay for it

        place = path.resolve()
        mode = place.stat().st_mode & 0o777 if place.exists() else 0o666 & ~_umask()
        descriptor, name = tempfile.mkstemp(prefix=f".{place.name[:80]}.", dir=place.parent)
        with _becoming(place, Path(name), os.fdopen(descriptor, "w+b")) as file:
            file.write(text.encode())
            os.chmod(name, mode)
    except (OSError, ValueError, RuntimeError) as error:
        raise WriteFailure(path, getattr(error, "strerror", None) or error) from None


def write_whole(path: Path, work: Callable[[IO[bytes]], object]) -> None:
    """Write a file by a function of the open file, as whole_file does."""
    with whole_file(path) as file, failing_as(path):
        work(file)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary file, seekable and readable, that becomes `path` when the block ends well and vanishes when not.

    Its neighbour's name is fixed, so that a killed process leaves at most one, and the next attempt writes over it.
    Raises WriteFailure for what opening and completing meet; errors of the block come out as they are, so that
    writes inside it stand in `failing_as`.
    """
    neighbour = neighbour_of(path)
    with failing_as(path):
        file = neighbour.open("w+b")
    with _becoming(path, neighbour, file, failing_as):
        yield file


@contextmanager
def _becoming(
    path: Path, neighbour: Path, file: IO[bytes], failing: Callable[[Path], AbstractContextManager[Any]] = nullcontext
) -> Iterator[IO[bytes]]:
    try:
        yield file
        with failing(path):
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


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


def lock(file: int | IO[Any], wait: bool = False) -> bool:
    """Lock what is open, a file or a folder, until it is closed; a process that ends, however it does, lets go.

    False where there are no locks: Windows, or a file system without. Raises BlockingIOError where somebody else has
    it, unless to `wait`.
    """
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except (ImportError, OSError):
        return False
    return True


def read_journal(path: Path) -> dict[str, dict[str, Any]]:
    """The rows already there by their `id`; a last line that was cut short is dropped.

    Raises FileError for any other fault.
    """
    if not path.exists():
        return {}
    rows: dict[str, dict[str, Any]] = {}
    # What follows the last line end was cut short, even where it reads well: open_journal cuts it off too.
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1], 1):
        if not line:
            continue
        try:
            row = json.loads(line)
            rows[row["id"]] = row
        except (ValueError, KeyError, TypeError):
            raise FileError(f"{path}, line {number}: not a row of this journal.", "Delete the line.") from None
    return rows


def open_journal(path: Path) -> IO[str]:
    """The journal for appending, a torn last line cut off first so that no row is glued to it."""
    if path.exists() and path.stat().st_size:
        with path.open("rb+") as file:
            data = file.read()
            if not data.endswith(b"\n"):
                file.truncate(data.rfind(b"\n") + 1)
    return path.open("a", encoding="utf-8")


def append(file: IO[str], row: dict[str, Any]) -> None:
    """Write one row of a journal; when this returns, it is on the disk."""
    file.write(json.dumps(row) + "\n")
    file.flush()
    os.fsync(file.fileno())
