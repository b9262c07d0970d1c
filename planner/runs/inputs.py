"""What several inputs of one call are: each a clip or a picture with a name, and a folder of its own for what is made.

Looks at names alone: what a file holds is found out when it is its turn, so that a broken one stops no other. Names
depend on how an input was given and on nothing else, so that the same input finds its folder again among others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from planner.errors import FileError, UsageError
from planner.nouns.words import Task
from planner.sources.folders import SUFFIXES
from planner.sources.opening import VIDEO_ENDINGS
from planner.text.units import counted

SUMMARY = "runs.json"
"""What became of all inputs, beside their folders."""
_LIVE = ("rtsp", "udp", "tcp")
"""Schemes of addresses whose last part names nothing: every camera has a stream1."""
_CAMERA = re.compile(r"camera:\d+", re.ASCII)
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One of several inputs."""

    source: str
    """A path, "camera:0" or an address, as a run takes it."""
    name: str
    """Its file's name without the ending; below a folder that was given with the folders between: "left/0001"."""
    out: Path
    """The folder of its own, below the folder of all."""


def are_several(sources: Sequence[str | os.PathLike[str]], task: Task) -> bool:
    """Whether this asks for more than one run: by several inputs, or by a folder of clips (or of pictures).

    For videos a folder of pictures is one clip; one that holds nothing to run on is refused as any single input is.
    """
    if len(sources) != 1:
        return len(sources) > 1
    given = os.fspath(sources[0])
    if _is_address(given) or not os.path.isdir(given) or (task == "video" and _is_clip(Path(given))):
        return False
    return any(True for _ in _walk(Path(given), "", task, set()))


Finder = Callable[[str], Sequence[tuple[str, "str | None"]]]
"""What an address means: one address or several, each with its name where that is not its last part."""


def inputs_from(
    sources: Sequence[str | os.PathLike[str]], out: str | Path, task: Task, find: Finder | None = None
) -> tuple[Input, ...]:
    """The inputs in the order given; a folder stands for the clips (or pictures) below it, by name.

    sources: paths, "camera:0" or addresses. out: the folder that each gets a folder in; what is in it is no input.
    find: looks addresses up; by default each is one input as it stands.

    Raises UsageError for none at all, for one that is given twice and for two of the same name, FileError for paths
    that are not there and for folders that hold nothing; each error names them.
    """
    out = Path(out)
    given = [os.fspath(source) for source in sources]
    if not given:
        raise UsageError("There is no input.", "Give video files, folders of pictures or pictures.")
    _require_there(given)
    named: list[tuple[str, str]] = []
    for source in given:
        if _is_address(source):
            found = [(source, None)] if find is None else find(source)
            named.extend((one, name or _name_of_address(one)) for one, name in found)
        elif os.path.isdir(source) and not (task == "video" and _is_clip(Path(source))):
            named.extend(_below(Path(source), out, task))
        else:
            named.append((source, _name_of_path(Path(source))))
    _require_once(named)
    _require_apart(named, out)
    return tuple(Input(source=source, name=name, out=out / name) for source, name in named)


def _require_there(given: Iterable[str]) -> None:
    missing = [source for source in given if not _is_address(source) and not _exists(source)]
    if not missing:
        return
    hint = "Check the paths."
    if any(sign in source for source in missing for sign in "*?["):
        hint = "No file is called so: check the path, and leave the pattern to the shell, without quotes."
    what = f"{missing[0]} does not exist" if len(missing) == 1 else f"These inputs do not exist: {_some(missing)}"
    raise FileError(f"{what}.", hint)


def _exists(source: str) -> bool:
    try:
        return bool(source.strip()) and os.path.exists(source)
    except ValueError:  # a null character
        return False


