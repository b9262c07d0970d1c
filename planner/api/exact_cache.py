"""What rehearsals and simulations found, on disk: a small file for each, under all that its bytes depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planner.errors import EnvironmentFailure
from planner.memory_model.exact import Known
from planner.nouns.estimate import Exact
from planner.nouns.words import EXACT_METHODS
from planner.text.files import write

FOLDER = "exact"
_MOST_BYTES = 100_000
_BYTES = ("allocated_bytes", "reserved_bytes", "reserved_upper_bytes")


class Cache:
    """The answers in a folder. What cannot be read or written costs a warning, never the answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self.warnings: list[str] = []

    def read(self, key: Mapping[str, Any]) -> Known | None:
        """The answer to `key`; None where there is none, or only a broken one, which is then warned of."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn(f"{path} cannot be read ({error.strerror or error}): found out anew")
            return None
        known = _known(data, key)
        if known is None:
            self._warn(f"{path} is damaged, or no answer to this: found out anew")
        return known

    def write(self, key: Mapping[str, Any], known: Known) -> None:
        """Keep an answer, whole or not at all."""
        answer = {name: getattr(known, name) for name in _BYTES}
        exact = {name: getattr(known.exact, name) for name in Exact.__slots__}
        document = {"key": key, "answer": {**answer, "phases": known.phases, "exact": exact}}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write(self._path(key), json.dumps(document, indent=1) + "\n")
        except (OSError, EnvironmentFailure) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._warn(f"the cache folder {self.folder} cannot be written, so nothing is remembered: {reason}")

    def _path(self, key: Mapping[str, Any]) -> Path:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{digest[:32]}.json"

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


def _known(data: bytes, key: Mapping[str, Any]) -> Known | None:
    """The answer in a file; None where it is not a whole one to that key."""
    if len(data) > _MOST_BYTES:
        return None
    try:
        document = json.loads(data)
        if document["key"] != json.loads(json.dumps(key)):
            return None
        answer = document["answer"]
        sizes = [answer[name] for name in _BYTES]
        phases = tuple((name, size) for name, size in answer["phases"])
        major, minor = answer["exact"]["capability"]
        exact = Exact(**{**answer["exact"], "capability": (int(major), int(minor))})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not all(type(size) is int and size > 0 for size in (*sizes, *(size for _, size in phases))):
        return None
    allocated, reserved, upper = sizes
    sound = (
        allocated <= reserved <= upper
        and max((size for _, size in phases), default=0) == allocated
        and all(isinstance(name, str) for name, _ in phases)
        and exact.method in EXACT_METHODS
    )
    return Known(allocated, reserved, upper, phases, exact) if sound else None
