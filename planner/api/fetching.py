"""An official checkpoint, downloaded: resumed where it was cut, verified by size and SHA-256, whole or not there.

With urllib: one file, from an address that answers GET and, at best, Range; a library for more would be one more to
install on machines that plan and never fetch.
"""

from __future__ import annotations

import os
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from planner.catalog.checkpoints import Official, sum_of
from planner.errors import EnvironmentFailure, Interrupted, UsageError
from planner.text.files import lock, sync_folder
from planner.text.units import format_size
from planner.version import __version__

TIMEOUT_SECONDS = 30.0
"""Longest silence: to connect, and between two pieces."""
ATTEMPTS = 4
"""In a row that bring nothing, before it is given up."""
PAUSE_SECONDS = 1.0
"""Times the attempts in vain, before the next."""
CHUNK_BYTES = 2**18
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
"""Answers of a server that may be another one in a moment."""
PARTIAL, RANGE_NOT_SATISFIABLE = 206, 416
ZIP_MAGIC, PICKLE_MAGIC = b"PK\x03\x04", b"\x80"
"""One of them is what any checkpoint begins with."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A checkpoint that is there."""

    official: Official
    path: Path
    address: str
    """Where it came from, or would have."""
    already_there: bool
    """Nothing was fetched: the same file was there."""
    resumed_bytes: int
    """How many of the bytes an earlier call fetched."""


def fetch(
    official: Official,
    folder: Path,
    *,
    base: str | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """The official file in `folder`, which is made if its parent is there.

    base: see Official.address. progress(what, done, total bytes), what being fetch or verify. Until it is whole and
    verified the file is NAME.part, with which another call goes on; nothing that is there is written over.

    Raises UsageError for a place that holds another file of that name or cannot be a folder, EnvironmentFailure for
    an address that does not answer, gives another file, or a disk without room, Interrupted after Ctrl-C.
    """
    check_address(base)
    address = official.address(base)
    target = folder / official.name
    _make(folder)
    tell = progress or (lambda what, done, total: None)
    if os.path.lexists(target):
        _require_same(target, official, tell)
        return Fetched(official=official, path=target, address=address, already_there=True, resumed_bytes=0)
    part = target.with_name(f"{target.name}.part")
    try:
        with _held(part):
            with part.open("a+b") as file:
                resumed = _Download(address, official.file_bytes, file, tell).fill(part)
            _verify(part, official, address, tell)
            _put(part, target)
    except KeyboardInterrupt:
        kept = f"What came is kept in {part}; the same command goes on from there."
        raise Interrupted("Stopped.", kept if part.exists() else "Nothing had come yet.") from None
    return Fetched(official=official, path=target, address=address, already_there=False, resumed_bytes=resumed)


class _Download:
    """A file that is filled from an address, over as many connections as it takes."""

    def __init__(self, address: str, total: int, file: IO[bytes], tell: Progress) -> None:
        self.address, self.total, self.file, self.tell = address, total, file, tell
        self.done = self.resumed = file.seek(0, os.SEEK_END)

    def fill(self, part: Path) -> int:
        """Fetch what is missing; returns how much was there before."""
        if self.done > self.total:
            self._restart()
        free = shutil.disk_usage(part.parent).free
        if free < self.total - self.done:
            raise EnvironmentFailure(
                f"{part.parent} has {format_size(free)} free, and {format_size(self.total - self.done)} are to come.",
                "Free some space, or give another folder with --to.",
            )
        furthest, vain = self.done, 0
        while self.done < self.total:
            try:
                self._receive()
                why = "the connection ended"
            except (OSError, HTTPException) as error:
                why = self._why(error)
            vain = 0 if self.done > furthest else vain + 1
            furthest = max(furthest, self.done)
            if vain == ATTEMPTS:
                raise self._failure(why)
            if self.done < self.total:
                time.sleep(PAUSE_SECONDS * vain)
        self.file.flush()
        os.fsync(self.file.fileno())
        return self.resumed

    def _receive(self) -> None:
        """One connection: what it brings, from where the file ends."""
        headers = {"User-Agent": f"sam2-plan/{__version__}", "Accept-Encoding": "identity"}
        if self.done:
            headers["Range"] = f"bytes={self.done}-"
        try:
            answer = urlopen(Request(self.address, headers=headers), timeout=TIMEOUT_SECONDS)
        except ValueError as error:  # an address of a proxy, or one that the server leads to, that is none
            raise self._failure(str(error)) from None
        with answer:
            self._begin(answer)
            while self.done < self.total:
                piece = answer.read(min(CHUNK_BYTES, self.total - self.done))
                if not piece:
                    return
                if not self.done:
                    self._require_beginning(piece)
                self._write(piece)
                self.done += len(piece)
                self.tell("fetch", self.done, self.total)

    def _begin(self, answer: Any) -> None:
        """Whether it is the file, and from which byte on. Raises EnvironmentFailure for another."""
        if answer.headers.get_content_type() == "text/html":
            raise self._another("a web page, not the checkpoint")
        first, whole = 0, answer.headers.get("Content-Length")
        if answer.status == PARTIAL:
            said = answer.headers.get("Content-Range", "").removeprefix("bytes ")
            span, _, whole = said.partition("/")
            first = int(span.partition("-")[0]) if span.partition("-")[0].isdecimal() else -1
        if whole is not None and whole.isdecimal() and int(whole) != self.total:
            raise self._another(f"a file of {int(whole):,} bytes, not the {self.total:,} of the checkpoint")
        if first != self.done:
            self._restart()
            if first:
                raise OSError("it answered with another part than was asked for")

    def _require_beginning(self, piece: bytes) -> None:
        """Raise EnvironmentFailure for the first bytes of what torch.save never wrote."""
        if not piece.startswith(PICKLE_MAGIC) and not ZIP_MAGIC.startswith(piece[: len(ZIP_MAGIC)]):
            raise self._another(f"no checkpoint: what came begins with {piece[:16]!r}")

    def _another(self, what: str) -> EnvironmentFailure:
        return EnvironmentFailure(
            f"{self.address} is {what}.",
            "See what answers there (a log-in page, another file), or give a mirror with --from.",
        )

    def _write(self, piece: bytes) -> None:
        try:
            self.file.write(piece)
        except OSError as error:
            raise EnvironmentFailure(
                f"{self.file.name} cannot be written: {error.strerror or error}.",
                "Free some space, or give another folder with --to.",
            ) from None

    def _restart(self) -> None:
        self.file.truncate(0)
        self.done = self.resumed = 0

    def _why(self, error: Exception) -> str:
        """What went wrong with a connection. Raises EnvironmentFailure where another would go no better."""
        if isinstance(error, HTTPError):
            error.close()
            if error.code == RANGE_NOT_SATISFIABLE and self.done:
                self._restart()
            elif error.code not in TRANSIENT:
                raise self._failure(f"the server answers {error.code} ({error.reason})") from None
            return f"the server answers {error.code} ({error.reason})"
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise self._failure(f"its certificate is not trusted here ({reason.verify_message})") from None
        return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)

    def _failure(self, why: str) -> EnvironmentFailure:
        kept = f"{self.done:,} bytes are kept and the same command goes on from there. " if self.done else ""
        return EnvironmentFailure(
            f"{self.address} cannot be fetched: {why}.",
            f"{kept}Check the network (https_proxy is honoured), or give a mirror with --from.",
        )


