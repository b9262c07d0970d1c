"""cuDNN asked in a process of its own, which may crash, hang or refuse without harm to this one."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from planner.simulator.convolutions.convolution import Convolution

PROGRAM = Path(__file__).with_name("cudnn.py")
PATIENCE_SECONDS = 60.0
"""For one answer. The first waits for the libraries (some 700 MB) to come from the disk; others take milliseconds."""
GRACE_SECONDS = 5.0
"""For a child to end by itself once nobody asks any more."""
_NAMES = {"win32": ("cudnn64_9.dll",)}.get(sys.platform, ("libcudnn.so.9",))
_CUBLASLT = ("*/lib/libcublasLt.so.*", "*/bin/cublasLt64_*.dll")


class NoAnswer(Exception):
    """cuDNN cannot be asked here; says why."""


@dataclass(frozen=True, slots=True)
class Installed:
    """The cuDNN that the installed torch loads."""

    library: Path
    version: int
    """As cudnnGetVersion says it: 92400 is 9.24.0."""


def version_text(version: int) -> str:
    """92400 as "9.24.0"."""
    return f"{version // 10000}.{version // 100 % 100}.{version % 100}"


def find_library(torch_folder: Path) -> Path | None:
    """The library behind the torch that lies in this folder: beside it as a wheel, bundled, or in its environment."""
    folders = [torch_folder.parent / "nvidia" / "cudnn", torch_folder]
    spec = find_spec("nvidia")
    for place in (spec.submodule_search_locations if spec else None) or ():
        folders.append(Path(place) / "cudnn")
    folders.append(Path(sys.prefix))
    for folder in folders:
        for name in _NAMES:
            for inner in ("lib", "bin"):
                if (folder / inner / name).is_file():
                    return folder / inner / name
    return None


def cublaslt_of(library: Path) -> Path | None:
    """The libcublasLt of the wheels beside this cuDNN."""
    wheels = library.parent.parent.parent
    return next((path for pattern in _CUBLASLT for path in sorted(wheels.glob(pattern))), None)


class Child:
    """A running child. Use as a context manager, or close it."""

    def __init__(
        self,
        library: Path,
        device: dict[str, Any],
        *,
        cublaslt: Path | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Start it; it loads while this process goes on. Raises NoAnswer where no process can be started.

        `cublaslt` is loaded first, so that cuDNN, which looks for it by name, finds this one.
        """
        self._patience_seconds = patience_seconds
        # A library put before all others (a rehearsal does that) would stand between cuDNN and its own.
        environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        command = [sys.executable, "-I", "-S", str(PROGRAM), str(library), *([str(cublaslt)] if cublaslt else [])]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise NoAnswer(f"no process could be started: {error}") from error
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True)
        self._reader.start()
        self._version: int | None = None
        self._say(device)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def version(self) -> int:
        """Version of the library that answers. Raises NoAnswer."""
        if self._version is None:
            self._version = self._hear("cudnn")
        if self._version is None:
            raise NoAnswer("it did not say its version")
        return self._version

    def workspace_bytes(self, convolution: Convolution) -> int | None:
        """Bytes, None where cuDNN has no configuration for it. Raises NoAnswer: do not ask this child again."""
        self.version()
        self._say(dataclasses.asdict(convolution))
        return self._hear("bytes")

    def close(self) -> None:
        """End it, by force if it does not go."""
        with _leaving():
            if self._process.stdin:
                self._process.stdin.close()
        if self._version is None:
            self._process.kill()  # still loading, or beyond help
        try:
            self._process.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        if self._process.stdout:
            self._process.stdout.close()

    def _say(self, question: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # a child that is gone is noticed where its answer is missed
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()

    def _hear(self, name: str) -> int | None:
        try:
            line = self._lines.get(timeout=self._patience_seconds)
        except queue.Empty:
            raise NoAnswer(f"it did not answer within {self._patience_seconds:g} s") from None
        if not line:
            self._lines.put("")  # for whoever asks on
            raise NoAnswer(f"its process ended with {_ending(self._process)}")
        answer = _object(line)
        value = answer.get(name)
        if name not in answer or not (value is None or (type(value) is int and value >= 0)):
            raise NoAnswer(str(answer.get("fault", f"it answered {line.strip()[:80]!r}")))
        return value


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _read(stream: IO[str] | None, lines: queue.Queue[str]) -> None:
    """Put each line in the queue, and "" at the end."""
    for line in stream or ():
        lines.put(line)
    lines.put("")


def _ending(process: subprocess.Popen[str]) -> str:
    try:
        code = process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        return "its output closed"
    return f"signal {-code}" if code < 0 else f"exit status {code}"


@contextlib.contextmanager
def _leaving() -> Iterator[None]:
    """Closing a pipe whose other end is gone."""
    with contextlib.suppress(OSError):
        yield
