"""A machine with imaginary GPUs, on which processes are started, and what they took of it.

What the processes share lies in one mapped file (sources/stage.h), which they write and which is read here; a process
that was killed is found out by its pid and the time it began.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from planner.errors import EnvironmentFailure, UsageError
from planner.rehearsal.building import Libraries, libraries
from planner.rehearsal.layout import ProcessRecord, StageRecord, first_bytes
from planner.rehearsal.machine import MOST_GPUS, ImaginaryGpu

PREFIX = "SAM2_PLAN_REHEARSAL_"
"""Prefix of the environment's variables: STAGE (the folder), CUDNN (the real library), HOST_LIMIT (bytes)."""
SIZES_ONLY = 2
"""In place of zero_scalars' True: no large array is copied either (sources/copies.c)."""
REAL_ONES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
HOST_SHARE = 0.9
"""The share that each process may take of the host's memory available when the stage is entered."""
LEAST_HOST_BYTES = 2 * 10**9
"""It may take so much in any case: torch alone takes 0.85 GB of private memory when it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUse:
    """What one process took of one device."""

    pid: int
    device: int
    """Its place on the stage, which is NVML's index."""
    peak_bytes: int
    """What the driver gave out at most at one time, without the context."""
    held_bytes: int
    """Now; 0 once the process has ended."""
    context_bytes: int
    """0 where it never had a context."""
    kernels: int
    """Launched; a call of cuBLAS or cuDNN counts as one."""
    requests: int
    """To the driver, for memory."""
    refused: int
    """How many of these for want of memory. A context that did not fit is counted here too, at each call that would
    have made it."""
    alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUse:
    """What all processes took of one device."""

    gpu: ImaginaryGpu
    highest_bytes: int
    """Most bytes of all processes together at one time, contexts included; without the neighbour's."""
    held_bytes: int
    """Now, contexts included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What was taken of a stage."""

    processes: tuple[ProcessUse, ...]
    """A row for each process and device that it had, or was refused, a context on, in the order they came."""
    devices: tuple[DeviceUse, ...]
    unknown: tuple[str, ...]
    """Functions that were called and that nobody imagined: what they would have done is missing."""

    def of(self, pid: int, device: int = 0) -> ProcessUse | None:
        """A process's row; None where it used no such device."""
        rows = [row for row in self.processes if (row.pid, row.device) == (pid, device)]
        return rows[-1] if rows else None