def check_address(base: str | None) -> None:
    """Raise UsageError for a base of addresses (see Official.address) that nothing could be fetched from."""
    if base is None:
        return
    try:
        parts = urlsplit(base)
        host = (parts.hostname or "").encode("idna")  # ValueError for what is no name of a host; so is it of the port
        sound = parts.scheme in ("https", "http") and bool(host) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not base.isascii() or not base.isprintable() or " " in base:
        raise UsageError(
            f"{base!r} is no address to fetch from.",
            "Give one that begins with https:// or http:// and a host, in ASCII and without spaces.",
        )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        hint = f"Make it (mkdir -p {folder.parent}) if the path is right; only the last folder is made."
        raise UsageError(f"{folder} cannot be made: there is no {folder.parent}.", hint) from None
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder} is no folder.", "Give a folder for --to.") from None
    except OSError as error:
        raise EnvironmentFailure(f"{folder} cannot be made: {error.strerror}.", "Give another --to.") from None


def _require_same(target: Path, official: Official, tell: Progress) -> None:
    """Raise UsageError unless the file that is there is the official one."""
    same = target.is_file() and target.stat().st_size == official.file_bytes
    if same and official.sha256 is not None:
        same = sum_of(target, lambda done, total: tell("verify", done, total)) == official.sha256
    if not same:
        raise UsageError(
            f"{target} is there, and is another file than the official one.",
            "Move it away, or give another folder with --to.",
        )


def _verify(part: Path, official: Official, address: str, tell: Progress) -> None:
    """Delete what is not the official file, and raise EnvironmentFailure."""
    if official.sha256 is None:
        return
    found = sum_of(part, lambda done, total: tell("verify", done, total))
    if found != official.sha256:
        part.unlink()
        raise EnvironmentFailure(
            f"{address} gave a file with the SHA-256 {found}, not {official.sha256}.",
            "Nothing of it was kept. Try again, or another address with --from.",
        )


def _put(part: Path, target: Path) -> None:
    """Give the whole file its name, which nothing else may have taken meanwhile."""
    try:
        os.link(part, target)  # unlike a rename it never replaces
    except OSError:
        if os.path.lexists(target):
            raise UsageError(f"{target} has come into being meanwhile.", f"The download is in {part}.") from None
        part.rename(target)  # a file system without hard links
    else:
        part.unlink()
    sync_folder(target.parent)


@contextmanager
def _held(part: Path) -> Iterator[None]:
    """Hold the file that is filled against a second download of it; it is gone afterwards if nothing came."""
    try:
        with part.open("ab") as file:
            if not _locked(file, part):
                file.close()  # it serves no more, and Windows renames no file that is open
            try:
                yield
            finally:
                with suppress(OSError):
                    if part.stat().st_size == 0:
                        part.unlink()
    except OSError as error:
        raise EnvironmentFailure(f"{part}: {error.strerror or error}.", "Give a writable folder with --to.") from None


def _locked(file: IO[bytes], part: Path) -> bool:
    """Lock an open file; False where there are no locks. Raises UsageError if another download has it, or had."""
    try:
        if not lock(file):
            return False
    except BlockingIOError:
        raise UsageError(f"Another download is writing to {part}.", "Wait until it is done.") from None
    if not part.exists() or not os.path.samestat(part.stat(), os.fstat(file.fileno())):
        raise UsageError(f"Another download has just ended with {part}.", "Give the same command again.")
    return True