def _require_once(named: Iterable[tuple[str, str]]) -> None:
    """Raise for an input given twice, and for two that would share a folder, or have one inside the other's.

    Case does not count: a system that ignores it has one folder for "Clip" and "clip".
    """
    places: dict[str, str] = {}
    owners: dict[str, str] = {}
    for source, name in named:
        place = source if _is_address(source) else os.path.realpath(source)
        if place in places:
            other = "" if places[place] == source else f", as {places[place]} too"
            raise UsageError(f"INPUT {source} is given twice{other}.", "Give each input once.")
        places[place] = source
        if name.casefold() in owners:
            raise _both(owners[name.casefold()], source, name)
        owners[name.casefold()] = source
    for source, name in named:
        for parent in PurePosixPath(name).parents:
            if str(parent).casefold() in owners:
                raise _both(owners[str(parent).casefold()], source, str(parent))


def _both(one: str, other: str, name: str) -> UsageError:
    return UsageError(
        f"{one} and {other} would both write to the folder {name}.",
        "Rename one of them, or run it with another --out; or give the folder that they have in common as INPUT: names "
        "then keep the folders in between.",
    )


def _require_apart(named: Iterable[tuple[str, str]], out: Path) -> None:
    for source, name in named:
        if name.casefold() == SUMMARY:
            raise UsageError(f"INPUT {source} would be called {SUMMARY}, as the summary is.", "Rename it.")
        if not _is_address(source) and os.path.realpath(source) == os.path.realpath(out / name):
            raise UsageError(f"INPUT {source} is the folder that its own masks would go to.", "Give another --out.")


def _below(folder: Path, out: Path, task: Task) -> Iterator[tuple[str, str]]:
    """Path and name of all clips (or pictures) below a folder; hidden ones and what is in `out` are passed over."""
    if os.path.realpath(folder) == os.path.realpath(out):
        hint = "Give another --out; it may be a folder within INPUT."
        raise UsageError(f"{folder} is both INPUT and --out: what is read and what is written would mix.", hint)
    found = list(_walk(folder, os.path.realpath(out), task, set()))
    if not found:
        kinds = "clips, neither videos nor folders of pictures" if task == "video" else "pictures"
        endings = (*VIDEO_ENDINGS, *SUFFIXES) if task == "video" else SUFFIXES
        raise FileError(f"{folder} holds no {kinds}.", f"They end in {', '.join(endings)}.")
    for path in found:
        inner = path.relative_to(folder)
        yield str(path), (inner if path.is_dir() else inner.with_suffix("")).as_posix()


def _walk(folder: Path, out: str, task: Task, seen: set[str]) -> Iterator[Path]:
    place = os.path.realpath(folder)
    if place == out or place in seen:  # a link may lead back to where it was followed from
        return
    seen.add(place)
    endings = VIDEO_ENDINGS if task == "video" else SUFFIXES
    for path in _entries(folder):
        if path.is_dir():
            if task == "video" and _is_clip(path):
                if os.path.realpath(path) != out:
                    yield path
            else:
                yield from _walk(path, out, task, seen)
        elif path.suffix.lower() in endings:
            yield path


def _is_clip(folder: Path) -> bool:
    """Whether a folder is itself a clip: it holds pictures."""
    return any(path.suffix.lower() in SUFFIXES and path.is_file() for path in _entries(folder))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda path: path.name)
    except OSError as error:
        raise FileError(f"{folder}: {error.strerror or error}.", "Check the folder's permissions.") from None


def _is_address(source: str) -> bool:
    return "://" in source or _CAMERA.fullmatch(source) is not None


def _name_of_address(source: str) -> str:
    """Without user, password and query, none of which belongs in the name of a folder."""
    if "://" not in source:
        return source.replace(":", "-")
    parts = urlsplit(source)
    last = Path(parts.path).stem
    if parts.scheme.lower() not in _LIVE and last:
        return last
    name = re.sub(r"[^\w.-]+", "-", f"{parts.netloc.rpartition('@')[2]}{parts.path}").strip("-.")
    return name or parts.scheme


def _name_of_path(path: Path) -> str:
    whole = path if path.name not in ("", "..") else Path(os.path.realpath(path))
    return (whole.name if path.is_dir() else whole.stem) or "root"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {counted(more, 'other')}" if more > 0 else "")