class Stage:
    """A machine with one to eight imaginary GPUs; a context manager, whose use() can still be asked afterwards."""

    def __init__(
        self,
        gpus: Sequence[ImaginaryGpu],
        *,
        event_lag: int = 0,
        zero_scalars: int = False,
        fail_request: int | None = None,
        host_limit_bytes: int | None = None,
        trace: int = 0,
        libraries: Libraries | None = None,
    ) -> None:
        """Nothing is made or built until it is entered.

        `event_lag`: an event is not ready for its first so many queries. `zero_scalars`: numbers of up to 8 bytes that
        leave a device are 0. `fail_request`: of each process, the request for device memory (from 1) that is refused,
        once. `host_limit_bytes`: private memory that each process may take; 0 for no limit. `trace`: 1 names kernels
        and cuDNN's workspaces on stderr, 2 allocations too. Raises UsageError for a number of GPUs that CUDA would see
        otherwise, and for two with one UUID.
        """
        if not 1 <= len(gpus) <= MOST_GPUS:
            raise UsageError(f"A stage has 1 to {MOST_GPUS} GPUs, not {len(gpus)}.")
        if len({gpu.uuid for gpu in gpus}) < len(gpus):
            raise UsageError("Two GPUs of a stage have one UUID.", "Make each with an index of its own.")
        if fail_request is not None and fail_request < 1:
            raise UsageError(f"Requests are counted from 1: {fail_request} is none.")
        self.gpus = tuple(gpus)
        self.event_lag, self.zero_scalars, self.fail_request, self.trace = event_lag, zero_scalars, fail_request, trace
        self.host_limit_bytes = host_limit_bytes
        self._libraries = libraries
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._last: Use | None = None

    def __enter__(self) -> Stage:
        if self._libraries is None:
            self._libraries = libraries()
        if self.host_limit_bytes is None:
            self.host_limit_bytes = _host_share()
        self._last = None
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="sam2-plan-stage-", ignore_cleanup_errors=True)
            with (Path(self._folder.name) / "stage").open("xb") as file:
                file.write(self._first_bytes())
                file.truncate(_SIZE)
            (Path(self._folder.name) / "libraries").symlink_to(self._libraries.folder)
        except OSError as error:
            raise EnvironmentFailure(
                f"The stage's folder cannot be made in {tempfile.gettempdir()}: {error.strerror or error}.",
                "Name another place with $TMPDIR.",
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._last = self.use()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def set_again(self, gpus: Sequence[ImaginaryGpu]) -> None:
        """Other GPUs on the same stage, as if nobody had used it: for processes that have not come yet.

        Numbers that leave them are 0, and large arrays are not copied: for runs of which only the sizes count.
        """
        if self._folder is None:
            raise UsageError("The stage is not open.", "Use it in a with statement.")
        self.gpus, self.zero_scalars = tuple(gpus), SIZES_ONLY
        with (Path(self._folder.name) / "stage").open("r+b") as file:
            file.write(self._first_bytes().ljust(_SIZE, b"\0"))

    def _first_bytes(self) -> bytes:
        return first_bytes(
            self.gpus,
            event_lag=self.event_lag,
            zero_scalars=self.zero_scalars,
            fail_request=self.fail_request,
            trace=self.trace,
        )

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """For a process that is to see these GPUs: `base` (this process's unless said) with what it takes.

        The stand-ins are added to what LD_PRELOAD names already. Which of this machine's GPUs are visible is said of
        the real ones, so it is left out of this process's environment; in a `base` that is given it is meant.
        """
        if self._folder is None or self._libraries is None:
            raise UsageError("The stage is not open.", "Use it in a with statement.")
        environment = dict(os.environ if base is None else base)
        if base is None:
            for name in REAL_ONES:
                environment.pop(name, None)
        ours = {path.name for path in self._libraries.preload}  # those of another stage would win, standing before
        already = environment.get("LD_PRELOAD", "").replace(":", " ").split()
        others = [entry for entry in already if Path(entry).name not in ours]
        environment["LD_PRELOAD"] = ":".join([*others, *(self._preloadable(path) for path in self._libraries.preload)])
        environment[f"{PREFIX}STAGE"] = self._folder.name
        environment[f"{PREFIX}CUDNN"] = str(self._libraries.cudnn)
        environment.pop(f"{PREFIX}HOST_LIMIT", None)
        if self.host_limit_bytes:
            environment[f"{PREFIX}HOST_LIMIT"] = str(self.host_limit_bytes)
        return environment

    def _preloadable(self, path: Path) -> str:
        """A name of a library that LD_PRELOAD, whose entries end at spaces and colons, can hold."""
        assert self._folder is not None
        name = str(path)
        if _SEPARATES.search(name):
            name = str(Path(self._folder.name) / "libraries" / path.name)
        if _SEPARATES.search(name):
            raise EnvironmentFailure(
                f"Neither {path.parent} nor {tempfile.gettempdir()} can be preloaded from: spaces end a name.",
                "Name a place without them with $TMPDIR.",
            )
        return name

    def use(self) -> Use:
        """What has been taken until now; after the stage was left, until then."""
        if self._folder is None:
            if self._last is None:
                raise UsageError("The stage was never open.", "Use it in a with statement.")
            return self._last
        data = bytearray((Path(self._folder.name) / "stage").read_bytes())
        record = StageRecord.from_buffer(data)
        processes = [record.process[number] for number in range(record.processes)]
        living = [_alive(process) for process in processes]
        rows = [
            _row(process, place, alive)
            for process, alive in zip(processes, living, strict=True)
            for place in range(len(self.gpus))
            if process.context_peak[place] or process.usage[place].refused
        ]
        devices = [
            DeviceUse(
                gpu=gpu,
                highest_bytes=record.gpu[place].highest,
                held_bytes=sum(
                    process.usage[place].held + process.usage[place].context
                    for process, alive in zip(processes, living, strict=True)
                    if alive
                ),
            )
            for place, gpu in enumerate(self.gpus)
        ]
        unknown = tuple(record.unknown_names[number].value.decode() for number in range(record.unknown))
        return Use(processes=tuple(rows), devices=tuple(devices), unknown=unknown)


_SEPARATES = re.compile(r"[\s:]")


def on_a_stage(environment: Mapping[str, str]) -> bool:
    """Whether a process with this environment sees imaginary GPUs: what it measures is rehearsed."""
    return f"{PREFIX}STAGE" in environment


_SIZE = StageRecord.process.offset + StageRecord.process.size


def _row(process: ProcessRecord, place: int, alive: bool) -> ProcessUse:
    usage = process.usage[place]
    return ProcessUse(
        pid=process.pid,
        device=place,
        peak_bytes=usage.peak,
        held_bytes=usage.held if alive else 0,
        context_bytes=process.context_peak[place],
        kernels=usage.kernels,
        requests=usage.requests,
        refused=usage.refused,
        alive=alive,
    )


def _alive(process: ProcessRecord) -> bool:
    """Whether it is the process that came, and has not ended (sources/stage.c, imaginary_alive)."""
    if process.ended:
        return False
    try:
        text = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    fields = text.rpartition(")")[2].split()
    return fields[0] not in "ZX" and int(fields[19]) == process.started


def _host_share() -> int:
    """Bytes; 0 (no limit) where the machine does not say what is available."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    available = int(found[1]) * 1024 if found else 0
    group = Path("/sys/fs/cgroup")  # a container's own
    try:
        most, now = ((group / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
    except OSError:
        most = now = "max"
    if most.isdigit() and now.isdigit():
        available = min(available, int(most) - int(now))
    return max(LEAST_HOST_BYTES, int(available * HOST_SHARE))
