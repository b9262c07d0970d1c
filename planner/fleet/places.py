"""Addresses of files elsewhere (s3://, gs://, sftp://, file:// ...), as fsspec opens them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from planner.errors import EnvironmentFailure, FileError, UsageError
from planner.fleet.extra import library
from planner.nouns.words import Task
from planner.sources.folders import SUFFIXES
from planner.sources.opening import VIDEO_ENDINGS

LIVE = ("camera", "rtsp", "rtmp", "udp", "tcp")
"""Schemes of streams, which pass by once and which no lost worker could resume."""


def is_address(text: str) -> bool:
    """Whether it has a scheme, which a path of this machine has not."""
    return "://" in text


class Place:
    """A file or folder at an address."""

    def __init__(self, address: str) -> None:
        """Raises UsageError for a scheme that nobody knows, EnvironmentFailure where its package is missing."""
        self.address = address.rstrip("/")
        fsspec = library("fsspec")
        try:
            self.files, found = fsspec.core.url_to_fs(address)
        except ImportError as error:
            raise EnvironmentFailure(
                f"{address} cannot be opened: {error}.", "Install that package here and on every node."
            ) from None
        except ValueError as error:
            known = ", ".join(f"{name}://" for name in ("s3", "gs", "az", "sftp", "https", "file"))
            raise UsageError(f"{address} cannot be opened: {error}.", f"Give a path, or such as {known}.") from None
        self.path: str = found.rstrip("/")

    def __truediv__(self, name: str) -> Place:
        """Below it."""
        below = object.__new__(Place)
        below.address, below.files, below.path = f"{self.address}/{name}", self.files, f"{self.path}/{name}"
        return below

    def exists(self, fresh: bool = True) -> bool:
        """Whether it is there; `fresh`: asked anew, not from what was listed earlier."""
        with self.failing():
            if fresh:
                self.files.invalidate_cache()
            return bool(self.files.exists(self.path))

    def below(self) -> list[str]:
        """Names of all files below it, relative to it and in order; none where nothing is there."""
        with self.failing():
            self.files.invalidate_cache()
            try:
                found = self.files.find(self.path)
            except FileNotFoundError:
                return []
        start = len(self.path.rstrip("/")) + 1
        return sorted(path[start:] for path in found if len(path) > start)

    def read(self, path: Path) -> None:
        """Bring the file here."""
        with self.failing():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.files.get_file(self.path, str(path))

    def write(self, path: Path) -> None:
        """Put a file there, whole or not at all as far as the file system can: object stores do, fsspec's own too."""
        with self.failing(), path.open("rb") as source:
            self.files.makedirs(posixpath.dirname(self.path), exist_ok=True)
            with self.files.transaction, self.files.open(self.path, "wb") as file:
                while block := source.read(2**22):
                    file.write(block)

    def delete(self) -> None:
        """Away with it, if it is there."""
        with self.failing():
            try:
                self.files.rm_file(self.path)
            except FileNotFoundError:
                return

    def fetched(self, folder: Path) -> Path:
        """The file, or the folder with its files, below a folder here, under its own name.

        Raises FileError where there is none.
        """
        target = folder / posixpath.basename(self.path)
        with self.failing():
            if self.files.isfile(self.path):
                self.read(target)
                return target
        names = self.below()
        if not names:
            raise FileError(f"{self.address} does not exist.", "Check the address.")
        for name in names:
            (self / name).read(target / name)
        return target

    @contextmanager
    def failing(self) -> Iterator[None]:
        """What the file system refuses, as a FileError where nothing is there, else as EnvironmentFailure."""
        try:
            yield
        except FileNotFoundError:
            raise FileError(f"{self.address} does not exist.", "Check the address.") from None
        except (EnvironmentFailure, FileError, UsageError):
            raise
        except ImportError as error:
            raise EnvironmentFailure(f"{self.address}: {error}.", "Install it here and on every node.") from None
        except Exception as error:
            # Each file system has errors of its own kind (botocore's, paramiko's), which have no base in common.
            said = " ".join(str(error).split()) or type(error).__name__
            raise EnvironmentFailure(
                f"{self.address}: {said[:300]}.", "Check the address, and the rights of whoever runs this there."
            ) from None


def found_at(address: str, task: Task) -> list[tuple[str, str | None]]:
    """Addresses of the clips (or pictures) that an address means, each with its name where the folder gives it one.

    A pattern stands for what it matches, a folder for the clips below it; a folder of pictures is itself a clip. Raises
    UsageError for streams, FileError where nothing is found.
    """
    scheme = address.partition(":")[0].lower()
    if scheme in LIVE:
        raise UsageError(
            f"{address} passes by once, and a fleet may have to read an input again.",
            "Run it on one machine, without --on.",
        )
    place = Place(address)
    if any(sign in place.path for sign in "*?["):
        with place.failing():
            found = sorted(place.files.glob(place.path))
        if not found:
            raise FileError(f"Nothing is called {address}.", "Check the pattern.")
        return [(place.files.unstrip_protocol(path), None) for path in found]
    with place.failing():
        if place.files.isfile(place.path):
            return [(address, None)]
    names = [name for name in place.below() if not any(part.startswith(".") for part in name.split("/"))]
    if not names:
        raise FileError(f"{address} does not exist, or is empty.", "Check the address.")
    return _clips(place, names, task)


def _clips(place: Place, names: list[str], task: Task) -> list[tuple[str, str | None]]:
    """Of the files below a folder: videos and folders of pictures, or pictures."""
    pictures = [name for name in names if name.lower().endswith(SUFFIXES)]
    if task != "video":
        chosen = pictures
    else:
        folders = {posixpath.dirname(name) for name in pictures}
        if "" in folders:
            return [(place.address, None)]
        within = [name for name in names if not any(_inside(name, folder) for folder in folders)]
        chosen = [name for name in within if name.lower().endswith(VIDEO_ENDINGS)]
        chosen += [folder for folder in folders if not any(_inside(folder, other) for other in folders)]
    if not chosen:
        kinds = "clips, neither videos nor folders of pictures" if task == "video" else "pictures"
        raise FileError(f"{place.address} holds no {kinds}.", "Check the address.")
    # A folder's name has no ending.
    return [((place / name).address, posixpath.splitext(name)[0] if name in names else name) for name in sorted(chosen)]


def _inside(name: str, folder: str) -> bool:
    return name.startswith(folder + "/")
