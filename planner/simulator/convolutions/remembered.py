"""cuDNN's answers of earlier runs: a file in the user's cache folder for each version of cuDNN and kind of GPU.

A JSON object a line. Several processes may add to it at once: each adds all it has in one write, and lines that do not
read well are passed over. A file that cannot be read or written costs time, nothing else.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planner.text.locations import cache_folder

_HOW = tuple(Path(__file__).with_name(name) for name in ("cudnn.py", "cublaslt.c"))
"""What says how cuDNN is asked: answers to another way of asking are another file."""


def file_for(version: int, device: Mapping[str, Any]) -> Path:
    """Where the answers of this cuDNN (92400 is 9.24.0) for this GPU stand."""
    told = zlib.crc32(json.dumps(device, sort_keys=True).encode() + b"".join(path.read_bytes() for path in _HOW))
    return cache_folder() / "convolutions" / f"cudnn-{version}-{device['deviceVer']}-{told:08x}.jsonl"


class Remembered:
    """Answers by question: what the file had, and what was added since."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new: dict[str, int | None] = {}
        self._known: dict[str, int | None] = {}
        with contextlib.suppress(OSError):
            for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
                self._known.update(_answer(line))

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def __getitem__(self, name: str) -> int | None:
        return self._known[name]

    def add(self, name: str, size_bytes: int | None) -> None:
        """Know it from now on; `save` puts it on the disk."""
        self._known[name] = self._new[name] = size_bytes

    def save(self) -> None:
        """Append what is new."""
        if not self._new:
            return
        lines = "".join(json.dumps({"id": name, "bytes": size}) + "\n" for name, size in self._new.items())
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as file:
                # What a killed process left without a line end stays a line of its own.
                file.write(b"\n" + lines.encode())
        self._new.clear()


def _answer(line: str) -> dict[str, int | None]:
    """The answer in a line, nothing for a line that is none."""
    try:
        row = json.loads(line)
        name, size_bytes = row["id"], row["bytes"]
    except (ValueError, KeyError, TypeError):
        return {}
    good = isinstance(name, str) and (size_bytes is None or (type(size_bytes) is int and size_bytes >= 0))
    return {name: size_bytes} if good else {}
